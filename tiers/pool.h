/* SPDX-License-Identifier: MIT */
/* A pool of slabs: a shard has one for tiny objects (up to 1 KiB) and one for mid objects (up to
 * 32 KiB). Each has its own regions, so short and long slabs do not fragment each other's space.
 *
 *   bin of a class, and its lock:   lists of slabs that have free objects, by how many (a full slab
 *                                   is in no list); the bitmaps and holes of all slabs (slab.h)
 *   space, and its lock:            regions, and which of their pages are free (pool_space.h)
 *
 * Any thread. Only a miss of both front and transfer cache enters a bin, for a bundle at a time.
 * Lock order: bin, then space; neither is held over mmap. Regions stay mapped until
 * hak_pool_collect_empty returns them, because lock-free readers may still read in them. */
#ifndef HAK_TIERS_POOL_H
#define HAK_TIERS_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "learn/settings.h"
#include "os/compiler.h"
#include "os/lock.h"
#include "os/numa.h"
#include "tiers/page_map.h"
#include "tiers/pool_space.h"
#include "tiers/region.h"
#include "tiers/size_class.h"
#include "tiers/slab.h"

enum {
    /* As many as the larger of both pools has classes. */
    HAK_POOL_BINS = HAK_CLASS_LAST - HAK_CLASS_TINY_LAST > HAK_CLASS_TINY_LAST
                        ? HAK_CLASS_LAST - HAK_CLASS_TINY_LAST
                        : HAK_CLASS_TINY_LAST,
    HAK_POOL_DEGREES = 4, /* of fullness: a quarter of the objects free, a half, ... */
};

struct hak_slab_list {
    struct hak_slab *first;
    struct hak_slab *last;
};

/* Objects are taken from the fullest slabs, so that other slabs become empty; of equally full ones
 * from the slab that has been in the list longest, to which most has come back. */
struct hak_pool_bin {
    struct hak_lock lock;
    uint32_t slabs; /* slabs of the class, full ones too */
    uint32_t open;  /* slabs with free objects */
    uint32_t waiting_count;
    size_t free_objects; /* in all slabs */
    size_t hole_pages;   /* kernel pages inside slabs that were given back */
    struct hak_slab_list lists[HAK_POOL_DEGREES]; /* open ones, the fullest first */
    struct hak_slab_list waiting; /* slabs to search for free kernel pages (pool_holes.h) */
    uint64_t awaited;             /* ~looked_ns of the first, 0: none; relaxed */
} __attribute__((aligned(HAK_CACHE_LINE)));

struct hak_pool {
    const struct hak_region_source *source;
    unsigned first_class;
    unsigned last_class;
    uint64_t ticked_ns;  /* the last tick; relaxed, as the next four fields */
    uint64_t refused_ns; /* when the kernel last refused a hole; 0: never */
    uint32_t tick_bin;   /* the bin with which the next tick begins */
    uint8_t filled;      /* whether objects were taken out of holes since the last tick */
    uint8_t hurries;     /* whether the next tick may come sooner: pool_holes.h */
    struct hak_pool_space space;
    struct hak_pool_bin bins[HAK_POOL_BINS];
};

/* A region and its header, or NULL if the kernel refuses. No lock. */
struct hak_region *hak_pool_map_region(const struct hak_region_source *source);

/* Unmaps a region that is in no space, and gives back its header. No lock. */
void hak_pool_unmap_region(struct hak_region *region);

void hak_pool_init(struct hak_pool *pool, const struct hak_region_source *source,
                   unsigned first_class, unsigned last_class);

/* Pushes up to `count` objects of the class on the chain *chain, from slabs that have free ones.
 * Returns how many. */
unsigned hak_pool_take(struct hak_pool *pool, unsigned class_id, unsigned count,
                       struct hak_chain *chain);

/* Regions of the pool; may be a moment old. */
static inline unsigned hak_pool_regions(const struct hak_pool *pool)
{
    /* relaxed: a figure; written under the space's lock */
    return __atomic_load_n(&pool->space.all.count, __ATOMIC_RELAXED);
}

/* Bytes of free pages that the kernel still backs; may be a moment old. */
static inline size_t hak_pool_dirty_bytes(const struct hak_pool *pool)
{
    /* relaxed: a hint; written under the space's lock */
    return __atomic_load_n(&pool->space.dirty_bytes, __ATOMIC_RELAXED);
}

/* Free objects of a class in slabs; may be a moment old. */
static inline size_t hak_pool_free_objects(const struct hak_pool *pool, unsigned class_id)
{
    /* relaxed: a figure; written under the bin's lock */
    return __atomic_load_n(&pool->bins[class_id - pool->first_class].free_objects,
                           __ATOMIC_RELAXED);
}

/* All objects of a class in slabs, a moment ago. */
static inline size_t hak_pool_objects(const struct hak_pool *pool, unsigned class_id)
{
    /* relaxed: as above */
    return (size_t)__atomic_load_n(&pool->bins[class_id - pool->first_class].slabs,
                                   __ATOMIC_RELAXED) *
           hak_classes[class_id].capacity;
}

/* Slabs of a class, and kernel pages inside them that were given back, a moment ago. */
static inline uint32_t hak_pool_slabs(const struct hak_pool *pool, unsigned class_id)
{
    /* relaxed, here and below: figures; written under the bin's lock */
    return __atomic_load_n(&pool->bins[class_id - pool->first_class].slabs, __ATOMIC_RELAXED);
}

static inline size_t hak_pool_hole_pages(const struct hak_pool *pool, unsigned class_id)
{
    return __atomic_load_n(&pool->bins[class_id - pool->first_class].hole_pages, __ATOMIC_RELAXED);
}

/* As hak_pool_take, from a new slab. Returns 0 if the kernel refused memory. */
unsigned hak_pool_take_fresh(struct hak_pool *pool, unsigned class_id, unsigned count,
                             struct hak_chain *chain);

/* The same, but maps nothing: 0 if no free pages of the pool are long enough. */
unsigned hak_pool_take_unused(struct hak_pool *pool, unsigned class_id, unsigned count,
                              struct hak_chain *chain);

/* Takes back objects from the top of the chain *chain while they belong to this pool's shard, and
 * leaves the rest in *chain. It stops at what is no object (an interior pointer, or a second free)
 * and at a broken link; the caller reports these. Returns how many were taken. */
unsigned hak_pool_give(struct hak_pool *pool, unsigned class_id, struct hak_chain *chain,
                       const struct hak_settings *settings);

/* Takes back one object that is in no chain. Returns whether it was given: it is an object of this
 * pool's, and was not free. Else nothing is written. */
bool hak_pool_give_one(struct hak_pool *pool, unsigned class_id, void *object,
                       const struct hak_settings *settings);

/* Whether an object of this pool is free in its slab, and in no front, bundle or inbox. Takes the
 * bin's lock. */
bool hak_pool_says_free(struct hak_pool *pool, unsigned class_id, const void *object);

/* Purges a portion of the free pages that were not used for settings->decay_ns: at most
 * HAK_SPACE_TICK_CALLS calls, and as many for kernel pages inside slabs. Cheap if there are none.
 * Returns whether more is due inside slabs. */
bool hak_pool_tick(struct hak_pool *pool, const struct hak_settings *settings, uint64_t now_ns);

/* Purges all free pages, also those inside slabs, in portions, between which other threads get the
 * locks. Returns bytes. */
size_t hak_pool_purge(struct hak_pool *pool);

/* Unlinks and purges all regions without a slab, and returns them as a list by `next`: the caller
 * unmaps them once no thread can be reading in them. Its work grows with what it collects. */
struct hak_region *hak_pool_collect_empty(struct hak_pool *pool);

/* Takes all regions away, in use or not, and returns them as a list by `next`: the pool is at its
 * end. No other thread is in the pool. */
struct hak_region *hak_pool_end(struct hak_pool *pool);

/* Binds all regions to the source's node. `pages` says whether their pages stay where they are or
 * move, which may take milliseconds for each region. */
void hak_pool_settle(struct hak_pool *pool, enum hak_os_pages pages);

/* Bytes in slabs (taken from the space). */
size_t hak_pool_slab_bytes(struct hak_pool *pool);

/* Bytes of kernel pages inside slabs that were given back. */
size_t hak_pool_hole_bytes(const struct hak_pool *pool);

/* Bytes of the slabs' objects that are not free, whether programs or fronts hold them. Slabs'
 * unused ends do not count. */
size_t hak_pool_taken_bytes(struct hak_pool *pool);

/* The region of an address whose page says class > 0. */
static inline struct hak_region *hak_region_of(const void *address)
{
    return hak_page_header(address);
}

/* Kernel pages of the bin became holes (change above 0), or are none any more. Under its lock. */
static inline void hak_pool_count_holes(struct hak_pool_bin *bin, int change)
{
    /* relaxed: statistics read it without the lock */
    __atomic_store_n(&bin->hole_pages, bin->hole_pages + (size_t)change, __ATOMIC_RELAXED);
}

/* The slab of an object; the class of its page is not 0. */
static inline struct hak_slab *hak_slab_of(const void *object, struct hak_page page)
{
    unsigned index = (unsigned)((uintptr_t)object >> HAK_PAGE_SHIFT) % HAK_REGION_PAGES;
    return &hak_region_of(object)->slabs[index - page.offset];
}

/* Whether an object of a slab begins there; the class of its page was not 0 a moment ago. A faulty
 * program may ask while another thread unmaps the region. */
static inline bool hak_slab_begins(const void *object, struct hak_page page)
{
    return hak_region_of(object) != NULL && hak_slab_is_object(hak_slab_of(object, page), object);
}

/* The page of a slab of a heap that the program made, in the form that other slabs' pages have;
 * class 0 for any other page. */
static inline struct hak_page hak_slab_own_page(const void *object, struct hak_page page)
{
    if (!hak_page_is_own_slab(page) || hak_region_of(object) == NULL)
        return (struct hak_page){0, 0, 0};
    if (page.offset >= HAK_PAGE_OWN_TINY)
        return (struct hak_page){(uint8_t)(page.offset - HAK_PAGE_OWN_TINY), 0, page.home};
    page.offset -= HAK_PAGE_OWN_SLAB;
    /* relaxed: constant while the program holds an object of the slab */
    page.class_id = __atomic_load_n(&hak_slab_of(object, page)->class_id, __ATOMIC_RELAXED);
    return page;
}

#endif
