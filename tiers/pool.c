/* SPDX-License-Identifier: MIT */
/* Slabs enter and leave bins. Any thread; pool.h describes the locks, pool_space.c the pages. */
#include "tiers/pool.h"

#include <string.h>

#include "os/inject.h"
#include "os/memory.h"
#include "tiers/header.h"
#include "tiers/headroom.h"
#include "tiers/object.h"
#include "tiers/pool_holes.h"

_Static_assert(sizeof(struct hak_region) <= HAK_HEADER_SLOT, "the header fits a slot");

static struct hak_pool_bin *bin_of(struct hak_pool *pool, unsigned class_id)
{
    return &pool->bins[class_id - pool->first_class];
}

/* Whether it belongs to a heap that the program made: the page map tells its slabs apart. */
static bool is_own(const struct hak_pool *pool)
{
    return pool->source->terms != NULL;
}

void hak_pool_init(struct hak_pool *pool, const struct hak_region_source *source,
                   unsigned first_class, unsigned last_class)
{
    pool->source = source;
    pool->space.source = source;
    pool->first_class = first_class;
    pool->last_class = last_class;
}

/* ---- pages ---------------------------------------------------------------------------------- */

struct hak_region *hak_pool_map_region(const struct hak_region_source *source)
{
    struct hak_region *region = hak_header_take(sizeof *region);
    if (region == NULL)
        return NULL;
    /* Read before the memory is bound: if the shard moves meanwhile, the region counts as bound to
     * the old node, and is settled again. */
    region->node = hak_region_source_node(source);
    region->source = source;
    region->base = hak_region_map(source, HAK_REGION_SIZE);
    if (region->base == NULL) {
        hak_header_give(region, sizeof *region);
        return NULL;
    }
    hak_page_map_set_header(region->base, HAK_REGION_SIZE, region);
    hak_page_map_set_kind(region->base, 1, HAK_PAGE_RESERVED, 0);
    return region;
}

void hak_pool_unmap_region(struct hak_region *region)
{
    char *base = region->base;
    const struct hak_region_source *source = region->source;
    hak_page_map_set_kind(base, HAK_REGION_PAGES, HAK_PAGE_FOREIGN, 0);
    hak_page_map_set_header(base, HAK_REGION_SIZE, NULL);
    hak_header_give(region, sizeof *region);
    hak_region_unmap(source, base, HAK_REGION_SIZE);
}

/* Maps a region, and returns its first `count` pages; the others are free. */
static void *take_pages_of_new_region(struct hak_pool *pool, unsigned count)
{
    struct hak_region *region = hak_pool_map_region(pool->source);
    if (region == NULL)
        return NULL;
    region->pool = pool;
    return hak_pool_space_add(&pool->space, region, count);
}

/* Gives an empty slab's pages back to its region. No lock held by the caller. */
static void release_slab(struct hak_pool *pool, struct hak_slab *slab,
                         const struct hak_settings *settings)
{
    struct hak_region *region = hak_region_of(slab->base);
    unsigned first = (unsigned)(slab - region->slabs);
    /* This comes first: the next owner of the pages writes its own entries. */
    hak_page_map_set_kind(slab->base, slab->pages, HAK_PAGE_RESERVED, 0);
    slab->class_id = HAK_CLASS_NONE;
    /* The space takes no note of holes: from here on they count as pages with memory. */
    hak_headroom_take(slab->hole_count * hak_os_page_size());
    hak_pool_space_give(&pool->space, region, first, slab->pages, settings);
    hak_count(pool->source->counters, HAK_COUNTER_SLABS_RELEASED, 1);
}

/* ---- bins: slabs with free objects ---------------------------------------------------------- */

/* Under the bin's lock. relaxed: hak_pool_take reads it before it takes the lock */
static void count_open(struct hak_pool_bin *bin, int change)
{
    __atomic_store_n(&bin->open, bin->open + (uint32_t)change, __ATOMIC_RELAXED);
}

/* Under the bin's lock. relaxed: statistics read it without the lock */
static void count_slab(struct hak_pool_bin *bin, int change)
{
    __atomic_store_n(&bin->slabs, bin->slabs + (uint32_t)change, __ATOMIC_RELAXED);
}

/* Under the bin's lock. relaxed: statistics read it without the lock */
static void count_free(struct hak_pool_bin *bin, int change)
{
    __atomic_store_n(&bin->free_objects, bin->free_objects + (size_t)change, __ATOMIC_RELAXED);
}

static unsigned degree_of(const struct hak_slab *slab)
{
    unsigned degree = slab->free_count * HAK_POOL_DEGREES / slab->capacity;
    return degree < HAK_POOL_DEGREES ? degree : HAK_POOL_DEGREES - 1;
}

static void append_slab(struct hak_pool_bin *bin, struct hak_slab *slab, unsigned degree)
{
    struct hak_slab_list *list = &bin->lists[degree];
    slab->degree = (uint8_t)degree;
    slab->next = NULL;
    slab->previous = list->last;
    if (list->last != NULL)
        list->last->next = slab;
    else
        list->first = slab;
    list->last = slab;
    count_open(bin, 1);
}

static void remove_slab(struct hak_pool_bin *bin, struct hak_slab *slab)
{
    struct hak_slab_list *list = &bin->lists[slab->degree];
    if (slab->previous != NULL)
        slab->previous->next = slab->next;
    else
        list->first = slab->next;
    if (slab->next != NULL)
        slab->next->previous = slab->previous;
    else
        list->last = slab->previous;
    count_open(bin, -1);
}

/* The fullest slab that has free objects. The bin has one. */
static struct hak_slab *fullest_slab(const struct hak_pool_bin *bin)
{
    unsigned degree = 0;
    while (bin->lists[degree].first == NULL)
        degree++;
    return bin->lists[degree].first;
}

/* Puts a slab into its right list after objects of it were taken. */
static void settle_taken(struct hak_pool_bin *bin, struct hak_slab *slab)
{
    if (slab->free_count == 0) {
        remove_slab(bin, slab);
        hak_pool_holes_leave(bin, slab);
    } else if (degree_of(slab) != slab->degree) {
        remove_slab(bin, slab);
        append_slab(bin, slab, degree_of(slab));
    }
}

/* Claims `count` objects of the slab, under the bin's lock. Holes that it fills will have pages. */
static void claim_from(struct hak_pool *pool, struct hak_pool_bin *bin, struct hak_slab *slab,
                       unsigned count, void **objects)
{
    unsigned holes = slab->hole_count;
    hak_slab_claim(slab, count, objects);
    if (hak_unlikely(slab->hole_count != holes)) {
        hak_headroom_take((holes - slab->hole_count) * hak_os_page_size());
        hak_pool_count_holes(bin, (int)slab->hole_count - (int)holes);
        /* relaxed, both: a hint. Stored only if it changes, for all takers read the line. */
        if (__atomic_load_n(&pool->filled, __ATOMIC_RELAXED) == 0)
            __atomic_store_n(&pool->filled, 1, __ATOMIC_RELAXED);
    }
}

/* Pushes objects on a chain, the first on top. */
static struct hak_chain linked(void *const *objects, unsigned count, struct hak_chain chain)
{
    unsigned room = hak_chain_room(chain);
    while (count != 0) {
        void *object = objects[--count];
        hak_link_write(object, chain);
        chain = hak_chain_make(object, --room);
    }
    return chain;
}

/* Objects are only named under the lock. Their links are written behind it, for each may be a miss,
 * or the first touch of a page: with eight threads that begin at once the others slept. */
unsigned hak_pool_take(struct hak_pool *pool, unsigned class_id, unsigned count,
                       struct hak_chain *chain)
{
    struct hak_pool_bin *bin = bin_of(pool, class_id);
    void *objects[HAK_BUNDLE_MAX];
    unsigned taken = 0;
    if (count > HAK_BUNDLE_MAX)
        count = HAK_BUNDLE_MAX;
    /* relaxed: read before the lock is taken; a slab that arrives meanwhile is found next time */
    if (__atomic_load_n(&bin->open, __ATOMIC_RELAXED) == 0)
        return 0;
    hak_lock_acquire(&bin->lock);
    while (taken < count && bin->open != 0) {
        struct hak_slab *slab = fullest_slab(bin);
        unsigned want = count - taken;
        unsigned part = want < slab->free_count ? want : slab->free_count;
        claim_from(pool, bin, slab, part, objects + taken);
        taken += part;
        settle_taken(bin, slab);
    }
    count_free(bin, -(int)taken);
    hak_lock_release(&bin->lock);
    *chain = linked(objects, taken, *chain);
    return taken;
}

/* A tiny slab of one page names its class there, so that fronts need not look further. */
static void set_own(const struct hak_pool *pool, const void *base, unsigned class_id)
{
    unsigned pages = hak_classes[class_id].slab_pages;
    if (pages == 1 && class_id <= HAK_CLASS_TINY_LAST)
        hak_page_map_set_kind(base, 1, HAK_PAGE_OWN_TINY + class_id, pool->source->home);
    else
        hak_page_map_set_own_slab(base, pages, pool->source->home);
}

/* Builds a slab at `base` and takes of it. Returns how many objects. */
static unsigned take_of_new_slab(struct hak_pool *pool, unsigned class_id, char *base,
                                 unsigned count, struct hak_chain *chain)
{
    unsigned pages = hak_classes[class_id].slab_pages;
    unsigned first = (unsigned)((uintptr_t)base >> HAK_PAGE_SHIFT) % HAK_REGION_PAGES;
    struct hak_slab *slab = &hak_region_of(base)->slabs[first];
    hak_slab_build(slab, base, class_id);
    if (hak_unlikely(is_own(pool)))
        set_own(pool, base, class_id);
    else
        hak_page_map_set_slab(base, pages, class_id, pool->source->home);
    hak_count(pool->source->counters, HAK_COUNTER_SLABS_MADE, 1);

    unsigned part = count < slab->free_count ? count : slab->free_count;
    *chain = hak_slab_take(slab, part, *chain);
    hak_inject();
    struct hak_pool_bin *bin = bin_of(pool, class_id);
    hak_lock_acquire(&bin->lock);
    count_slab(bin, 1);
    count_free(bin, slab->free_count);
    if (slab->free_count != 0)
        append_slab(bin, slab, degree_of(slab));
    hak_lock_release(&bin->lock);
    return part;
}

unsigned hak_pool_take_unused(struct hak_pool *pool, unsigned class_id, unsigned count,
                              struct hak_chain *chain)
{
    char *base = hak_pool_space_take(&pool->space, hak_classes[class_id].slab_pages);
    return base != NULL ? take_of_new_slab(pool, class_id, base, count, chain) : 0;
}

unsigned hak_pool_take_fresh(struct hak_pool *pool, unsigned class_id, unsigned count,
                             struct hak_chain *chain)
{
    unsigned pages = hak_classes[class_id].slab_pages;
    char *base = hak_pool_space_take(&pool->space, pages);
    if (base == NULL)
        base = take_pages_of_new_region(pool, pages);
    return base != NULL ? take_of_new_slab(pool, class_id, base, count, chain) : 0;
}

/* Puts a slab into its right list after objects came back; `before`: how many were free. */
static void settle_given(struct hak_pool_bin *bin, struct hak_slab *slab, unsigned before)
{
    if (before == 0) {
        append_slab(bin, slab, degree_of(slab));
    } else if (slab->free_count * HAK_POOL_DEGREES >= (slab->degree + 1u) * slab->capacity &&
               slab->degree + 1u < HAK_POOL_DEGREES) {
        remove_slab(bin, slab);
        append_slab(bin, slab, degree_of(slab));
    }
}

/* Takes an empty slab out of the bin, under its lock: the caller releases the slab. */
static void take_out(struct hak_pool_bin *bin, struct hak_slab *slab)
{
    remove_slab(bin, slab);
    hak_pool_holes_leave(bin, slab);
    count_slab(bin, -1);
    count_free(bin, -(int)slab->capacity);
    if (slab->hole_count != 0)
        hak_pool_count_holes(bin, -(int)slab->hole_count);
}

/* What follows from objects that came back to a slab, of which `before` were free, under the bin's
 * lock. A slab that became empty goes to the list *empty, unless it is the only one of its class
 * with free objects: that one is needed soon. */
static void settle(struct hak_pool *pool, struct hak_pool_bin *bin, struct hak_slab *slab,
                   unsigned before, struct hak_slab **empty)
{
    if (slab->free_count == before)
        return;
    count_free(bin, (int)(slab->free_count - before));
    settle_given(bin, slab, before);
    if (slab->free_count == slab->capacity && bin->open != 1) {
        take_out(bin, slab);
        slab->next = *empty;
        *empty = slab;
    } else if (!slab->waits) {
        hak_pool_holes_enter(pool, bin, slab);
    }
}

static inline struct hak_page page_of(const struct hak_pool *pool, const void *object)
{
    struct hak_page page = hak_page_find(object);
    return hak_unlikely(is_own(pool)) ? hak_slab_own_page(object, page) : page;
}

static void release_all(struct hak_pool *pool, struct hak_slab *empty,
                        const struct hak_settings *settings)
{
    while (empty != NULL) {
        struct hak_slab *slab = empty;
        empty = slab->next;
        release_slab(pool, slab, settings);
    }
}

/* The page of what is to be an object of the pool and the class; false: it is none. */
static inline bool find_own(const struct hak_pool *pool, unsigned class_id, const void *object,
                            struct hak_page *page)
{
    *page = page_of(pool, object);
    return page->class_id == class_id && page->home == pool->source->home;
}

/* Names the objects of a chain as far as its links are sound and they are the pool's, at most
 * HAK_BUNDLE_MAX, and leaves the others in *chain. Returns how many. No lock: each link may be a
 * miss, as in hak_pool_take. */
static unsigned name_objects(const struct hak_pool *pool, unsigned class_id,
                             struct hak_chain *chain, void **objects)
{
    unsigned count = 0;
    void *object;
    struct hak_page page;
    while (count < HAK_BUNDLE_MAX && (object = hak_chain_top(*chain)) != NULL &&
           find_own(pool, class_id, object, &page)) {
        struct hak_chain below = hak_link_read(object);
        if (!hak_link_is_sound(*chain, below))
            break;
        objects[count++] = object;
        *chain = below;
    }
    return count;
}

/* The slab of the next object that comes back, under the bin's lock; NULL: it is none of ours.
 * Objects of one page often follow each other, and while the lock is held their slab remains. */
static inline struct hak_slab *slab_of_next(const struct hak_pool *pool, unsigned class_id,
                                            const void *object, const void *last,
                                            struct hak_slab *slab)
{
    struct hak_page page;
    if (slab != NULL && ((uintptr_t)object ^ (uintptr_t)last) >> HAK_PAGE_SHIFT == 0)
        return slab;
    return find_own(pool, class_id, object, &page) ? hak_slab_of(object, page) : NULL;
}

/* Gives named objects back, under the bin's lock, as far as they are free to come. What was found
 * about an object without the lock is asked again: of one that was freed twice, the slab may be
 * gone. (name_objects reads its link without the lock, so as not to wait for memory under it. If
 * another thread unmaps the region in that moment, the faulty program ends by SIGSEGV and not by a
 * line; what is mapped there instead is no sound link, or names objects that are refused here.) */
static unsigned give_named(struct hak_pool *pool, unsigned class_id, void *const *objects,
                           unsigned count, struct hak_slab **empty)
{
    struct hak_pool_bin *bin = bin_of(pool, class_id);
    struct hak_slab *slab = NULL;
    unsigned before = 0;
    unsigned given = 0;
    for (; given < count; given++) {
        const void *last = given != 0 ? objects[given - 1] : NULL;
        struct hak_slab *next = slab_of_next(pool, class_id, objects[given], last, slab);
        if (next == NULL)
            break;
        if (next != slab) {
            if (slab != NULL)
                settle(pool, bin, slab, before, empty);
            slab = next;
            before = slab->free_count;
        }
        if (hak_slab_give(slab, objects[given]) != HAK_SLAB_GIVEN)
            break;
    }
    if (slab != NULL)
        settle(pool, bin, slab, before, empty);
    return given;
}

unsigned hak_pool_give(struct hak_pool *pool, unsigned class_id, struct hak_chain *chain,
                       const struct hak_settings *settings)
{
    struct hak_pool_bin *bin = bin_of(pool, class_id);
    struct hak_slab *empty = NULL;
    void *objects[HAK_BUNDLE_MAX];
    unsigned room = hak_chain_room(*chain);
    unsigned count = name_objects(pool, class_id, chain, objects);
    if (count == 0)
        return 0;
    hak_lock_acquire(&bin->lock);
    unsigned given = give_named(pool, class_id, objects, count, &empty);
    hak_lock_release(&bin->lock);
    if (hak_unlikely(given != count))
        *chain = hak_chain_make(objects[given], room + given);
    hak_inject();
    release_all(pool, empty, settings);
    return given;
}

bool hak_pool_give_one(struct hak_pool *pool, unsigned class_id, void *object,
                       const struct hak_settings *settings)
{
    struct hak_pool_bin *bin = bin_of(pool, class_id);
    struct hak_slab *empty = NULL;
    hak_lock_acquire(&bin->lock);
    unsigned given = give_named(pool, class_id, &object, 1, &empty);
    hak_lock_release(&bin->lock);
    hak_inject();
    release_all(pool, empty, settings);
    return given != 0;
}

bool hak_pool_says_free(struct hak_pool *pool, unsigned class_id, const void *object)
{
    struct hak_pool_bin *bin = bin_of(pool, class_id);
    hak_lock_acquire(&bin->lock);
    struct hak_page page = page_of(pool, object);
    bool is_free = page.class_id != class_id || page.home != pool->source->home ||
                   hak_slab_is_free(hak_slab_of(object, page), object);
    hak_lock_release(&bin->lock);
    return is_free;
}

/* ---- giving back to the kernel -------------------------------------------------------------- */

bool hak_pool_tick(struct hak_pool *pool, const struct hak_settings *settings, uint64_t now_ns)
{
    bool goes_on = hak_pool_holes_tick(pool, settings, now_ns);
    /* Also if nothing is dirty: a claim may have to be given back. */
    hak_pool_space_tick(&pool->space, settings, now_ns);
    return goes_on;
}

/* give_one keeps an empty slab only if it is the only one with free objects. So it is the first of
 * its list: later slabs stand behind it, and objects are taken from the first. */
static struct hak_slab *take_kept_slab(struct hak_pool_bin *bin)
{
    hak_lock_acquire(&bin->lock);
    struct hak_slab *slab = bin->lists[HAK_POOL_DEGREES - 1].first;
    if (slab != NULL && slab->free_count == slab->capacity)
        take_out(bin, slab);
    else
        slab = NULL;
    hak_lock_release(&bin->lock);
    return slab;
}

static void release_kept_slabs(struct hak_pool *pool)
{
    /* Nothing is purged here: the caller purges all pages at once, and counts them. */
    const struct hak_settings keep_all = {.slab_retain_bytes = SIZE_MAX, .decay_ns = UINT64_MAX};
    for (unsigned class_id = pool->first_class; class_id <= pool->last_class; class_id++) {
        struct hak_slab *slab = take_kept_slab(bin_of(pool, class_id));
        if (slab != NULL)
            release_slab(pool, slab, &keep_all);
    }
}

size_t hak_pool_purge(struct hak_pool *pool)
{
    release_kept_slabs(pool);
    return hak_pool_holes_purge(pool) + hak_pool_space_purge(&pool->space);
}

struct hak_region *hak_pool_collect_empty(struct hak_pool *pool)
{
    return hak_pool_space_collect(&pool->space);
}

struct hak_region *hak_pool_end(struct hak_pool *pool)
{
    return hak_pool_space_end(&pool->space);
}

void hak_pool_settle(struct hak_pool *pool, enum hak_os_pages pages)
{
    hak_pool_space_settle(&pool->space, pages);
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

size_t hak_pool_hole_bytes(const struct hak_pool *pool)
{
    size_t pages = 0;
    for (unsigned class_id = pool->first_class; class_id <= pool->last_class; class_id++)
        pages += hak_pool_hole_pages(pool, class_id);
    return pages * hak_os_page_size();
}

size_t hak_pool_taken_bytes(struct hak_pool *pool)
{
    size_t bytes = 0;
    for (unsigned class_id = pool->first_class; class_id <= pool->last_class; class_id++) {
        const struct hak_class *class = &hak_classes[class_id];
        const struct hak_pool_bin *bin = bin_of(pool, class_id);
        /* relaxed, both: read at slightly different times, so the difference may be negative */
        size_t all = (size_t)__atomic_load_n(&bin->slabs, __ATOMIC_RELAXED) * class->capacity;
        size_t free = __atomic_load_n(&bin->free_objects, __ATOMIC_RELAXED);
        bytes += all > free ? (all - free) * class->size : 0;
    }
    return bytes;
}
