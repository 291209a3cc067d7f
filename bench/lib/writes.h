/* SPDX-License-Identifier: MIT */
/*
 * The loop that cache_scratch and cache_thrash share: take a small object, write to it often, give
 * it back. The writes are slow when another CPU writes to the same cache line.
 */
#ifndef HAK_BENCH_WRITES_H
#define HAK_BENCH_WRITES_H

#include "bench/lib/bench.h"

enum { BENCH_WRITES = 1000, BENCH_OBJECTS_A_TURN = 50 };

/* volatile: each write must reach the cache, or there is nothing to measure. */
static inline void bench_write_often(void *object, size_t size)
{
    volatile unsigned char *bytes = object;
    for (size_t done = 0; done < BENCH_WRITES; done += size)
        for (size_t i = 0; i < size; i++)
            bytes[i]++;
}

static inline void bench_write_loop(struct bench_worker *worker)
{
    size_t size = worker->options->max;
    while (bench_more(worker)) {
        for (unsigned i = 0; i < BENCH_OBJECTS_A_TURN; i++) {
            unsigned char *object = malloc(size);
            object[0] = (unsigned char)worker->index;
            object[size - 1] = (unsigned char)i;
            unsigned char first = object[0];
            bench_write_often(object, size);
            size_t rounds = (BENCH_WRITES + size - 1) / size;
            worker->faults += object[0] != (unsigned char)(first + rounds);
            free(object);
        }
        worker->ops += 2 * BENCH_OBJECTS_A_TURN;
    }
}

#endif
