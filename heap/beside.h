/* SPDX-License-Identifier: MIT */
/* Serves threads while another thread forks (os/section.h): memory beside the shards, and lists of
 * what goes back afterwards. Everything here is lock-free, and each step is one word, so that the
 * child of a fork finds it whole at any moment.
 *
 *     objects up to 32 KiB    out of side pages of 64 KiB, one after the other; a page whose last
 *                             object is freed starts again or serves elsewhere
 *     larger ones             a mapping of their own, gone when freed
 *     frees of slab objects   posted to the shard's inbox
 *     frees of runs, whales   deferred: linked through their own first word; each later entry into
 *                             the heap gives some back
 *     fronts of ended threads left in the list, marked (front/fronts.h)
 *
 * Bounds: side pages that hold live objects, one more for each of 8 slots, and 16 free ones with
 * memory. The objects are freed, resized and asked about like all others, at any time, by any
 * thread, in parent and child. A child may lose a page (64 KiB of addresses) for each thread that
 * was between two steps. */
#ifndef HAK_HEAP_BESIDE_H
#define HAK_HEAP_BESIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "front/owed.h"
#include "os/compiler.h"
#include "os/section.h"

struct hak_shard;

/* What the page map says of a side object's page (`home` of HAK_PAGE_SIDE). */
enum {
    HAK_SIDE_PAGE = 0,
    HAK_SIDE_MAPPING = 1,
};

/* An object of at least `size` bytes at a multiple of `alignment` (a power of two), counted for the
 * shard; *is_zero: it is known to be zero. NULL: no memory. */
void *hak_beside_take(struct hak_shard *shard, size_t size, size_t alignment, bool *is_zero);

/* Takes such an object back; false: it is none, or free already. */
bool hak_beside_give(void *object);

/* Usable bytes; 0: no live object. */
size_t hak_beside_size(const void *object);

/* Notes a live run or whale that was freed beside the heap; false: it waits already, so this is a
 * second free. */
bool hak_beside_defer(void *object);

/* Gives back a portion of what is owed: at most 16 runs, and some classes of one front. Inside a
 * section, under no lock. */
HAK_COLD void hak_beside_settle(void);

/* malloc and free enter the heap by this; false: they must be served beside it. Under no lock. */
static inline bool hak_heap_enter(void)
{
    if (hak_unlikely(!hak_section_enter()))
        return false;
    if (hak_unlikely(__atomic_load_n(&hak_owed, __ATOMIC_RELAXED) != 0)) /* relaxed: a hint */
        hak_beside_settle();
    return true;
}

static inline void hak_heap_leave(void)
{
    hak_section_leave();
}

#endif
