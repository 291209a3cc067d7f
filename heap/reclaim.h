/* SPDX-License-Identifier: MIT */
/* What the heap does before a program hears ENOMEM: the kernel refused memory (a region, a segment,
 * a whale, our own structures; by a limit of addresses or data, overcommit, the number of mappings,
 * a node that is full), so all shards give back what is unused, and the caller tries again.
 *
 * Three steps, each followed by another try, so that a small want does not empty the whole heap:
 *
 *     1  cached whales, and ranges whose unmapping was refused before (os/kept.h)
 *     2  unused pages and wholly free segments of the large tier, of all shards
 *     3  the caller's front (before step 1), CPU and vacant fronts, transfer caches and inboxes go
 *        to slabs, empty regions to the kernel
 *
 * Fronts of other threads are out of reach: a count asks them, and they obey in their next slow
 * call (hak_front_follow).
 *
 * Bounds: one thread at a time, the others wait for it and then try again before they walk
 * themselves. When three steps did not help, the next HAK_RECLAIM_PAUSE refused calls end at once,
 * unless something was given since then to a shard or a tier. Nothing here waits for a grace period
 * longer than hak_heap_reap does. Any thread, inside a section, under no lock. */
#ifndef HAK_HEAP_RECLAIM_H
#define HAK_HEAP_RECLAIM_H

#include <stdbool.h>
#include <stddef.h>

#include "front/front.h"
#include "heap/heap.h"

enum {
    HAK_RECLAIM_PAUSE = 64, /* refused calls that end at once after a reclaim in vain */
};

/* How far one refused call has come; at its beginning all but the first two fields are zero. */
struct hak_reclaim {
    struct hak_front *own; /* the caller's front, or NULL */
    bool may_reap;         /* not while the thread is being made known to the grace periods */
    bool has_waited;
    unsigned steps; /* that were taken */
};

/* Takes the next step. Whether the caller should try again; false: nothing is left to give back. */
HAK_COLD bool hak_reclaim(struct hak_heap *heap, struct hak_reclaim *call);

/* Takes a free run of any shard's segments, and maps nothing for it; NULL if there is none. If
 * binding is strict, of the same node only. size up to HAK_LARGE_MAX. Small objects get a unit each
 * this way when there is no memory for a region. */
HAK_COLD void *hak_reclaim_run(struct hak_shard *shard, size_t size, size_t alignment,
                               enum hak_zero zero);

/* Takes an object of a class from a page of another shard's regions. */
HAK_COLD void *hak_reclaim_object(struct hak_shard *shard, unsigned class_id);

#endif
