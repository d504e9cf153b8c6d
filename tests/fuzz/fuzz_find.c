/* libFuzzer target: the header reader, masking and UTF-8 check that all frames from clients pass.
 *
 * Invariant: nothing outside [at, end) is read (the sanitizers see to that), a frame that is found
 * lies within it, masking twice gives the payload back, and UTF-8 is judged the same whole, and byte by
 * byte. Build and run: python -m tests.fuzz.libfuzzer */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>
#include "../../shardws/protocol/_frames_find-inl.h"

static void
check(int holds)
{
    if (!holds) {
        abort();
    }
}

static int
is_text(const uint8_t *bytes, Py_ssize_t size, Py_ssize_t step)
{
    Utf8 state = {0, 0, 0};
    for (Py_ssize_t at = 0; at < size; at += step) {
        if (utf8_feed(&state, bytes + at, step < size - at ? step : size - at) < 0) {
            return 0;
        }
    }
    return !state.need;
}

static void
check_payload(const Found *found)
{
    uint8_t *plain = malloc((size_t)found->size + 1), *again = malloc((size_t)found->size + 1);
    check(plain != NULL && again != NULL);
    unmask_into(plain, found->body, found->size, found->body - 4, 0);
    unmask_into(again, plain, found->size, found->body - 4, 0);
    check(memcmp(again, found->body, (size_t)found->size) == 0);
    check(is_text(plain, found->size, found->size + 1) == is_text(plain, found->size, 1));
    free(plain);
    free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) {
        return 0;
    }
    const uint8_t *at = data + 1, *end = data + size;
    Py_ssize_t most = data[0] & 1 ? PY_SSIZE_T_MAX : data[0]; /* max_size */
    Found found;
    while (at < end && find_frame(at, end, most, &found)) {
        check(found.body > at && found.size >= 0 && found.size <= most && found.size <= end - found.body);
        check_payload(&found);
        at = found.body + found.size;
    }
    return 0;
}
