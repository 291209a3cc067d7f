/* SPDX-License-Identifier: MIT */
/* Push and pop of the transfer cache. Any thread, no locks; see the table in the header. */
#include "shard/transfer_cache.h"

#include "config.h"
#include "os/inject.h"
#include "shard/found.h"
#include "shard/grace.h"
#include "tiers/object.h"
#include "tiers/page_map.h"

enum {
    COUNT_BITS = 16,
    CAPACITY_MIN = 4, /* bundles */
    CAPACITY_MAX = 64,
    CAPACITY_BYTES = 1024 * 1024, /* of one class in one shard, */
    FIRST_BYTES = 64 * 1024,      /* and before any was missed */
    REFUSED_IN_VAIN = 16,         /* bundles refused, of which none was missed */
};

typedef unsigned __int128 pair;

static pair pack(struct hak_stack_head head)
{
    return (pair)head.tag << 64 | head.top.word;
}

/* Two loads that may not belong together; then the compare-and-swap fails. acquire on top: the link
 * that is read through it is at least as new as its push. */
static struct hak_stack_head load_head(const struct hak_stack_head *head)
{
    uint64_t tag = __atomic_load_n(&head->tag, __ATOMIC_ACQUIRE);
    uint64_t top = __atomic_load_n(&head->top.word, __ATOMIC_ACQUIRE);
    return (struct hak_stack_head){{top}, tag};
}

/* Full barrier: a release of what the pusher wrote into the bundle, an acquire for the popper. */
static bool exchange_head(struct hak_stack_head *head, struct hak_stack_head old,
                          struct hak_stack_head new)
{
    return __sync_bool_compare_and_swap((pair *)head, pack(old), pack(new));
}

static struct hak_stack_head changed(struct hak_stack_head old, struct hak_bundle top, int bundles)
{
    uint64_t change = UINT64_C(1) << COUNT_BITS;
    return (struct hak_stack_head){top, old.tag + change + (uint64_t)(int64_t)bundles};
}

static unsigned bundles_in(struct hak_stack_head head)
{
    return (uint16_t)head.tag;
}

/* Bundles under the top one. A broken link may have made the count wrong, so it may be 0. */
static unsigned bundles_below(struct hak_stack_head head)
{
    unsigned bundles = bundles_in(head);
    return bundles - (bundles != 0);
}

static struct hak_stack_head emptied(struct hak_stack_head old)
{
    return changed(old, HAK_NO_BUNDLE, -(int)bundles_in(old));
}

/* Whether a pop may read a bundle's link before it owns the bundle: see the header. */
static bool may_be_peeked_at(unsigned class_id)
{
    return class_id <= HAK_CLASS_TINY_LAST;
}

/* The link of a bundle that another thread may own by now: then it is garbage, and unused. In a
 * read section. relaxed: a link that counts was published by the head. Read here, not by
 * hak_bundle_next, which sanitizers watch. */
__attribute__((no_sanitize("thread", "address"))) static struct hak_bundle peek_next(void *object)
{
    if (HAK_DEBUG && hak_page_find(object).class_id > HAK_CLASS_TINY_LAST)
        __builtin_trap();
    const uint64_t *second = (const uint64_t *)object + 1;
    return (struct hak_bundle){__atomic_load_n(second, __ATOMIC_RELAXED) ^ hak_link_mask(second)};
}

static size_t bundle_bytes(unsigned class_id)
{
    return (size_t)hak_classes[class_id].size * hak_classes[class_id].bundle;
}

static unsigned capacity_for(unsigned class_id, size_t bytes)
{
    unsigned capacity = (unsigned)(bytes / bundle_bytes(class_id));
    unsigned most = may_be_peeked_at(class_id) ? CAPACITY_MAX : HAK_TRANSFER_MID_MAX;
    capacity = capacity > most ? most : capacity;
    return capacity < CAPACITY_MIN ? CAPACITY_MIN : capacity;
}

unsigned hak_transfer_cache_capacity(const struct hak_transfer_cache *cache, unsigned class_id)
{
    const struct hak_transfer_bin *bin = &cache->bins[class_id];
    /* relaxed, both: hints, which whoever pushes may see a moment late */
    unsigned capacity = __atomic_load_n(&bin->capacity, __ATOMIC_RELAXED);
    unsigned refused = __atomic_load_n(&bin->refused, __ATOMIC_RELAXED);
    if (capacity == 0)
        capacity = capacity_for(class_id, FIRST_BYTES);
    unsigned in_vain = refused > REFUSED_IN_VAIN ? refused - REFUSED_IN_VAIN : 0;
    return capacity > in_vain ? capacity - in_vain : 0;
}

/* 0: as at first. relaxed, both: hints */
static void set_capacity(struct hak_transfer_bin *bin, unsigned capacity)
{
    __atomic_store_n(&bin->capacity, capacity, __ATOMIC_RELAXED);
    __atomic_store_n(&bin->refused, 0, __ATOMIC_RELAXED);
}

/* A refill wants what the bin had no room for: it gets room for twice as much. */
static HAK_COLD void grow(struct hak_transfer_cache *cache, unsigned class_id)
{
    unsigned most = capacity_for(class_id, CAPACITY_BYTES);
    unsigned first = capacity_for(class_id, FIRST_BYTES);
    unsigned capacity = 2 * hak_transfer_cache_capacity(cache, class_id);
    capacity = capacity < first ? first : capacity;
    set_capacity(&cache->bins[class_id], capacity < most ? capacity : most);
}

/* relaxed, both: hints; threads may overwrite each other's */
static void note_refusal(struct hak_transfer_bin *bin)
{
    unsigned refused = __atomic_load_n(&bin->refused, __ATOMIC_RELAXED);
    if (refused < REFUSED_IN_VAIN + CAPACITY_MAX)
        __atomic_store_n(&bin->refused, refused + 1, __ATOMIC_RELAXED);
}

void hak_transfer_cache_note_demand(struct hak_transfer_cache *cache, unsigned class_id,
                                    bool was_met)
{
    struct hak_transfer_bin *bin = &cache->bins[class_id];
    unsigned refused = __atomic_load_n(&bin->refused, __ATOMIC_RELAXED); /* relaxed: as above */
    if (hak_likely(refused == 0))
        return;
    if (!was_met)
        grow(cache, class_id);
    else if (refused > 1) /* not in vain, but still a sign that there was no room */
        __atomic_store_n(&bin->refused, 1, __ATOMIC_RELAXED);
}

bool hak_transfer_cache_is_over(const struct hak_transfer_cache *cache, unsigned class_id)
{
    return hak_transfer_cache_depth(cache, class_id) > hak_transfer_cache_capacity(cache, class_id);
}

static bool push(struct hak_transfer_cache *cache, unsigned class_id, struct hak_chain chain)
{
    struct hak_transfer_bin *bin = &cache->bins[class_id];
    struct hak_bundle bundle = hak_bundle_of(class_id, chain);
    unsigned capacity = hak_transfer_cache_capacity(cache, class_id);
    struct hak_stack_head old;
    do {
        old = load_head(&bin->head);
        if (bundles_in(old) >= capacity)
            return false;
        hak_bundle_set_next(hak_bundle_top(bundle), old.top); /* published by the exchange */
        hak_inject();
    } while (!exchange_head(&bin->head, old, changed(old, bundle, 1)));
    return true;
}

bool hak_transfer_cache_push(struct hak_transfer_cache *cache, unsigned class_id,
                             struct hak_chain chain)
{
    if (hak_likely(push(cache, class_id, chain)))
        return true;
    note_refusal(&cache->bins[class_id]);
    return false;
}

/* Puts back the bundles under the one that the pop keeps, by one exchange if the bin is still
 * empty. The exchange also publishes the links, which are as their pushers wrote them. */
static bool put_back_at_once(struct hak_transfer_bin *bin, struct hak_bundle first,
                             unsigned bundles)
{
    struct hak_stack_head old = load_head(&bin->head);
    return hak_bundle_is_none(old.top) &&
           exchange_head(&bin->head, old, changed(old, first, (int)bundles));
}

/* Puts back the bundles, and leaves in *left those for which there is no room any more. */
static void put_back(struct hak_transfer_cache *cache, unsigned class_id,
                     struct hak_bundles_left *left)
{
    if (hak_bundle_is_none(left->first))
        return;
    if (put_back_at_once(&cache->bins[class_id], left->first, left->count)) {
        *left = (struct hak_bundles_left){HAK_NO_BUNDLE, 0};
        return;
    }
    while (!hak_bundle_is_none(left->first)) {
        struct hak_bundle below = hak_found_bundle_below(class_id, hak_bundle_top(left->first));
        if (!push(cache, class_id, hak_bundle_chain(class_id, left->first))) {
            /* A push that retried wrote the link before it found no room. */
            hak_bundle_set_next(hak_bundle_top(left->first), below);
            break;
        }
        left->first = below;
        left->count -= left->count != 0;
    }
}

/* Reads no link before it owns the bundle. */
static struct hak_chain pop_by_taking_all(struct hak_transfer_cache *cache, unsigned class_id,
                                          struct hak_bundles_left *left)
{
    struct hak_transfer_bin *bin = &cache->bins[class_id];
    struct hak_stack_head old;
    do {
        old = load_head(&bin->head);
        if (hak_bundle_is_none(old.top))
            return HAK_NO_CHAIN;
    } while (!exchange_head(&bin->head, old, emptied(old)));
    hak_inject();
    *left = (struct hak_bundles_left){hak_found_bundle_below(class_id, hak_bundle_top(old.top)),
                                      bundles_below(old)};
    put_back(cache, class_id, left);
    return hak_bundle_chain(class_id, old.top);
}

/* In a read section. If the link is unsound, another thread owns the bundle, and the exchange
 * fails; or the link is broken, and the exchange leaves the bin empty. */
static struct hak_chain pop_by_peeking(struct hak_transfer_bin *bin, unsigned class_id,
                                       struct hak_bundles_left *left)
{
    struct hak_stack_head old;
    struct hak_stack_head new;
    bool is_sound;
    do {
        old = load_head(&bin->head);
        if (hak_bundle_is_none(old.top))
            return HAK_NO_CHAIN;
        hak_inject();
        struct hak_bundle next = peek_next(hak_bundle_top(old.top));
        hak_inject();
        is_sound = hak_found_bundle_is_sound(class_id, next);
        new = is_sound ? changed(old, next, -1) : emptied(old);
    } while (!exchange_head(&bin->head, old, new));
    if (hak_unlikely(!is_sound)) {
        left->count = bundles_below(old);
        hak_found_broken_bundle(hak_bundle_top(old.top));
    }
    return hak_bundle_chain(class_id, old.top);
}

struct hak_chain hak_transfer_cache_pop(struct hak_transfer_cache *cache, unsigned class_id,
                                        struct hak_bundles_left *left)
{
    *left = (struct hak_bundles_left){HAK_NO_BUNDLE, 0};
    struct hak_transfer_bin *bin = &cache->bins[class_id];
    /* relaxed: an empty bin costs one load and no read section */
    if (__atomic_load_n(&bin->head.top.word, __ATOMIC_RELAXED) == 0)
        return HAK_NO_CHAIN;
    struct hak_grace_section section;
    if (!may_be_peeked_at(class_id) || !hak_grace_enter(&section))
        return pop_by_taking_all(cache, class_id, left);
    struct hak_chain chain = pop_by_peeking(bin, class_id, left);
    hak_grace_leave(&section);
    return chain;
}

bool hak_transfer_cache_is_full(const struct hak_transfer_cache *cache, unsigned class_id)
{
    return hak_transfer_cache_depth(cache, class_id) >=
           hak_transfer_cache_capacity(cache, class_id);
}

unsigned hak_transfer_cache_depth(const struct hak_transfer_cache *cache, unsigned class_id)
{
    return bundles_in(load_head(&cache->bins[class_id].head));
}

bool hak_transfer_cache_is_idle(struct hak_transfer_cache *cache, unsigned class_id)
{
    struct hak_transfer_bin *bin = &cache->bins[class_id];
    struct hak_stack_head head = load_head(&bin->head);
    /* relaxed, both: at worst, two threads that ask at once find a busy bin idle */
    uint64_t seen = __atomic_load_n(&bin->seen_tag, __ATOMIC_RELAXED);
    __atomic_store_n(&bin->seen_tag, head.tag, __ATOMIC_RELAXED);
    if (head.tag == seen)
        set_capacity(bin, 0);
    return !hak_bundle_is_none(head.top) && head.tag == seen;
}

bool hak_transfer_cache_is_stale(struct hak_transfer_cache *cache, unsigned class_id)
{
    struct hak_transfer_bin *bin = &cache->bins[class_id];
    struct hak_stack_head head = load_head(&bin->head);
    /* relaxed, both: as above */
    uint64_t seen = __atomic_load_n(&bin->swept_tag, __ATOMIC_RELAXED);
    __atomic_store_n(&bin->swept_tag, head.tag, __ATOMIC_RELAXED);
    return !hak_bundle_is_none(head.top) && head.tag == seen;
}
