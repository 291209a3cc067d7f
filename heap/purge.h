/* SPDX-License-Identifier: MIT */
/* Giving back: purges on request, regions without an owner, room near a limit. */
#ifndef HAK_HEAP_PURGE_H
#define HAK_HEAP_PURGE_H

#include <stddef.h>
#include <stdint.h>

#include "heap/heap.h"
#include "os/compiler.h"

/* What a purge gives back, and of which shard. */
struct hak_heap_purge {
    unsigned id;          /* of the shard; 0: all, and whales and CPU fronts */
    size_t bytes;         /* it may stop after this many */
    uint64_t deadline_ns; /* by hak_os_now_ns; UINT64_MAX: none */
};

/* Purges free pages and unmaps empty regions after a grace period. Returns bytes. Not from inside
 * malloc or free. */
size_t hak_heap_purge(struct hak_heap *heap, const struct hak_heap_purge *purge);

/* Everything, of all shards. */
static inline size_t hak_heap_trim(struct hak_heap *heap)
{
    const struct hak_heap_purge all = {0, SIZE_MAX, UINT64_MAX};
    return hak_heap_purge(heap, &all);
}

/* Near the limit of the process's memory: gives back unused pages of whales and runs of any shard,
 * as many as are missing. The caller has taken large memory and not touched it yet. */
HAK_COLD void hak_heap_make_room(struct hak_heap *heap);

/* If calls ended without memory since the last call, flushes CPU fronts to slabs, since other
 * threads cannot reach their objects. By one thread, not from inside malloc or free. */
void hak_heap_flush_if_refused(struct hak_heap *heap);

/* Unmaps regions without a slab. Regions that a thread may be reading (grace.h) are left to the
 * next call: it polls for a bounded time, and waits for no lock. */
void hak_heap_reap(void);

#endif
