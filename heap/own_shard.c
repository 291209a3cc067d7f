/* SPDX-License-Identifier: MIT */
/* Shards of heaps that the program made: see the header. A mapping of a single object, for what is
 * larger than HAK_LARGE_MAX or more aligned than a segment gives:
 *
 *    mapping (2 MiB)          object - 64 KiB      object, the page that the page map knows
 *   +-----------------------+--------------------+------------------------------ - - - ---+
 *   | (lead, for alignment) | struct hak_alone   | usable bytes                           |
 *   +-----------------------+--------------------+------------------------------ - - - ---+
 */
#include "heap/own_shard.h"

#include <string.h>

#include "os/apart.h"
#include "os/bits.h"
#include "os/clock.h"
#include "os/inject.h"
#include "os/memory.h"
#include "shard/magazine.h"
#include "tiers/headroom.h"
#include "tiers/large_purge.h"
#include "tiers/meta.h"

enum {
    CALLS_PER_LOOK = 256,
    LEAD = HAK_PAGE_SIZE,
};

static const uint64_t LOOK_PAUSE_NS = 100ul * 1000 * 1000;

struct hak_alone {
    struct hak_alone *next;
    struct hak_alone *previous;
    char *mapping;
    size_t total; /* bytes of the mapping */
    enum hak_os_pages_kind kind;
    void *object;
};

struct hak_own_shard **hak_own_shards;

static struct {
    struct hak_lock lock;
    struct hak_own_shard *unused;
    uint32_t last; /* relaxed, for looks */
} table;

unsigned hak_own_shard_last(void)
{
    /* acquire: pairs with the release in fresh; entries up to it are written */
    return __atomic_load_n(&table.last, __ATOMIC_ACQUIRE);
}

/* ---- coming and going ------------------------------------------------------------------------ */

/* Under the table's lock. */
static struct hak_own_shard *fresh(void)
{
    enum { TABLE_BYTES = (HAK_OWN_SHARDS_MAX + 1) * sizeof(struct hak_own_shard *) };
    if (hak_own_shards == NULL) {
        hak_own_shards = hak_apart_map_meta(TABLE_BYTES, hak_os_page_size());
        if (hak_own_shards != NULL)
            hak_os_advise_sparse(hak_own_shards, TABLE_BYTES);
    }
    if (hak_own_shards == NULL || table.last == HAK_OWN_SHARDS_MAX)
        return NULL;
    struct hak_own_shard *shard = hak_meta_alloc(sizeof *shard, HAK_CACHE_LINE);
    if (shard == NULL)
        return NULL;
    unsigned number = table.last + 1;
    shard->number = (uint16_t)number;
    hak_own_shards[number] = shard;
    /* release: pairs with the acquire in hak_own_shard_last */
    __atomic_store_n(&table.last, number, __ATOMIC_RELEASE);
    return shard;
}

static struct hak_own_shard *used_or_fresh(void)
{
    hak_lock_acquire(&table.lock);
    struct hak_own_shard *shard = table.unused;
    if (shard != NULL)
        table.unused = shard->next;
    else
        shard = fresh();
    hak_lock_release(&table.lock);
    return shard;
}

struct hak_own_shard *hak_own_shard_make(struct hak_own_heap *heap, struct hak_terms *terms,
                                         const struct hak_settings *settings, int node)
{
    struct hak_own_shard *shard = used_or_fresh();
    if (shard == NULL)
        return NULL;
    shard->heap = heap;
    shard->settings = settings;
    shard->source = (struct hak_region_source){
        .counters = &shard->counters, .node = node, .home = shard->number, .terms = terms};
    hak_pool_init(&shard->tiny, &shard->source, 1, HAK_CLASS_TINY_LAST);
    hak_pool_init(&shard->mid, &shard->source, HAK_CLASS_TINY_LAST + 1, HAK_CLASS_LAST);
    hak_learner_start(&shard->learner, settings, shard->number);
    hak_large_init(&shard->large, &shard->source, &shard->learner);
    return shard;
}

void hak_own_shard_open(struct hak_own_shard *shard)
{
    /* seq_cst: pairs with the loads in hak_own_shard_enter; whoever enters finds the shard built */
    __atomic_store_n(&shard->open, 1, __ATOMIC_SEQ_CST);
}

void hak_own_shard_close(struct hak_own_shard *shard)
{
    /* seq_cst: before the loads of `inside`; pairs with hak_own_shard_enter */
    __atomic_store_n(&shard->open, 0, __ATOMIC_SEQ_CST);
}

bool hak_own_shard_is_empty(const struct hak_own_shard *shard)
{
    return __atomic_load_n(&shard->inside, __ATOMIC_SEQ_CST) == 0; /* seq_cst: as above */
}

static void unmap_regions(struct hak_region *regions)
{
    while (regions != NULL) {
        struct hak_region *region = regions;
        regions = region->next;
        hak_pool_unmap_region(region);
    }
}

static void unmap_alone(struct hak_own_shard *shard, struct hak_alone *alone)
{
    size_t total = alone->total;
    hak_page_map_set_kind(alone->object, 1, HAK_PAGE_FOREIGN, 0);
    hak_region_unmap_large(&shard->source, alone->mapping, total, alone->kind);
    hak_headroom_give(total);
}

void hak_own_shard_end(struct hak_own_shard *shard)
{
    unmap_regions(hak_pool_end(&shard->tiny));
    unmap_regions(hak_pool_end(&shard->mid));
    hak_large_end(&shard->large);
    while (shard->alone != NULL) {
        struct hak_alone *alone = shard->alone;
        shard->alone = alone->next;
        unmap_alone(shard, alone);
    }
}

/* Clears all but the learner's samples, which it never touched: it learns nothing. */
void hak_own_shard_drop(struct hak_own_shard *shard)
{
    char *begin = (char *)&shard->heap;
    memset(begin, 0, (size_t)((char *)shard->learner.samples - begin));
    hak_lock_acquire(&table.lock);
    shard->next = table.unused;
    table.unused = shard;
    hak_lock_release(&table.lock);
}

/* ---- mappings of single objects -------------------------------------------------------------- */

static size_t alone_usable(const struct hak_alone *alone)
{
    return (size_t)(alone->mapping + alone->total - (char *)alone->object);
}

static void *take_alone(struct hak_own_shard *shard, const struct hak_own_request *request)
{
    /* A mapping begins at a multiple of 2 MiB, so a multiple of a larger alignment lies within
     * `lead` bytes of it. */
    size_t lead = request->alignment > LEAD ? request->alignment : LEAD;
    size_t total;
    if (__builtin_add_overflow(request->size, lead + HAK_REGION_SIZE - 1, &total) ||
        total > PTRDIFF_MAX)
        return NULL;
    total = hak_align_down(total, HAK_REGION_SIZE);
    bool is_hugetlb;
    char *mapping = hak_region_map_large(&shard->source, total, HAK_HUGE_DEFAULT, &is_hugetlb);
    if (mapping == NULL)
        return NULL;
    char *object = (char *)hak_align_up((uintptr_t)mapping + LEAD, lead);
    struct hak_alone *alone = (struct hak_alone *)(object - LEAD);
    *alone = (struct hak_alone){.mapping = mapping,
                                .total = total,
                                .object = object,
                                .kind = is_hugetlb ? HAK_OS_HUGETLB : HAK_OS_PLAIN};
    hak_headroom_grow(total);
    hak_headroom_take(total);
    hak_lock_acquire(&shard->alone_lock);
    alone->next = shard->alone;
    if (alone->next != NULL)
        alone->next->previous = alone;
    shard->alone = alone;
    shard->alone_bytes += alone_usable(alone);
    hak_lock_release(&shard->alone_lock);
    hak_page_map_set_kind(object, 1, HAK_PAGE_OWN_ALONE, shard->number);
    return object;
}

static struct hak_alone *alone_of(const void *object)
{
    return (struct hak_alone *)((uintptr_t)object - LEAD);
}

/* Looks at the page map again, under the lock: if two threads free the object, one of them sees
 * that it is gone. */
static bool give_alone(struct hak_own_shard *shard, void *object)
{
    struct hak_alone *alone = alone_of(object);
    hak_lock_acquire(&shard->alone_lock);
    struct hak_page page = hak_page_find(object);
    bool is_live = page.offset == HAK_PAGE_OWN_ALONE && page.home == shard->number;
    if (is_live) {
        hak_page_map_set_kind(object, 1, HAK_PAGE_FOREIGN, 0);
        if (alone->previous != NULL)
            alone->previous->next = alone->next;
        else
            shard->alone = alone->next;
        if (alone->next != NULL)
            alone->next->previous = alone->previous;
        shard->alone_bytes -= alone_usable(alone);
    }
    hak_lock_release(&shard->alone_lock);
    if (is_live)
        unmap_alone(shard, alone);
    return is_live;
}

/* ---- objects --------------------------------------------------------------------------------- */

static struct hak_pool *pool_of(struct hak_own_shard *shard, unsigned class_id)
{
    return class_id <= HAK_CLASS_TINY_LAST ? &shard->tiny : &shard->mid;
}

unsigned hak_own_shard_refill(struct hak_own_shard *shard, unsigned class_id, unsigned count,
                              struct hak_chain *chain)
{
    struct hak_pool *pool = pool_of(shard, class_id);
    unsigned taken = hak_pool_take(pool, class_id, count, chain);
    return taken != 0 ? taken : hak_pool_take_fresh(pool, class_id, count, chain);
}

unsigned hak_own_shard_give_chain(struct hak_own_shard *shard, unsigned class_id,
                                  struct hak_chain *chain)
{
    return hak_pool_give(pool_of(shard, class_id), class_id, chain, shard->settings);
}

static void *take_small(struct hak_own_shard *shard, unsigned class_id)
{
    struct hak_chain chain = hak_magazine_empty(class_id);
    hak_own_shard_refill(shard, class_id, 1, &chain);
    return hak_chain_top(chain);
}

void *hak_own_shard_take(struct hak_own_shard *shard, const struct hak_own_request *request)
{
    if (request->class_id != HAK_CLASS_NONE)
        return take_small(shard, request->class_id);
    if (request->size > HAK_LARGE_MAX || request->alignment > HAK_LARGE_ALIGNMENT_MAX)
        return take_alone(shard, request);
    return hak_large_take(&shard->large, request->size, request->alignment, request->zero,
                          shard->settings);
}

static enum hak_own_object give_small(struct hak_own_shard *shard, void *object,
                                      struct hak_page page)
{
    page = hak_slab_own_page(object, page);
    if (page.class_id == HAK_CLASS_NONE || !hak_slab_begins(object, page))
        return HAK_OWN_INTERIOR;
    struct hak_pool *pool = pool_of(shard, page.class_id);
    return hak_pool_give_one(pool, page.class_id, object, shard->settings) ? HAK_OWN_LIVE
                                                                           : HAK_OWN_FREE;
}

bool hak_own_shard_says_free(struct hak_own_shard *shard, const void *object, struct hak_page page)
{
    if (!hak_page_is_own_slab(page))
        return false;
    page = hak_slab_own_page(object, page);
    return page.class_id == HAK_CLASS_NONE ||
           hak_pool_says_free(pool_of(shard, page.class_id), page.class_id, object);
}

enum hak_own_object hak_own_shard_give(struct hak_own_shard *shard, void *object,
                                       struct hak_page page)
{
    if (hak_page_is_own_slab(page))
        return give_small(shard, object, page);
    bool given = page.offset == HAK_PAGE_OWN_ALONE
                     ? (uintptr_t)object % HAK_PAGE_SIZE == 0 && give_alone(shard, object)
                     : hak_large_give(object, shard->settings);
    return given ? HAK_OWN_LIVE : HAK_OWN_FREE;
}

size_t hak_own_shard_size(const void *object, struct hak_page page)
{
    if (page.offset == HAK_PAGE_OWN_ALONE)
        return (uintptr_t)object % HAK_PAGE_SIZE == 0 ? alone_usable(alone_of(object)) : 0;
    if (page.offset == HAK_PAGE_OWN_LARGE)
        return hak_large_size(object);
    page = hak_slab_own_page(object, page);
    return page.class_id != HAK_CLASS_NONE && hak_slab_begins(object, page)
               ? hak_classes[page.class_id].size
               : 0;
}

bool hak_own_shard_resize(struct hak_own_shard *shard, void *run, size_t size)
{
    return hak_large_resize(run, size, shard->settings);
}

/* ---- upkeep ---------------------------------------------------------------------------------- */

void hak_own_shard_tick(struct hak_own_shard *shard, uint64_t now_ns)
{
    hak_pool_tick(&shard->tiny, shard->settings, now_ns);
    hak_pool_tick(&shard->mid, shard->settings, now_ns);
    hak_large_tick(&shard->large, shard->settings, now_ns);
}

void hak_own_shard_visit(struct hak_own_shard *shard)
{
    /* relaxed, all: hints; two threads may tick at once, one of them in vain */
    uint32_t calls = __atomic_load_n(&shard->calls, __ATOMIC_RELAXED) + 1;
    __atomic_store_n(&shard->calls, calls, __ATOMIC_RELAXED);
    if (hak_likely(calls % CALLS_PER_LOOK != 0))
        return;
    uint64_t now = hak_os_coarse_now_ns();
    if (now - __atomic_load_n(&shard->last_look_ns, __ATOMIC_RELAXED) < LOOK_PAUSE_NS)
        return;
    __atomic_store_n(&shard->last_look_ns, now, __ATOMIC_RELAXED);
    hak_own_shard_tick(shard, now);
}

/* No thread peeks into slabs of these shards, so empty regions go without a grace period. */
size_t hak_own_shard_purge(struct hak_own_shard *shard)
{
    size_t bytes =
        hak_pool_purge(&shard->tiny) + hak_pool_purge(&shard->mid) + hak_large_trim(&shard->large);
    unmap_regions(hak_pool_collect_empty(&shard->tiny));
    unmap_regions(hak_pool_collect_empty(&shard->mid));
    return bytes;
}

struct hak_own_bytes hak_own_shard_bytes(struct hak_own_shard *shard)
{
    struct hak_large_bytes large = hak_large_bytes(&shard->large);
    hak_lock_acquire(&shard->alone_lock);
    size_t alone = shard->alone_bytes;
    hak_lock_release(&shard->alone_lock);
    return (struct hak_own_bytes){
        .small = hak_pool_taken_bytes(&shard->tiny) + hak_pool_taken_bytes(&shard->mid),
        .slabs = hak_pool_slab_bytes(&shard->tiny) + hak_pool_slab_bytes(&shard->mid),
        .holes = hak_pool_hole_bytes(&shard->tiny) + hak_pool_hole_bytes(&shard->mid),
        .runs = large.used,
        .alone = alone,
        .cached =
            large.dirty + hak_pool_dirty_bytes(&shard->tiny) + hak_pool_dirty_bytes(&shard->mid),
    };
}
