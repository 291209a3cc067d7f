/* SPDX-License-Identifier: MIT */
/* A front is empty: where objects come from. The six sources in the order of their price, one
 * function each:
 *
 *     1  the shard's transfer cache          one compare-and-swap for a bundle
 *     2  the shard's inbox                   one exchange for everything that came home
 *     3  the shard's partly free slabs       the bin's lock; then those of retired shards
 *     4  the neighbours': 1, 2, 3 of theirs  same L3, then same node; 3 of those at rest (rest.h)
 *     5  a fresh slab                        pages, perhaps from the kernel
 *     6  shards of other nodes               better far memory than none; counted
 *
 * Stealing (4) stands before fresh memory (5), so a thread that wanders over the CPUs takes its
 * working set along instead of leaving a copy at each. Any thread. */
#include "shard/refill.h"

#include <limits.h>

#include "os/inject.h"
#include "shard/found.h"
#include "shard/give.h"
#include "shard/lanes.h"
#include "shard/magazine.h"
#include "shard/rest.h"
#include "shard/shard_map.h"
#include "topology/bind.h"

enum {
    /* Neighbours asked in each ring before memory is fresh. With 16 of 63 the working set of a
     * thread that wanders was left behind, a copy at each shard: 4 times the live set. Asking is
     * three loads of lines that seldom change: a heap that only grows pays 10% for 255, 45% for
     * 1023. */
    PROBES_MAX = 256,
    /* So few shards take from each other's slabs whoever is at work: with two, larson was 14 %
     * slower when they kept them, for more memory was in use. */
    SHARING_ALL = 4,
};

static void count_refill(struct hak_shard *shard, enum hak_counter source, unsigned class_id,
                         uint64_t word)
{
    hak_count(&shard->counters, source, 1);
    hak_count(&shard->counters, HAK_COUNTER_REFILL_OBJECTS,
              hak_classes[class_id].bundle - hak_word_room(word));
}

/* What a front asks for, and what may be done for it. */
struct request {
    unsigned class_id;
    unsigned fill;      /* objects, of slabs */
    unsigned budget;    /* bundles that may yet be taken out of inboxes */
};

/* The next bundle to be sorted, 0 if there is none: of the backlog, and then of the inbox, which is
 * collected once, so that whoever goes on posting does not keep us here. */
static uint64_t next_to_sort(struct hak_shard *shard, int *collected)
{
    /* relaxed, here and below: written under the lock that we hold; others only look */
    uint64_t bundle = __atomic_load_n(&shard->backlog.head, __ATOMIC_RELAXED);
    if (bundle != 0 || *collected)
        return bundle;
    *collected = 1;
    bundle = hak_inbox_collect(&shard->inbox);
    hak_inject();
    __atomic_store_n(&shard->backlog.head, bundle, __ATOMIC_RELAXED);
    if (bundle != 0)
        hak_count(&shard->counters, HAK_COUNTER_INBOX_COLLECTS, 1);
    return bundle;
}

static int is_enough(const struct hak_shard *shard, unsigned class_id, uint64_t kept)
{
    return kept != 0 && class_id != HAK_CLASS_NONE &&
           hak_transfer_cache_is_full(&shard->bundles, class_id);
}

/* Sorts a portion. A bundle leaves the backlog before anything is done with it: the child of a fork
 * loses one at most. */
static uint64_t sort_portion(struct hak_shard *shard, struct request *request)
{
    uint64_t kept = 0;
    uint64_t bundle;
    uint64_t bundles = 0;
    uint64_t objects = 0;
    uint64_t bytes = 0;
    int collected = 0;
    while (request->budget != 0 && (bundle = next_to_sort(shard, &collected)) != 0) {
        void *object = hak_word_object(bundle);
        unsigned count = hak_word_room(bundle);
        unsigned class_id = hak_page_find(object).class_id;
        if (is_enough(shard, class_id, kept))
            break;
        uint64_t next = hak_likely(class_id != HAK_CLASS_NONE)
                            ? hak_bundle_below(HAK_CLASS_NONE, object)
                            : 0;    /* nothing may be read there: what is behind it is lost */
        __atomic_store_n(&shard->backlog.head, next, __ATOMIC_RELAXED);
        request->budget--;
        bundles++;
        objects += count;
        if (hak_unlikely(class_id == HAK_CLASS_NONE)) {    /* freed twice, its slab long gone */
            hak_found_bad_free(&shard->counters, object, HAK_FOUND_FREED);
            continue;
        }
        bytes += (uint64_t)count * hak_classes[class_id].size;
        uint64_t word = hak_word_make(object, hak_classes[class_id].bundle - count);
        if (class_id == request->class_id && kept == 0)
            kept = word;
        else
            hak_shard_accept(shard, class_id, word);
    }
    hak_count(&shard->counters, HAK_COUNTER_INBOX_BUNDLES, bundles);
    hak_count(&shard->counters, HAK_COUNTER_INBOX_OBJECTS, objects);
    hak_count(&shard->counters, HAK_COUNTER_INBOX_BYTES, bytes);
    hak_count_peak(&shard->counters, HAK_COUNTER_INBOX_PEAK, bundles);
    return kept;
}

/* Sorts what came home to `shard` into its transfer cache and slabs, as far as the budget goes,
 * keeping back the first bundle of the class that is wanted; 0 if there is none. With one in hand
 * it takes no bundle apart that finds its cache full: that can wait for who needs it. */
static uint64_t sort_inbox(struct hak_shard *shard, struct request *request)
{
    if (!hak_shard_has_mail(shard) || request->budget == 0 ||
        !hak_lock_try_over(&shard->backlog.sorting))
        return 0;
    uint64_t kept = sort_portion(shard, request);
    hak_lock_release_over(&shard->backlog.sorting);
    return kept;
}

void hak_shard_collect_inbox(struct hak_shard *shard, unsigned *budget)
{
    struct request request = { HAK_CLASS_NONE, 0, *budget };
    sort_inbox(shard, &request);
    *budget = request.budget;
}

static uint64_t from_own_slabs(struct hak_shard *shard, unsigned class_id, unsigned fill)
{
    uint64_t word = hak_magazine_empty(class_id);
    unsigned taken = hak_pool_take(hak_shard_pool(shard, class_id), class_id, fill, &word);
    return taken != 0 ? word : 0;
}

static uint64_t from_fresh_slab(struct hak_shard *shard, unsigned class_id, unsigned fill)
{
    uint64_t word = hak_magazine_empty(class_id);
    hak_rest_advance((size_t)hak_classes[class_id].slab_pages << HAK_PAGE_SHIFT);
    unsigned taken = hak_pool_take_fresh(hak_shard_pool(shard, class_id), class_id, fill, &word);
    return taken != 0 ? word : 0;
}

/* Whose pages a fresh slab is cut from: the shard's own, unless the kernel would have to give some
 * while a neighbour on the node keeps unused ones. A thread that wanders between shards would else
 * leave at each what each may keep (1.11 times the live set became 1.29). */
static struct hak_shard *owner_of_free_pages(struct hak_shard *shard, unsigned class_id)
{
    const struct hak_shard_map *map = hak_shard_map_of(shard);
    size_t wanted = (size_t)hak_classes[class_id].slab_pages << HAK_PAGE_SHIFT;
    if (map == NULL || map->count == 1 ||
        hak_pool_dirty_bytes(hak_shard_pool(shard, class_id)) >= wanted)
        return shard;
    unsigned last = hak_domains_node_siblings(map->domains, shard->index);
    for (unsigned rank = 0; rank < last && rank < PROBES_MAX; rank++) {
        struct hak_shard *neighbour = hak_shard_map_neighbour(map, shard, rank);
        if (hak_pool_dirty_bytes(hak_shard_pool(neighbour, class_id)) >= wanted)
            return neighbour;
    }
    return shard;
}

/* Whether one that is at work keeps its slabs (rest.h). */
enum slabs { SLABS_ARE_KEPT, SLABS_ARE_FREE };

/* Whatever lies free at another shard: a bundle, what came home, a partly free slab. */
static uint64_t from_neighbour(struct hak_shard *neighbour, struct request *request,
                               enum slabs slabs)
{
    uint64_t word = hak_shard_pop_bundle(neighbour, request->class_id);
    if (word == 0)
        word = sort_inbox(neighbour, request);
    if (word == 0 &&
        (slabs == SLABS_ARE_FREE || hak_rest_may_take(neighbour, request->class_id)))
        word = from_own_slabs(neighbour, request->class_id, request->fill);
    return word;
}

/* Asks PROBES_MAX of the neighbours whose ranks are first .. last - 1, others each time, so that
 * in the end all are asked however many there are. */
static uint64_t steal(struct hak_shard *shard, const struct hak_shard_map *map,
                      struct request *request, unsigned first, unsigned last)
{
    unsigned ring = last - first;
    if (ring == 0)
        return 0;
    unsigned probes = ring < PROBES_MAX ? ring : PROBES_MAX;
    /* relaxed: where to begin; two threads may begin at one place */
    unsigned start = __atomic_fetch_add(&shard->probe, probes, __ATOMIC_RELAXED);
    enum slabs slabs = map->count > SHARING_ALL ? SLABS_ARE_KEPT : SLABS_ARE_FREE;
    for (unsigned probe = 0; probe < probes; probe++) {
        unsigned rank = first + (start + probe) % ring;
        uint64_t word =
            from_neighbour(hak_shard_map_neighbour(map, shard, rank), request, slabs);
        if (word != 0)
            return word;
    }
    return 0;
}

/* Same L3, then same node. */
static uint64_t steal_nearby(struct hak_shard *shard, struct request *request,
                             enum hak_counter *source)
{
    const struct hak_shard_map *map = hak_shard_map_of(shard);
    if (map == NULL || map->count == 1)
        return 0;
    unsigned same_l3 = hak_domains_l3_siblings(map->domains, shard->index);
    unsigned same_node = hak_domains_node_siblings(map->domains, shard->index);
    *source = HAK_COUNTER_REFILL_STOLEN_L3;
    uint64_t word = steal(shard, map, request, 0, same_l3);
    if (word != 0)
        return word;
    *source = HAK_COUNTER_REFILL_STOLEN_NODE;
    return steal(shard, map, request, same_l3, same_node);
}

/* What re-sharding left behind: shards that serve no CPU any more, each with an heir. */
static uint64_t from_retired(struct hak_shard *shard, struct request *request)
{
    const struct hak_shard_map *map = hak_shard_map_of(shard);
    if (map == NULL)
        return 0;
    for (unsigned id = shard->id + map->count; id <= hak_shard_last_id();
         id += map->count) {
        uint64_t word = from_neighbour(hak_shard_of_id(id), request, SLABS_ARE_FREE);
        if (word != 0)
            return word;
    }
    return 0;
}

/* No memory to be had here: whatever is free anywhere, unless another node's is as bad as none. For
 * want of memory inboxes are sorted to their ends, the own one first. */
static uint64_t from_anywhere(struct hak_shard *shard, struct request *request)
{
    request->budget = UINT_MAX;
    uint64_t own = from_neighbour(shard, request, SLABS_ARE_FREE);
    if (own != 0)
        return own;
    int strict = hak_bind_is_strict();
    for (unsigned id = 1; id <= hak_shard_last_id(); id++) {
        struct hak_shard *other = hak_shard_of_id(id);
        if (other == shard || (strict && hak_shard_node(other) != hak_shard_node(shard)))
            continue;
        uint64_t word = from_neighbour(other, request, SLABS_ARE_FREE);
        if (word != 0)
            return word;
    }
    return 0;
}

uint64_t hak_shard_refill(struct hak_shard *shard, unsigned class_id, unsigned fill)
{
    enum hak_counter source = HAK_COUNTER_REFILL_TRANSFER_CACHE;
    struct request request = { class_id, fill, HAK_PORTION_BUNDLES };
    hak_rest_end(shard);
    uint64_t word = hak_shard_pop_bundle(shard, class_id);
    if (word == 0) {
        source = HAK_COUNTER_REFILL_INBOX;
        word = sort_inbox(shard, &request);
    }
    if (word == 0) {
        source = HAK_COUNTER_REFILL_SLAB_PARTIAL;
        word = from_own_slabs(shard, class_id, fill);
    }
    if (word == 0)
        word = from_retired(shard, &request);
    if (word == 0)
        word = steal_nearby(shard, &request, &source);
    if (word == 0) {
        source = HAK_COUNTER_REFILL_SLAB_FRESH;
        word = from_fresh_slab(owner_of_free_pages(shard, class_id), class_id, fill);
    }
    if (word == 0) {
        source = HAK_COUNTER_REFILL_OTHER_NODE;
        word = from_anywhere(shard, &request);
    }
    if (word == 0)
        hak_count(&shard->counters, HAK_COUNTER_REFILL_FAILED, 1);
    else
        count_refill(shard, source, class_id, word);
    return word;
}

/* As with slabs, what lies free at a neighbour comes before memory that costs faults: two threads
 * with 64 MiB each in runs of 64 KiB to 4 MiB, on two CPUs, held 340 MiB without, and 235 with. */
void *hak_shard_take_large(struct hak_shard *shard, unsigned cpu, size_t size, size_t alignment,
                           enum hak_zero zero)
{
    const struct hak_shard_map *map = hak_shard_map_of(shard);
    if (map == NULL)
        return hak_large_take(&shard->large, size, alignment, zero, shard->policy);
    struct hak_large_cache *own = hak_lane_of_cpu(shard, map->domains, cpu);
    void *run = hak_large_take_dirty(own, size, alignment, zero, shard->policy);
    if (run == NULL)
        run = hak_lanes_take_dirty(shard, own, size, alignment, zero);
    unsigned last = hak_domains_node_siblings(map->domains, shard->index);
    for (unsigned rank = 0; rank < last && rank < PROBES_MAX && run == NULL; rank++)
        run = hak_lanes_take_dirty(hak_shard_map_neighbour(map, shard, rank), NULL, size,
                                   alignment, zero);
    return run != NULL ? run : hak_large_take(own, size, alignment, zero, shard->policy);
}
