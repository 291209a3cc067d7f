/* SPDX-License-Identifier: MIT */
/* Findings, until api/ takes them. A slot holds {address:48 | enum hak_found:16}. */
#include "shard/found.h"

#include "stats/counters.h"
#include "tiers/pool.h"
#include "tiers/size_class.h"

enum {
    SLOTS = 16,
    WHAT_BITS = 16,
};

uint32_t hak_found_waiting;

static uint64_t slots[SLOTS];
/* Where broken links are counted; written at start. */
HAK_EARLY static struct hak_counters *broken;

void hak_found_start(struct hak_counters *counters)
{
    broken = counters;
}

static void record(const void *object, enum hak_found what)
{
    uint64_t finding = (uint64_t)(uintptr_t)object << WHAT_BITS | what;
    for (unsigned i = 0; i < SLOTS; i++) {
        uint64_t empty = 0;
        /* relaxed, both: a finding is one word, and the count is a hint */
        if (__atomic_compare_exchange_n(&slots[i], &empty, finding, 0, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
            __atomic_fetch_add(&hak_found_waiting, 1, __ATOMIC_RELAXED);
            return;
        }
    }
}

enum hak_found hak_found_take(const void **object)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        /* relaxed, both: as in record */
        uint64_t finding = __atomic_exchange_n(&slots[i], 0, __ATOMIC_RELAXED);
        if (finding != 0) {
            __atomic_fetch_sub(&hak_found_waiting, 1, __ATOMIC_RELAXED);
            *object = (const void *)(uintptr_t)(finding >> WHAT_BITS);
            return (enum hak_found)(uint16_t)finding;
        }
    }
    return HAK_FOUND_NOTHING;
}

void hak_found_bad_free(struct hak_counters *counters, const void *object, enum hak_found what)
{
    hak_count(counters, HAK_COUNTER_BAD_FREES, 1);
    record(object, what);
}

static void count_broken(void)
{
    if (broken != NULL)
        hak_count(broken, HAK_COUNTER_BROKEN_LINKS, 1);
}

static bool is_object(unsigned class_id, const void *address)
{
    struct hak_page page = hak_page_find(address);
    return page.class_id == class_id && hak_slab_begins(address, page);
}

/* A link to an object that is at the wrong place in its chain was written by a second free of the
 * same object; anything else by the program. */
static enum hak_found what_broke(unsigned class_id, struct hak_chain below)
{
    const void *object = hak_chain_top(below);
    unsigned room = hak_chain_room(below);
    if (object == NULL)
        return room == hak_classes[class_id].bundle ? HAK_FOUND_FREED : HAK_FOUND_OVERWRITTEN;
    return room <= hak_classes[class_id].bundle && is_object(class_id, object)
               ? HAK_FOUND_FREED
               : HAK_FOUND_OVERWRITTEN;
}

void hak_found_broken(unsigned class_id, struct hak_chain chain)
{
    const void *object = hak_chain_top(chain);
    enum hak_found what = HAK_FOUND_INTERIOR;
    count_broken();
    if (!hak_found_is_of_class(class_id, object))
        what = HAK_FOUND_FREED; /* its slab was released */
    else if (is_object(class_id, object))
        what = what_broke(class_id, hak_link_read(object));
    record(object, what);
}

void hak_found_broken_bundle(const void *object)
{
    count_broken();
    record(object, HAK_FOUND_OVERWRITTEN);
}

bool hak_found_bundle_is_sound(unsigned class_id, struct hak_bundle next)
{
    const void *object = hak_bundle_top(next);
    unsigned count = hak_bundle_count(next);
    unsigned found = hak_page_find(object).class_id;
    if (hak_bundle_is_none(next))
        return true;
    return found != HAK_CLASS_NONE && (class_id == HAK_CLASS_NONE || found == class_id) &&
           (uintptr_t)object % HAK_CLASS_STEP == 0 && count != 0 &&
           count <= hak_classes[found].bundle;
}

struct hak_bundle hak_found_bundle_below(unsigned class_id, const void *object)
{
    struct hak_bundle next = hak_bundle_next(object);
    if (hak_likely(hak_found_bundle_is_sound(class_id, next)))
        return next;
    hak_found_broken_bundle(object);
    return HAK_NO_BUNDLE;
}
