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
    CAPACITY_MIN = 4,                   /* bundles */
    CAPACITY_MAX = 64,
    CAPACITY_BYTES = 1024 * 1024,       /* of one class in one shard */
};

typedef unsigned __int128 pair;

static pair pack(struct hak_stack_head head)
{
    return (pair)head.tag << 64 | head.top;
}

/* Two loads that may not belong together: the compare-and-swap finds that out.
 * acquire on top: the link read through it is at least as new as its push. */
static struct hak_stack_head load_head(const struct hak_stack_head *head)
{
    uint64_t tag = __atomic_load_n(&head->tag, __ATOMIC_ACQUIRE);
    uint64_t top = __atomic_load_n(&head->top, __ATOMIC_ACQUIRE);
    return (struct hak_stack_head){ top, tag };
}

/* Full barrier: a release for what the pusher wrote into the bundle, an acquire for the popper. */
static int exchange_head(struct hak_stack_head *head, struct hak_stack_head old,
                         struct hak_stack_head new)
{
    return __sync_bool_compare_and_swap((pair *)head, pack(old), pack(new));
}

static struct hak_stack_head changed(struct hak_stack_head old, uint64_t top, int bundles)
{
    uint64_t change = UINT64_C(1) << COUNT_BITS;
    return (struct hak_stack_head){ top, old.tag + change + (uint64_t)(int64_t)bundles };
}

static unsigned bundles_in(struct hak_stack_head head)
{
    return (uint16_t)head.tag;
}

/* Whether a bundle's link may be read before the bundle is ours: see the header. */
static int may_be_peeked_at(unsigned class_id)
{
    return class_id <= HAK_CLASS_TINY_LAST;
}

/* The link of a bundle that may be somebody else's by now: then it is garbage, and unused. In a
 * read section. Read here, not by hak_next_bundle, which sanitizers watch. */
__attribute__((no_sanitize("thread", "address"))) static uint64_t peek_next(void *object)
{
    if (HAK_DEBUG && hak_page_find(object).class_id > HAK_CLASS_TINY_LAST)
        __builtin_trap();
    const uint64_t *second = (const uint64_t *)object + 1;
    return __atomic_load_n(second, __ATOMIC_RELAXED) ^ hak_link_mask(second);
}

static size_t bundle_bytes(unsigned class_id)
{
    return (size_t)hak_classes[class_id].size * hak_classes[class_id].bundle;
}

static unsigned capacity_of(unsigned class_id)
{
    unsigned capacity = (unsigned)(CAPACITY_BYTES / bundle_bytes(class_id));
    unsigned most = may_be_peeked_at(class_id) ? CAPACITY_MAX : HAK_TRANSFER_MID_MAX;
    capacity = capacity > most ? most : capacity;
    return capacity < CAPACITY_MIN ? CAPACITY_MIN : capacity;
}

void hak_transfer_cache_init(struct hak_transfer_cache *cache)
{
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++)
        cache->bins[class_id].capacity = capacity_of(class_id);
}

int hak_transfer_cache_push(struct hak_transfer_cache *cache, unsigned class_id, uint64_t word)
{
    struct hak_transfer_bin *bin = &cache->bins[class_id];
    void *object = hak_word_object(word);
    unsigned count = hak_classes[class_id].bundle - hak_word_room(word);
    uint64_t top = hak_word_make(object, count);
    struct hak_stack_head old;
    do {
        old = load_head(&bin->head);
        if (bundles_in(old) >= bin->capacity)
            return 0;
        hak_set_next_bundle(object, old.top);    /* published by the exchange */
        hak_inject();
    } while (!exchange_head(&bin->head, old, changed(old, top, 1)));
    return 1;
}

uint64_t hak_transfer_cache_chain(unsigned class_id, uint64_t top)
{
    unsigned count = hak_word_room(top);
    return hak_word_make(hak_word_object(top), hak_classes[class_id].bundle - count);
}

/* Bundles that were under the one we keep, the first as a link tells it. By one exchange if the bin
 * is still as empty as we left it. relaxed: the links stand as their pushers wrote them, which the
 * exchange hands on */
static int put_back_at_once(struct hak_transfer_bin *bin, uint64_t first, unsigned bundles)
{
    struct hak_stack_head old = load_head(&bin->head);
    return old.top == 0 && exchange_head(&bin->head, old, changed(old, first, (int)bundles));
}

/* The bundles that there is no room for any more, 0 if there are none. */
static uint64_t put_back(struct hak_transfer_cache *cache, unsigned class_id, uint64_t next,
                         unsigned bundles)
{
    if (next == 0 || put_back_at_once(&cache->bins[class_id], next, bundles))
        return 0;
    while (next != 0) {
        uint64_t below = hak_bundle_below(class_id, hak_word_object(next));
        if (!hak_transfer_cache_push(cache, class_id, hak_transfer_cache_chain(class_id, next))) {
            /* A push that was overtaken has written the link before it found no room. */
            hak_set_next_bundle(hak_word_object(next), below);
            break;
        }
        next = below;
    }
    return next;
}

/* No link is read before its bundle is ours. */
static uint64_t pop_by_taking_all(struct hak_transfer_cache *cache, unsigned class_id,
                                  uint64_t *left)
{
    struct hak_transfer_bin *bin = &cache->bins[class_id];
    struct hak_stack_head old;
    do {
        old = load_head(&bin->head);
        if (old.top == 0)
            return 0;
    } while (!exchange_head(&bin->head, old, changed(old, 0, -(int)bundles_in(old))));
    hak_inject();
    *left = put_back(cache, class_id, hak_bundle_below(class_id, hak_word_object(old.top)),
                     bundles_in(old) - 1);
    return hak_transfer_cache_chain(class_id, old.top);
}

/* In a read section. A link that is none is either somebody else's by now, or broken: the exchange
 * tells. Then the bin is left empty. */
static uint64_t pop_by_peeking(struct hak_transfer_bin *bin, unsigned class_id)
{
    struct hak_stack_head old;
    struct hak_stack_head new;
    bool is_sound;
    do {
        old = load_head(&bin->head);
        if (old.top == 0)
            return 0;
        hak_inject();
        uint64_t next = peek_next(hak_word_object(old.top));
        hak_inject();
        is_sound = hak_bundle_is_sound(class_id, next);
        new = is_sound ? changed(old, next, -1) : changed(old, 0, -(int)bundles_in(old));
    } while (!exchange_head(&bin->head, old, new));
    if (hak_unlikely(!is_sound))
        hak_found_broken_bundle(hak_word_object(old.top));
    return hak_transfer_cache_chain(class_id, old.top);
}

uint64_t hak_transfer_cache_pop(struct hak_transfer_cache *cache, unsigned class_id,
                                uint64_t *left)
{
    *left = 0;
    struct hak_transfer_bin *bin = &cache->bins[class_id];
    /* relaxed: an empty bin costs one load and no read section */
    if (__atomic_load_n(&bin->head.top, __ATOMIC_RELAXED) == 0)
        return 0;
    struct hak_grace_section section;
    if (!may_be_peeked_at(class_id) || !hak_grace_enter(&section))
        return pop_by_taking_all(cache, class_id, left);
    uint64_t word = pop_by_peeking(bin, class_id);
    hak_grace_leave(&section);
    return word;
}

int hak_transfer_cache_is_full(const struct hak_transfer_cache *cache, unsigned class_id)
{
    return hak_transfer_cache_depth(cache, class_id) >= cache->bins[class_id].capacity;
}

unsigned hak_transfer_cache_depth(const struct hak_transfer_cache *cache, unsigned class_id)
{
    return bundles_in(load_head(&cache->bins[class_id].head));
}

size_t hak_transfer_cache_bytes(const struct hak_transfer_cache *cache)
{
    size_t bytes = 0;
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++)
        bytes += hak_transfer_cache_depth(cache, class_id) * bundle_bytes(class_id);
    return bytes;
}

int hak_transfer_cache_is_idle(struct hak_transfer_cache *cache, unsigned class_id)
{
    struct hak_transfer_bin *bin = &cache->bins[class_id];
    struct hak_stack_head head = load_head(&bin->head);
    /* relaxed, both: two threads that ask at once at worst find a busy bin idle */
    uint64_t seen = __atomic_load_n(&bin->seen_tag, __ATOMIC_RELAXED);
    __atomic_store_n(&bin->seen_tag, head.tag, __ATOMIC_RELAXED);
    return head.top != 0 && head.tag == seen;
}
