/* SPDX-License-Identifier: MIT */
/* Slabs in and out of bins, pages in and out of regions. Any thread; see pool.h for the locks. */
#include "tiers/pool.h"

#include <string.h>

#include "os/bits.h"
#include "os/clock.h"
#include "os/inject.h"
#include "os/memory.h"
#include "tiers/object.h"
#include "topology/bind.h"

enum {
    HEADER_PAGE = 1u,                      /* bit of the page that holds the header */
    REGIONS_SEARCHED = 32,                 /* then a new region: no search grows with the heap */
};

_Static_assert(sizeof(struct hak_region) <= HAK_PAGE_SIZE, "the header fits its page");

static struct hak_pool_bin *bin_of(struct hak_pool *pool, unsigned class_id)
{
    return &pool->bins[class_id - pool->first_class];
}

void hak_pool_init(struct hak_pool *pool, const struct hak_region_source *source,
                   unsigned first_class, unsigned last_class)
{
    pool->source = source;
    pool->first_class = first_class;
    pool->last_class = last_class;
}

/* ---- space: pages of regions ---------------------------------------------------------------- */

static void link_region(struct hak_pool_space *space, struct hak_region *region)
{
    region->previous = NULL;
    region->next = space->first;
    if (space->first != NULL)
        space->first->previous = region;
    space->first = region;
}

static void unlink_region(struct hak_pool_space *space, struct hak_region *region)
{
    if (region->previous != NULL)
        region->previous->next = region->next;
    else
        space->first = region->next;
    if (region->next != NULL)
        region->next->previous = region->previous;
}

static void link_all(struct hak_pool_space *space, struct hak_region *region)
{
    region->all_previous = NULL;
    region->all_next = space->all;
    if (space->all != NULL)
        space->all->all_previous = region;
    space->all = region;
}

static void unlink_all(struct hak_pool_space *space, struct hak_region *region)
{
    if (region->all_previous != NULL)
        region->all_previous->all_next = region->all_next;
    else
        space->all = region->all_next;
    if (region->all_next != NULL)
        region->all_next->all_previous = region->all_previous;
}

/* Bits of `count` pages from `first` on. */
static uint32_t page_mask(unsigned first, unsigned count)
{
    return (uint32_t)(((UINT64_C(1) << count) - 1) << first);
}

/* First page of a run of `count` free pages, 0 if there is none (page 0 is never free). */
static unsigned find_run(uint32_t free_pages, unsigned count)
{
    uint32_t starts = free_pages;
    for (unsigned have = 1; have < count; have++)
        starts &= free_pages >> have;
    return starts == 0 ? 0 : hak_lowest_bit(starts);
}

/* Under the space's lock. relaxed: hak_pool_tick looks at it before it takes the lock */
static void set_dirty_bytes(struct hak_pool_space *space, size_t bytes)
{
    __atomic_store_n(&space->dirty_bytes, bytes, __ATOMIC_RELAXED);
}

/* Cuts pages out of a region; under the space's lock. */
static void *cut_pages(struct hak_pool_space *space, struct hak_region *region, unsigned first,
                       unsigned count)
{
    uint32_t mask = page_mask(first, count);
    size_t dirty = (size_t)hak_bit_count(region->dirty_pages & mask) * HAK_PAGE_SIZE;
    set_dirty_bytes(space, space->dirty_bytes - dirty);
    region->dirty_pages &= ~mask;
    region->free_pages &= ~mask;
    if (region->free_pages == 0)
        unlink_region(space, region);
    return (char *)region + (size_t)first * HAK_PAGE_SIZE;
}

static void *take_pages(struct hak_pool_space *space, unsigned count)
{
    void *pages = NULL;
    unsigned searched = 0;
    hak_lock_acquire(&space->lock);
    for (struct hak_region *region = space->first; region != NULL && searched < REGIONS_SEARCHED;
         region = region->next, searched++) {
        unsigned first = find_run(region->free_pages, count);
        if (first != 0) {
            pages = cut_pages(space, region, first, count);
            break;
        }
    }
    hak_lock_release(&space->lock);
    return pages;
}

/* Under the space's lock. relaxed: hak_pool_regions looks at it without */
static void count_region(struct hak_pool_space *space, int change)
{
    __atomic_store_n(&space->regions, space->regions + (uint32_t)change, __ATOMIC_RELAXED);
}

/* A new region, all of its pages free but `count`, which are returned. */
static void *take_pages_of_new_region(struct hak_pool *pool, unsigned count)
{
    /* Read before it is bound: should the shard move meanwhile, the region is settled once more. */
    int node = hak_region_source_node(pool->source);
    struct hak_region *region = hak_region_map(pool->source, HAK_REGION_SIZE);
    if (region == NULL)
        return NULL;
    hak_page_map_set_kind(region, 1, HAK_PAGE_RESERVED, 0);
    region->pool = pool;
    region->free_pages = ~(uint32_t)HEADER_PAGE;
    region->node = node;
    struct hak_pool_space *space = &pool->space;
    hak_lock_acquire(&space->lock);
    count_region(space, 1);
    link_region(space, region);
    link_all(space, region);
    void *pages = cut_pages(space, region, 1, count);
    hak_lock_release(&space->lock);
    return pages;
}

/* Purges the free dirty pages of a region, run by run; under the space's lock. MADV_DONTNEED keeps
 * the addresses: a lock-free reader sees zeros, never a fault. */
static size_t purge_region(struct hak_pool_space *space, struct hak_region *region)
{
    size_t purged = 0;
    while (region->dirty_pages != 0) {
        unsigned first = hak_lowest_bit(region->dirty_pages);
        uint64_t clean = ~(uint64_t)region->dirty_pages >> first;
        unsigned count = hak_lowest_bit(clean);
        hak_os_purge((char *)region + (size_t)first * HAK_PAGE_SIZE, (size_t)count * HAK_PAGE_SIZE,
                     HAK_PURGE_NOW);
        region->dirty_pages &= ~page_mask(first, count);
        purged += (size_t)count * HAK_PAGE_SIZE;
    }
    set_dirty_bytes(space, space->dirty_bytes - purged);
    return purged;
}

/* Where memory is purged in steps of huge pages, free pages of a region go all together: the header
 * alone stays then, in a huge page that is broken up, for readers without a lock. */
static int can_spare(const struct hak_region *region)
{
    return hak_region_purge_step() < HAK_REGION_SIZE ||
           region->free_pages == ~(uint32_t)HEADER_PAGE;
}

enum purge { PURGE_SPARE, PURGE_ALL };

static size_t purge_space(struct hak_pool *pool, enum purge what)
{
    size_t purged = 0;
    for (struct hak_region *region = pool->space.first; region != NULL; region = region->next)
        if (what == PURGE_ALL || can_spare(region))
            purged += purge_region(&pool->space, region);
    if (purged != 0)
        hak_count(pool->source->counters, HAK_COUNTER_BYTES_PURGED, purged);
    return purged;
}

/* Gives an empty slab's pages back to its region. No lock held by the caller. */
static void release_slab(struct hak_pool *pool, struct hak_slab *slab,
                         const struct hak_policy *policy)
{
    struct hak_region *region = hak_region_of(slab);
    struct hak_pool_space *space = &pool->space;
    unsigned first = (unsigned)(slab - region->slabs);
    unsigned count = slab->pages;
    /* Before the pages can be cut again: their next owner enters its own. */
    hak_page_map_set_kind(slab->base, count, HAK_PAGE_RESERVED, 0);
    slab->class_id = HAK_CLASS_NONE;
    uint64_t now = hak_os_coarse_now_ns();

    hak_lock_acquire(&space->lock);
    /* To the front: what is free is found by a search that goes only so far. */
    if (region->free_pages != 0)
        unlink_region(space, region);
    link_region(space, region);
    region->free_pages |= page_mask(first, count);
    region->dirty_pages |= page_mask(first, count);
    set_dirty_bytes(space, space->dirty_bytes + (size_t)count * HAK_PAGE_SIZE);
    space->last_release_ns = now;
    if (space->dirty_bytes > hak_policy_bytes(&policy->slab_retain_bytes) && can_spare(region)) {
        size_t purged = purge_region(space, region);
        hak_count(pool->source->counters, HAK_COUNTER_BYTES_PURGED, purged);
    }
    hak_lock_release(&space->lock);
    hak_count(pool->source->counters, HAK_COUNTER_SLABS_RELEASED, 1);
}

/* ---- bins: slabs with free objects ---------------------------------------------------------- */

/* Under the bin's lock. relaxed: hak_pool_take looks at it before it takes the lock */
static void set_first(struct hak_pool_bin *bin, struct hak_slab *slab)
{
    __atomic_store_n(&bin->first, slab, __ATOMIC_RELAXED);
}

/* Under the bin's lock. relaxed: statistics read it without */
static void count_slab(struct hak_pool_bin *bin, int change)
{
    __atomic_store_n(&bin->slabs, bin->slabs + (uint32_t)change, __ATOMIC_RELAXED);
}

static void append_slab(struct hak_pool_bin *bin, struct hak_slab *slab)
{
    slab->next = NULL;
    slab->previous = bin->last;
    if (bin->last != NULL)
        bin->last->next = slab;
    else
        set_first(bin, slab);
    bin->last = slab;
}

static void remove_slab(struct hak_pool_bin *bin, struct hak_slab *slab)
{
    if (slab->previous != NULL)
        slab->previous->next = slab->next;
    else
        set_first(bin, slab->next);
    if (slab->next != NULL)
        slab->next->previous = slab->previous;
    else
        bin->last = slab->previous;
}

unsigned hak_pool_take(struct hak_pool *pool, unsigned class_id, unsigned count, uint64_t *word)
{
    struct hak_pool_bin *bin = bin_of(pool, class_id);
    unsigned taken = 0;
    /* relaxed: a look before the lock; a slab that arrives meanwhile is found the next time */
    if (__atomic_load_n(&bin->first, __ATOMIC_RELAXED) == NULL)
        return 0;
    hak_lock_acquire(&bin->lock);
    while (taken < count && bin->first != NULL) {
        struct hak_slab *slab = bin->first;
        unsigned want = count - taken;
        unsigned part = want < slab->free_count ? want : slab->free_count;
        *word = hak_slab_take(slab, part, *word);
        taken += part;
        if (slab->free_count == 0)
            remove_slab(bin, slab);
    }
    hak_lock_release(&bin->lock);
    return taken;
}

unsigned hak_pool_take_fresh(struct hak_pool *pool, unsigned class_id, unsigned count,
                             uint64_t *word)
{
    unsigned pages = hak_classes[class_id].slab_pages;
    char *base = take_pages(&pool->space, pages);
    if (base == NULL)
        base = take_pages_of_new_region(pool, pages);
    if (base == NULL)
        return 0;
    unsigned first = (unsigned)((uintptr_t)base >> HAK_PAGE_SHIFT) % HAK_REGION_PAGES;
    struct hak_slab *slab = &hak_region_of(base)->slabs[first];
    hak_slab_build(slab, base, class_id);
    hak_page_map_set_slab(base, pages, class_id, pool->source->home);
    hak_count(pool->source->counters, HAK_COUNTER_SLABS_MADE, 1);

    unsigned part = count < slab->free_count ? count : slab->free_count;
    *word = hak_slab_take(slab, part, *word);
    hak_inject();
    struct hak_pool_bin *bin = bin_of(pool, class_id);
    hak_lock_acquire(&bin->lock);
    count_slab(bin, 1);
    if (slab->free_count != 0)
        append_slab(bin, slab);
    hak_lock_release(&bin->lock);
    return part;
}

/* One object back into its slab; under the bin's lock. An emptied slab is chained on *empty, unless
 * it is the only one of its class with free objects: that one would be asked for soon. */
static enum hak_slab_give give_one(struct hak_pool_bin *bin, struct hak_slab *slab, void *object,
                                   struct hak_slab **empty)
{
    enum hak_slab_give given = hak_slab_give(slab, object);
    if (given != HAK_SLAB_GIVEN)
        return given;
    if (slab->free_count == 1)
        append_slab(bin, slab);
    if (slab->free_count == slab->capacity && bin->first != bin->last) {
        remove_slab(bin, slab);
        count_slab(bin, -1);
        slab->next = *empty;
        *empty = slab;
    }
    return given;
}

unsigned hak_pool_give(struct hak_pool *pool, unsigned class_id, uint64_t *word,
                       const struct hak_policy *policy)
{
    struct hak_pool_bin *bin = bin_of(pool, class_id);
    struct hak_slab *empty = NULL;
    unsigned given = 0;
    uint64_t rest = *word;
    hak_lock_acquire(&bin->lock);
    for (void *object; (object = hak_word_object(rest)) != NULL; given++) {
        struct hak_page page = hak_page_find(object);
        if (page.class_id != class_id || page.home != pool->source->home)
            break;
        uint64_t below = hak_link_read(object);
        if (give_one(bin, hak_slab_of(object, page), object, &empty) != HAK_SLAB_GIVEN)
            break;
        rest = below;
    }
    hak_lock_release(&bin->lock);
    *word = rest;
    hak_inject();
    while (empty != NULL) {
        struct hak_slab *slab = empty;
        empty = slab->next;
        release_slab(pool, slab, policy);
    }
    return given;
}

/* ---- giving back to the kernel -------------------------------------------------------------- */

void hak_pool_tick(struct hak_pool *pool, const struct hak_policy *policy, uint64_t now_ns)
{
    struct hak_pool_space *space = &pool->space;
    /* relaxed: a stale value only shifts the purge to the next tick */
    if (__atomic_load_n(&space->dirty_bytes, __ATOMIC_RELAXED) == 0)
        return;
    if (!hak_lock_try(&space->lock))
        return;
    if (space->dirty_bytes != 0 && now_ns - space->last_release_ns > policy->decay_ns &&
        now_ns > space->last_release_ns) {
        purge_space(pool, PURGE_SPARE);
        space->last_release_ns = now_ns; /* what is to stay is not looked at all the time */
    }
    hak_lock_release(&space->lock);
}

/* Slabs that are empty but kept as the last of their class. */
static void release_kept_slabs(struct hak_pool *pool)
{
    /* Purged by the caller, all together, and counted there. */
    const struct hak_policy keep_all = { .slab_retain_bytes = SIZE_MAX };
    for (unsigned class_id = pool->first_class; class_id <= pool->last_class; class_id++) {
        struct hak_pool_bin *bin = bin_of(pool, class_id);
        struct hak_slab *empty = NULL;
        hak_lock_acquire(&bin->lock);
        struct hak_slab *slab = bin->first;
        while (slab != NULL) {
            struct hak_slab *next = slab->next;
            if (slab->free_count == slab->capacity) {
                remove_slab(bin, slab);
                count_slab(bin, -1);
                slab->next = empty;
                empty = slab;
            }
            slab = next;
        }
        hak_lock_release(&bin->lock);
        while (empty != NULL) {
            slab = empty;
            empty = slab->next;
            release_slab(pool, slab, &keep_all);
        }
    }
}

size_t hak_pool_purge(struct hak_pool *pool)
{
    release_kept_slabs(pool);
    hak_lock_acquire(&pool->space.lock);
    size_t purged = purge_space(pool, PURGE_ALL);
    hak_lock_release(&pool->space.lock);
    return purged;
}

struct hak_region *hak_pool_collect_empty(struct hak_pool *pool)
{
    struct hak_pool_space *space = &pool->space;
    struct hak_region *collected = NULL;
    hak_lock_acquire(&space->lock);
    struct hak_region *region = space->first;
    while (region != NULL) {
        struct hak_region *next = region->next;
        if (region->free_pages == ~(uint32_t)HEADER_PAGE) {
            purge_region(space, region);
            unlink_region(space, region);
            unlink_all(space, region);
            count_region(space, -1);
            region->next = collected;
            collected = region;
        }
        region = next;
    }
    hak_lock_release(&space->lock);
    return collected;
}

void hak_pool_settle(struct hak_pool *pool, enum hak_os_pages pages)
{
    struct hak_pool_space *space = &pool->space;
    int node = hak_region_source_node(pool->source);
    hak_lock_acquire(&space->lock);
    for (struct hak_region *region = space->all; region != NULL; region = region->all_next) {
        /* relaxed: see pool.h */
        if (region->node == node ||
            hak_bind_to(region, HAK_REGION_SIZE, node, pages) != HAK_BIND_DONE)
            continue;
        __atomic_store_n(&region->node, node, __ATOMIC_RELAXED);
        hak_count(pool->source->counters, HAK_COUNTER_BINDS, 1);
    }
    hak_lock_release(&space->lock);
}

size_t hak_pool_slab_bytes(struct hak_pool *pool)
{
    size_t bytes = 0;
    for (unsigned class_id = pool->first_class; class_id <= pool->last_class; class_id++) {
        /* relaxed: a figure for statistics */
        uint32_t slabs = __atomic_load_n(&bin_of(pool, class_id)->slabs, __ATOMIC_RELAXED);
        bytes += (size_t)slabs * hak_classes[class_id].slab_pages * HAK_PAGE_SIZE;
    }
    return bytes;
}
