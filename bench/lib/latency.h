/* SPDX-License-Identifier: MIT */
/*
 * How long single calls take, by the CPU time of the thread that calls.
 *
 * The kernel's clock of a thread (CLOCK_THREAD_CPUTIME_ID) costs a system call, ten times what a
 * malloc takes. So each call is timed by the counter of the CPU, and the thread's clock is read
 * only where the counter alone could be wrong:
 *
 *   - A call of at most BENCH_LONG_NS by the counter is taken as it is: the thread was not away,
 *     for to leave a CPU and to come back takes about as long.
 *   - After a longer call, the thread's clock tells how long the thread was away since the last
 *     look at both clocks. That is taken off. What is left is the call's own: its instructions, its
 *     page faults and its system calls, as far as they run on this CPU.
 *   - A longer gap between calls is a reason to look at both clocks, too, and so is a millisecond
 *     without a look. So what is taken off a call is time away within it, or at most some pieces
 *     below BENCH_LONG_NS; and the two clocks cannot drift apart.
 *
 * Blind to: waiting asleep (that is time away), and a hypervisor that takes the CPU away unseen
 * (that counts as the call's, if the kernel does not know it). Interrupts count as the call's.
 *
 * Each figure is less by what an empty measurement shows. The fences around a call keep it from
 * overlapping with what is around it: p50 is an upper bound of what a loop pays.
 *
 * Threads: a meter and counts belong to one thread; bench_latency_add() is for after the join.
 */
#ifndef HAK_BENCH_LATENCY_H
#define HAK_BENCH_LATENCY_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/lib/bench.h"

enum {
    BENCH_LONG_NS = 4000,
    BENCH_LOOK_NS = 1000000,
    BENCH_LATENCY_EXACT = 64,   /* nanoseconds up to here are counted one by one */
    BENCH_LATENCY_STEPS = 32,   /* above: this many steps from a power of two to the next, 3 % */
    BENCH_LATENCY_OCTAVES = 34, /* up to 2^40 ns, 18 minutes */
    BENCH_LATENCY_BUCKETS = BENCH_LATENCY_EXACT + BENCH_LATENCY_STEPS * BENCH_LATENCY_OCTAVES,
};

/* How many calls took how long. Zeroed memory is an empty one. */
struct bench_latency {
    uint64_t calls;
    uint64_t max_ns;
    uint64_t buckets[BENCH_LATENCY_BUCKETS];
};

/* The clocks of one thread. */
struct bench_meter {
    uint64_t begin;       /* counter when the call began */
    uint64_t end;         /* counter when the last call had ended */
    uint64_t seen;        /* counter at the last look at both clocks */
    uint64_t seen_cpu_ns; /* the thread's clock at that look */
    uint64_t interrupted; /* calls from which time away was taken off */
};

struct bench_latency_scale {
    double ns_per_tick;
    uint64_t long_ticks;
    uint64_t look_ticks;
    uint64_t empty_ns;
};
extern struct bench_latency_scale bench_latency_scale;

/* Compares the counter with the kernel's clock, some 20 ms; before any meter is used. */
void bench_latency_start(void);

/* A look at both clocks: first in each thread, and after a pause. */
void bench_meter_look(struct bench_meter *meter);

/* For calls above BENCH_LONG_NS by the counter. */
void bench_meter_end_long(struct bench_meter *meter, struct bench_latency *into);

void bench_latency_count(struct bench_latency *into, uint64_t ns);
void bench_latency_add(struct bench_latency *into, const struct bench_latency *from);

/* The least time that this many of a million calls did not exceed, to 3 %; never above max_ns. */
uint64_t bench_latency_at(const struct bench_latency *of, uint64_t millionths);

static inline uint64_t bench_ticks(void)
{
#if defined(__x86_64__)
    /* The first fence waits for what came before, the second keeps back what comes after. */
    __builtin_ia32_lfence();
    uint64_t now = __builtin_ia32_rdtsc();
    __builtin_ia32_lfence();
    return now;
#else
    return bench_clock_ns();
#endif
}

static inline void bench_meter_begin(struct bench_meter *meter)
{
    uint64_t now = bench_ticks();
    if (now - meter->end > bench_latency_scale.long_ticks ||
        now - meter->seen > bench_latency_scale.look_ticks)
        bench_meter_look(meter);
    meter->begin = bench_ticks();
}

static inline void bench_meter_end(struct bench_meter *meter, struct bench_latency *into)
{
    meter->end = bench_ticks();
    uint64_t ticks = meter->end - meter->begin;
    if (ticks > bench_latency_scale.long_ticks) {
        bench_meter_end_long(meter, into);
        return;
    }
    uint64_t ns = (uint64_t)((double)ticks * bench_latency_scale.ns_per_tick);
    bench_latency_count(into,
                        ns > bench_latency_scale.empty_ns ? ns - bench_latency_scale.empty_ns : 0);
}

#endif
