/* SPDX-License-Identifier: MIT */
/*
 * What every workload shares: options, threads with a common start, the clock, objects that can be
 * checked, and the one line that a run prints.
 *
 * Nothing in here allocates while the clock runs. Tables come from bench_map(), straight from the
 * kernel, so that the only malloc in a measured loop is the workload's own.
 *
 *     int main(int argc, char **argv)
 *     {
 *         struct bench_options options = { .seconds = 1, .threads = 1, .smoke_ops = 10000 };
 *         bench_parse(&options, argc, argv, "what it does");
 *         return bench_run("name", &options, work, shared);
 *     }
 */
#ifndef HAK_BENCH_H
#define HAK_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum bench_mode {
    BENCH_MEASURE, /* touch the first bytes only: the allocator is what is timed */
    BENCH_SMOKE,   /* few operations, every byte written and checked */
};

/* A workload fills in its defaults and ignores the fields that mean nothing to it. */
struct bench_options {
    double seconds;     /* how long, unless ops says how much */
    uint64_t ops;       /* operations of each thread; 0: by the clock */
    uint64_t smoke_ops; /* what --smoke sets ops to */
    unsigned threads;
    unsigned generations; /* larson: slots are turned over so often before a thread is replaced */
    size_t min;           /* smallest object */
    size_t max;           /* largest object */
    size_t slots;         /* objects that a thread holds at most */
    size_t bytes;         /* size of the live set, where that is what is fixed */
    uint64_t seed;
    const char *shape; /* which variant of the loop */
    enum bench_mode mode;
};

/* One for each thread, a cache line pair apart so that counting does not share lines. */
struct bench_worker {
    uint64_t ops;         /* operations so far; the worker adds */
    uint64_t calls;       /* mallocs and frees, where that is not ops; 0: it is */
    uint64_t faults;      /* objects whose contents were wrong; the worker adds */
    uint64_t random;      /* state of bench_random() */
    uint64_t deadline_ns; /* written before the start */
    uint64_t limit;       /* written before the start; 0: none */
    uint64_t begin_ns;    /* written by the thread, read after it is joined */
    uint64_t end_ns;
    unsigned index;
    const struct bench_options *options;
    void *shared; /* the workload's own */
} __attribute__((aligned(128)));

/* Reads the command line over the defaults; prints the options and exits when it is wrong. */
void bench_parse(struct bench_options *options, int argc, char **argv, const char *summary);

/*
 * Runs work() on options->threads threads, prints the line, and returns what main() is to return.
 * One thread means the main thread, alone: a process that never had a second thread is a case of
 * its own for an allocator.
 */
int bench_run(const char *name, const struct bench_options *options,
              void (*work)(struct bench_worker *worker), void *shared);

/* False once time or operations are used up. Reads the clock: ask once per some thousand ops. */
bool bench_more(const struct bench_worker *worker);

/* For workloads with a last figure of their own: " key=value" pairs added to the line. */
void bench_note(const char *key, uint64_t value);

/* Zeroed memory from the kernel, for the workload's tables. Never fails: it exits. */
void *bench_map(size_t size);

/* Says what is wrong and exits; for a workload that cannot go on. */
void bench_die(const char *what) __attribute__((noreturn));

uint64_t bench_clock_ns(void);
size_t bench_rss_kib(const char *field);

/* What is resident now, in KiB, by the page tables: before Linux 6.2 VmRSS left out up to 64 pages
 * for each thread. */
size_t bench_rss_now_kib(void);

/* Waits a little; after some tries gives the CPU away, since the other side may need it. */
void bench_wait(unsigned *tries);

/* Writes size into the first word and, in smoke mode, a pattern into all the rest. */
static inline void bench_fill(void *object, size_t size, enum bench_mode mode);

/* 1 when a filled object no longer holds what was written, else 0; always 0 when measuring. */
static inline unsigned bench_spoilt(const void *object, size_t max, enum bench_mode mode);

void bench_fill_rest(unsigned char *object, size_t size);
unsigned bench_rest_spoilt(const unsigned char *object, size_t max);

/* Marsaglia's xorshift: three shifts, so that the generator costs little beside a malloc. */
static inline uint64_t bench_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x;
}

/* Uniform in [0, bound) by multiplication: no division in a measured loop. bound < 2^32. */
static inline size_t bench_below(uint64_t random, size_t bound)
{
    return (size_t)(((random >> 32) * bound) >> 32);
}

/* Uniform in [min, max]. Takes other bits than bench_below(), so that one draw serves for both. */
static inline size_t bench_size(uint64_t random, size_t min, size_t max)
{
    return min + (size_t)(((random & 0xffffffff) * (max - min + 1)) >> 32);
}

static inline void bench_fill(void *object, size_t size, enum bench_mode mode)
{
    *(size_t *)object = size;
    if (mode == BENCH_SMOKE)
        bench_fill_rest(object, size);
}

static inline unsigned bench_spoilt(const void *object, size_t max, enum bench_mode mode)
{
    return mode == BENCH_SMOKE ? bench_rest_spoilt(object, max) : 0;
}

#endif
