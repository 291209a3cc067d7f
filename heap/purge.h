/* SPDX-License-Identifier: MIT */
/* Giving back: purges that somebody asked for, regions that nobody owns, room near a limit. */
#ifndef HAK_HEAP_PURGE_H
#define HAK_HEAP_PURGE_H

#include <stddef.h>
#include <stdint.h>

#include "heap/heap.h"
#include "os/compiler.h"

/* What a purge is to give back, and from whom. */
struct hak_heap_purge {
    unsigned id;             /* of the shard; 0: all, whales and CPU fronts too */
    size_t bytes;            /* enough */
    uint64_t deadline_ns;    /* by hak_os_now_ns; UINT64_MAX: none */
};

/* Gives the kernel what is free, unmaps empty regions after a grace period. Bytes given back. Not
 * from inside malloc or free. */
size_t hak_heap_purge(struct hak_heap *heap, const struct hak_heap_purge *purge);

/* All there is, of all. */
static inline size_t hak_heap_trim(struct hak_heap *heap)
{
    const struct hak_heap_purge all = {0, SIZE_MAX, UINT64_MAX};
    return hak_heap_purge(heap, &all);
}

/* Near the limit of the process's memory: gives back unused pages of whales and runs, whoever's
 * they are, as far as they are missed. After large memory was taken, before it is touched. */
HAK_COLD void hak_heap_make_room(struct hak_heap *heap);

/* Where calls ended without memory since this was last called, gives what lies in CPU fronts to
 * slabs, for all to use: a CPU's front is out of the others' reach. By one thread, not from inside
 * malloc or free. */
void hak_heap_relieve(struct hak_heap *heap);

/* Unmaps regions that nobody owns. Those that somebody may be looking into (grace.h) are kept for
 * the next call: nothing is waited for beyond a bounded poll, and no lock. */
void hak_heap_reap(void);

#endif
