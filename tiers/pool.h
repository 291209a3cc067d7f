/* SPDX-License-Identifier: MIT */
/* A pool of slabs: a shard has one for tiny objects (to 1 KiB) and one for mid objects (to 32 KiB),
 * each with regions of its own, so that short and long slabs do not break up each other's space.
 *
 *   bin of a class:  lock -> slabs that have free objects (full slabs are in no list), by how many;
 *                            the bits of all its slabs, and which of their pages are holes (slab.h)
 *   space:           lock -> regions, and which of their pages are free (pool_space.h)
 *
 * Any thread. Bins are only entered by a miss of the front and of the transfer cache, a bundle at a
 * time. Lock order: bin, then space; neither is held over mmap. Regions stay mapped until
 * hak_pool_collect_empty hands them out, because lock-free readers may still look into them. */
#ifndef HAK_TIERS_POOL_H
#define HAK_TIERS_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "learn/policy.h"
#include "os/compiler.h"
#include "os/lock.h"
#include "os/numa.h"
#include "tiers/page_map.h"
#include "tiers/pool_space.h"
#include "tiers/region.h"
#include "tiers/size_class.h"
#include "tiers/slab.h"

enum {
    /* Of the larger of both pools. */
    HAK_POOL_BINS = HAK_CLASS_LAST - HAK_CLASS_TINY_LAST > HAK_CLASS_TINY_LAST
                        ? HAK_CLASS_LAST - HAK_CLASS_TINY_LAST
                        : HAK_CLASS_TINY_LAST,
    HAK_POOL_DEGREES = 4,        /* of fullness: a quarter of the objects free, half of them, .. */
};

struct hak_slab_list {
    struct hak_slab *first;
    struct hak_slab *last;
};

/* Taken from are the fullest slabs, so that others fall empty; of those that are alike the one that
 * has waited longest, so that more has come back to it. */
struct hak_pool_bin {
    struct hak_lock lock;
    uint32_t slabs;              /* slabs of the class, full ones too */
    uint32_t open;               /* of them those with free objects */
    uint32_t waiting_count;
    size_t free_objects;         /* in them */
    struct hak_slab_list lists[HAK_POOL_DEGREES];    /* open ones, the fullest first */
    struct hak_slab_list waiting;    /* for a look at their free kernel pages (pool_holes.h) */
    uint64_t waiting_ns;         /* looked_ns of the first, UINT64_MAX: none; relaxed */
} __attribute__((aligned(HAK_CACHE_LINE)));

struct hak_pool {
    const struct hak_region_source *source;
    unsigned first_class;
    unsigned last_class;
    struct hak_pool_bin bins[HAK_POOL_BINS];
    struct hak_pool_space space;
    uint64_t ticked_ns;          /* the last tick; relaxed, as the next two */
    uint64_t refused_ns;         /* when the kernel would not make a hole; 0: not lately */
    uint32_t tick_bin;           /* where the next one begins */
};

void hak_pool_init(struct hak_pool *pool, const struct hak_region_source *source,
                   unsigned first_class, unsigned last_class);

/* Pushes up to `count` objects of the class on the chain *word, from slabs that have some. How
 * many. */
unsigned hak_pool_take(struct hak_pool *pool, unsigned class_id, unsigned count, uint64_t *word);

/* Regions of the pool, a moment ago. */
static inline unsigned hak_pool_regions(const struct hak_pool *pool)
{
    /* relaxed: a figure; written under the space's lock */
    return __atomic_load_n(&pool->space.all.count, __ATOMIC_RELAXED);
}

/* Bytes of free pages that the kernel still backs, a moment ago. */
static inline size_t hak_pool_dirty_bytes(const struct hak_pool *pool)
{
    /* relaxed: a hint; written under the space's lock */
    return __atomic_load_n(&pool->space.dirty_bytes, __ATOMIC_RELAXED);
}

/* Free objects of a class in slabs, a moment ago. */
static inline size_t hak_pool_free_objects(const struct hak_pool *pool, unsigned class_id)
{
    /* relaxed: a figure; written under the bin's lock */
    return __atomic_load_n(&pool->bins[class_id - pool->first_class].free_objects,
                           __ATOMIC_RELAXED);
}

/* The same from a slab made for it; 0: the kernel refused memory. */
unsigned hak_pool_take_fresh(struct hak_pool *pool, unsigned class_id, unsigned count,
                             uint64_t *word);

/* Takes back the top objects of the chain *word for as long as they belong to this pool's shard,
 * leaving the rest in *word. An object that cannot be one (interior pointer, given twice), or whose
 * link is broken, is left on top: the caller reports it. How many were taken. */
unsigned hak_pool_give(struct hak_pool *pool, unsigned class_id, uint64_t *word,
                       const struct hak_policy *policy);

/* Gives the kernel free pages that nobody used for policy->decay_ns: a portion of them, at most
 * HAK_SPACE_TICK_CALLS calls, and as many for kernel pages inside slabs. Cheap when there are none.
 * Whether more is due. */
bool hak_pool_tick(struct hak_pool *pool, const struct hak_policy *policy, uint64_t now_ns);

/* Gives the kernel all free pages, those inside slabs too, portion by portion, between which others
 * get the lock. Bytes. */
size_t hak_pool_purge(struct hak_pool *pool);

/* Unlinks all regions without a slab, purged, as a list by `next`: the caller unmaps them once
 * nobody can be reading in them. Its work is in proportion to what it collects. */
struct hak_region *hak_pool_collect_empty(struct hak_pool *pool);

/* Binds all regions to the source's node; what is in them stays, or moves, which may take
 * milliseconds a region. */
void hak_pool_settle(struct hak_pool *pool, enum hak_os_pages pages);

/* Bytes in slabs (taken from the space). */
size_t hak_pool_slab_bytes(struct hak_pool *pool);

/* Bytes of the slabs' objects that are not free, whoever holds them: without the slabs' edges. */
size_t hak_pool_taken_bytes(struct hak_pool *pool);


static inline struct hak_region *hak_region_of(const void *address)
{
    return (struct hak_region *)((uintptr_t)address & ~(uintptr_t)(HAK_REGION_SIZE - 1));
}

/* The slab of an object whose page says class > 0. */
static inline struct hak_slab *hak_slab_of(const void *object, struct hak_page page)
{
    unsigned index = (unsigned)((uintptr_t)object >> HAK_PAGE_SHIFT) % HAK_REGION_PAGES;
    return &hak_region_of(object)->slabs[index - page.offset];
}

#endif
