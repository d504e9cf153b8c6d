/* marks.c: marks for callgrind where a scenario begins and ends. */
#include <valgrind/callgrind.h>

void mark_begin(void) { CALLGRIND_ZERO_STATS; }

void mark_end(const char *name) { CALLGRIND_DUMP_STATS_AT(name); }
