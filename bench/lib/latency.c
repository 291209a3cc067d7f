/* SPDX-License-Identifier: MIT */
/*
 * Two clocks of a thread, and how many calls took how long.
 */
#include "bench/lib/latency.h"

#include <string.h>
#include <time.h>

enum {
    CALIBRATION_NS = 20000000,
    EMPTY_CALLS = 10001,
    LOOKS_AT_MOST = 16,
    MILLION = 1000000,
};

struct bench_latency_scale bench_latency_scale;

static uint64_t thread_cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

static uint64_t ns_of(uint64_t ticks)
{
    return (uint64_t)((double)ticks * bench_latency_scale.ns_per_tick);
}

/* Both clocks must be read at one moment: a look during which the thread was away is repeated. */
void bench_meter_look(struct bench_meter *meter)
{
    uint64_t before;
    unsigned tries = 0;
    do {
        before = bench_ticks();
        meter->seen_cpu_ns = thread_cpu_ns();
        meter->seen = bench_ticks();
    } while (meter->seen - before > bench_latency_scale.long_ticks && ++tries < LOOKS_AT_MOST);
    meter->end = meter->seen;
}

/* The thread's clock is read after the call's end, so time away after it takes nothing off. */
void bench_meter_end_long(struct bench_meter *meter, struct bench_latency *into)
{
    uint64_t cpu_ns = thread_cpu_ns() - meter->seen_cpu_ns;
    uint64_t passed_ns = ns_of(meter->end - meter->seen);
    uint64_t ns = ns_of(meter->end - meter->begin);
    uint64_t away_ns = passed_ns > cpu_ns ? passed_ns - cpu_ns : 0;
    if (away_ns > BENCH_LONG_NS / 4)
        meter->interrupted++;
    bench_latency_count(into, ns > away_ns ? ns - away_ns : 0);
    bench_meter_look(meter);
}

static void calibrate(void)
{
    uint64_t begin_ns = bench_clock_ns();
    uint64_t begin = bench_ticks();
    uint64_t end_ns;
    do
        end_ns = bench_clock_ns();
    while (end_ns - begin_ns < CALIBRATION_NS);
    uint64_t ticks = bench_ticks() - begin;
    bench_latency_scale.ns_per_tick = (double)(end_ns - begin_ns) / (double)ticks;
    double per_ns = 1 / bench_latency_scale.ns_per_tick;
    bench_latency_scale.long_ticks = (uint64_t)(BENCH_LONG_NS * per_ns);
    bench_latency_scale.look_ticks = (uint64_t)(BENCH_LOOK_NS * per_ns);
}

void bench_latency_start(void)
{
    calibrate();
    struct bench_latency *empty = bench_map(sizeof *empty);
    struct bench_meter meter = {0};
    bench_meter_look(&meter);
    for (unsigned i = 0; i < EMPTY_CALLS; i++) {
        bench_meter_begin(&meter);
        bench_meter_end(&meter, empty);
    }
    bench_latency_scale.empty_ns = bench_latency_at(empty, MILLION / 2);
}

static unsigned bucket_of(uint64_t ns)
{
    if (ns < BENCH_LATENCY_EXACT)
        return (unsigned)ns;
    unsigned power = 63 - (unsigned)__builtin_clzll(ns);
    unsigned step = (unsigned)(ns >> (power - 5)) % BENCH_LATENCY_STEPS;
    unsigned bucket = BENCH_LATENCY_EXACT + (power - 6) * BENCH_LATENCY_STEPS + step;
    return bucket < BENCH_LATENCY_BUCKETS ? bucket : BENCH_LATENCY_BUCKETS - 1;
}

static uint64_t last_of_bucket(unsigned bucket)
{
    if (bucket < BENCH_LATENCY_EXACT)
        return bucket;
    unsigned power = 6 + (bucket - BENCH_LATENCY_EXACT) / BENCH_LATENCY_STEPS;
    uint64_t step = (bucket - BENCH_LATENCY_EXACT) % BENCH_LATENCY_STEPS;
    return ((BENCH_LATENCY_STEPS + step + 1) << (power - 5)) - 1;
}

void bench_latency_count(struct bench_latency *into, uint64_t ns)
{
    into->calls++;
    into->buckets[bucket_of(ns)]++;
    if (ns > into->max_ns)
        into->max_ns = ns;
}

void bench_latency_add(struct bench_latency *into, const struct bench_latency *from)
{
    into->calls += from->calls;
    if (from->max_ns > into->max_ns)
        into->max_ns = from->max_ns;
    for (unsigned i = 0; i < BENCH_LATENCY_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

uint64_t bench_latency_at(const struct bench_latency *of, uint64_t millionths)
{
    /* Rounded up: of few calls p99.99 is the longest one. */
    uint64_t wanted = (of->calls * millionths + MILLION - 1) / MILLION;
    uint64_t seen = 0;
    for (unsigned i = 0; i < BENCH_LATENCY_BUCKETS; i++) {
        seen += of->buckets[i];
        if (seen >= wanted && seen != 0)
            return last_of_bucket(i) < of->max_ns ? last_of_bucket(i) : of->max_ns;
    }
    return of->max_ns;
}
