/* SPDX-License-Identifier: MIT */
/* At work or at rest: whether neighbours may take objects from a shard's slabs.
 *
 * An object that a neighbour takes from a slab is foreign there from then on. The slab's own
 * threads must then look elsewhere, and in the end most objects are foreign to their users. So a
 * shard at work keeps its slabs, up to a slab's worth of free objects of each class for every two
 * of its CPUs: when these begin at once, each may make a slab. A shard at rest gives what it has,
 * so a thread that moves between CPUs takes its working set along.
 *
 * Rest is not measured by the clock, but in bytes of new slabs, made by any shard. So if shards at
 * work keep the only free objects, the others make at most HAK_REST_BYTES of slabs before a shard
 * without refills counts as at rest. A shard of one CPU that is at work keeps one
 * slab for each class, which is no more than each bin keeps anyway (pool.c).
 *
 * By the same measure fronts and transfer caches find what is left behind (a sweep): objects of mid
 * classes that nobody touched while slabs of a MiB were made. Any thread; hints. */
#ifndef HAK_SHARD_REST_H
#define HAK_SHARD_REST_H

#include <stdbool.h>
#include <stddef.h>

#include "os/compiler.h"
#include "shard/shard.h"

enum {
    HAK_REST_BYTES = 2 * 1024 * 1024,
    HAK_SWEEP_BYTES = 1024 * 1024, /* of slabs made, between two sweeps */
};

/* Bytes of slabs made so far by all shards; relaxed. On a cache line of its own: refills read
 * it. */
struct hak_rest_clock {
    size_t bytes;
} __attribute__((aligned(HAK_CACHE_LINE)));

extern struct hak_rest_clock hak_rest_clock;

/* A slab of this many bytes was made. */
static inline void hak_rest_advance(size_t bytes)
{
    /* relaxed: a hint */
    __atomic_fetch_add(&hak_rest_clock.bytes, bytes, __ATOMIC_RELAXED);
}

/* The shard refills one of its own threads. */
static inline void hak_rest_end(struct hak_shard *shard)
{
    /* relaxed, all: hints. Stored only if it changes, for many threads read the line. */
    size_t now = __atomic_load_n(&hak_rest_clock.bytes, __ATOMIC_RELAXED);
    if (__atomic_load_n(&shard->at_work, __ATOMIC_RELAXED) != now)
        __atomic_store_n(&shard->at_work, now, __ATOMIC_RELAXED);
}

static inline bool hak_rest_is_resting(const struct hak_shard *shard)
{
    /* relaxed, both: as above */
    return __atomic_load_n(&hak_rest_clock.bytes, __ATOMIC_RELAXED) -
               __atomic_load_n(&shard->at_work, __ATOMIC_RELAXED) >
           HAK_REST_BYTES;
}

/* Whether it is time to sweep: enough slabs were made since *last, which then becomes the present.
 * A heap in which slabs neither come nor go has nothing to sweep for. */
static inline bool hak_rest_claims_sweep(size_t *last)
{
    /* relaxed, all: hints; of two threads at once, both may sweep */
    size_t now = __atomic_load_n(&hak_rest_clock.bytes, __ATOMIC_RELAXED);
    if (hak_likely(now - __atomic_load_n(last, __ATOMIC_RELAXED) <= HAK_SWEEP_BYTES))
        return false;
    __atomic_store_n(last, now, __ATOMIC_RELAXED);
    return true;
}

/* Numbers the sweeps: a turn for shards that no thread of theirs sweeps. */
static inline size_t hak_rest_turn(void)
{
    /* relaxed: as above */
    return __atomic_load_n(&hak_rest_clock.bytes, __ATOMIC_RELAXED) / HAK_SWEEP_BYTES;
}

/* Whether a neighbour may take objects from slabs of the class. */
bool hak_rest_may_take(struct hak_shard *shard, unsigned class_id);

#endif
