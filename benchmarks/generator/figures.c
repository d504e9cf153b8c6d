/* figures.c: clocks, CPU time, and a histogram of latencies. */
#include "load.h"

#include <string.h>
#include <time.h>

/* Buckets: each power of two of nanoseconds in 32 parts, so a figure is off by 3 % at most. */
enum { PARTS = 32, POWERS = 40 };
static uint64_t buckets[POWERS * PARTS];

static uint64_t read_clock(clockid_t clock) {
    struct timespec time;
    if (clock_gettime(clock, &time) != 0) return 0;
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t now_ns(void) { return read_clock(CLOCK_MONOTONIC); }

uint64_t own_cpu_ns(void) { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }

/* User and kernel time of all threads of the server's processes, running and ended ones. */
uint64_t server_cpu_ns(void) {
    uint64_t sum = 0;
    for (int i = 0; i < options.pid_count; i++) {
        clockid_t clock;
        if (clock_getcpuclockid(options.pids[i], &clock) != 0)
            fail("process %d of the server ended", options.pids[i]);
        sum += read_clock(clock);
    }
    return sum;
}

static unsigned bucket_of(uint64_t value) {
    if (value < PARTS) return (unsigned)value;
    unsigned power = 63 - (unsigned)__builtin_clzll(value);       /* at least 5 */
    unsigned part = (unsigned)(value >> (power - 5)) & (PARTS - 1);
    unsigned bucket = (power - 4) * PARTS + part;
    return bucket < POWERS * PARTS ? bucket : POWERS * PARTS - 1;
}

static uint64_t middle_of(unsigned bucket) {
    if (bucket < PARTS) return bucket;
    unsigned shift = bucket / PARTS - 1;
    return ((uint64_t)(PARTS + bucket % PARTS) << shift) + ((1ull << shift) >> 1);
}

void record(uint64_t latency_ns) { buckets[bucket_of(latency_ns)]++; }

void forget_latencies(void) { memset(buckets, 0, sizeof buckets); }

/* 0.0 when nothing was recorded. */
double percentile_us(double share) {
    uint64_t total = 0, seen = 0;
    for (unsigned i = 0; i < POWERS * PARTS; i++) total += buckets[i];
    for (unsigned i = 0; i < POWERS * PARTS; i++) {
        seen += buckets[i];
        if (seen && (double)seen >= share * (double)total) return (double)middle_of(i) / 1000.0;
    }
    return 0.0;
}
