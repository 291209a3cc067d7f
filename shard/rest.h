/* SPDX-License-Identifier: MIT */
/* At work or at rest: whether a shard's slabs may be cut for its neighbours.
 *
 * What is cut from a slab for another shard is foreign to whoever gets it, for good; and the
 * slab's own threads have to look elsewhere in their turn, until nobody's memory is his own any
 * more. So a shard at work keeps its slabs, up to a slab's worth of free objects of each class. One
 * at rest gives what it has: a thread that wanders takes its working set along.
 *
 * The time by which one rests is not the clock's: it is counted in bytes of fresh slabs, whoever
 * made them. So those who find nothing but what the busy keep make HAK_REST_BYTES of slabs at the
 * most before whoever else was not seen meanwhile counts as resting. What the busy keep is a slab
 * for each class, which is no more than every bin keeps anyway (pool.c). Any thread; hints. */
#ifndef HAK_SHARD_REST_H
#define HAK_SHARD_REST_H

#include <stdbool.h>
#include <stddef.h>

#include "os/compiler.h"
#include "shard/shard.h"

enum {
    HAK_REST_BYTES = 2 * 1024 * 1024,
};

/* Bytes of slabs made so far, by all; relaxed. A line of its own, which refills read. */
struct hak_rest_clock {
    size_t bytes;
} __attribute__((aligned(HAK_CACHE_LINE)));

extern struct hak_rest_clock hak_rest_clock;

/* A slab of so many bytes is made. */
static inline void hak_rest_advance(size_t bytes)
{
    /* relaxed: a number that tells of about now */
    __atomic_fetch_add(&hak_rest_clock.bytes, bytes, __ATOMIC_RELAXED);
}

/* One of the shard's own threads is refilled. */
static inline void hak_rest_end(struct hak_shard *shard)
{
    /* relaxed, all: as above. Stored when it is another value, for the line is read by many. */
    size_t now = __atomic_load_n(&hak_rest_clock.bytes, __ATOMIC_RELAXED);
    if (__atomic_load_n(&shard->at_work, __ATOMIC_RELAXED) != now)
        __atomic_store_n(&shard->at_work, now, __ATOMIC_RELAXED);
}

static inline bool hak_rest_is_resting(const struct hak_shard *shard)
{
    /* relaxed, both: as above */
    return __atomic_load_n(&hak_rest_clock.bytes, __ATOMIC_RELAXED) -
               __atomic_load_n(&shard->at_work, __ATOMIC_RELAXED) > HAK_REST_BYTES;
}

/* Whether slabs of the class may be cut for a neighbour. */
bool hak_rest_may_take(struct hak_shard *shard, unsigned class_id);

#endif
