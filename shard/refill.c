/* SPDX-License-Identifier: MIT */
/* The sources of objects for an empty front, the cheapest first, one function each:
 *
 *     1  the shard's transfer cache          one compare-and-swap for a bundle
 *     2  the shard's inbox                   one exchange for all bundles sent home
 *     3  the shard's partly free slabs       the bin's lock; then those of retired shards
 *     4  the neighbours': 1, 2, 3 of theirs  same L3, then same node; 3 of those at rest (rest.h)
 *     5  a fresh slab                        pages, perhaps from the kernel
 *     6  shards of other nodes               better far memory than none; counted
 *
 * Stealing (4) comes before fresh memory (5), so a thread that moves between CPUs takes its working
 * set along and does not leave a copy on each. Any thread. */
#include "shard/refill.h"

#include <limits.h>

#include "os/inject.h"
#include "os/probe.h"
#include "shard/found.h"
#include "shard/give.h"
#include "shard/lanes.h"
#include "shard/magazine.h"
#include "shard/rest.h"
#include "shard/shard_map.h"
#include "topology/bind.h"

enum {
    /* Neighbours that a refill asks in each ring before it takes fresh memory. With 16 of 63, a
     * thread that moved between CPUs left a copy of its working set on each shard: 4 times the live
     * set. To ask takes three loads of lines that seldom change: a heap that only grows pays 10 %
     * for 255 neighbours, 45 % for 1023. */
    PROBES_MAX = 256,
    /* Up to this many shards take from each other's slabs even if these are at work: with two,
     * larson was 14 % slower when they did not, because it used more memory. */
    SHARING_ALL = 4,
    /* Neighbours that are asked, for each slab, whether they keep this many more unused pages than
     * the shard. Each time others: to ask 63 at each slab took 1 to 6 us. */
    FAR_MORE_BYTES = 4 * 1024 * 1024,
    FAR_MORE_PROBES = 8,
    TRIES = 4, /* neighbours that are asked for pages, at a slab */
    /* Of slabs a refill takes no more of tiny objects. Each link that is written may be the first
     * touch of its page: a bundle of KiBs was 16 in one call. */
    FILL_BYTES = 16 * 1024,
};

static void count_refill(struct hak_shard *shard, enum hak_counter source, unsigned giver,
                         unsigned class_id, struct hak_chain chain)
{
    unsigned length = hak_chain_length(class_id, chain);
    hak_count(&shard->counters, source, 1);
    hak_count_objects(&shard->classes[class_id].refilled, length);
    HAK_PROBE3(refill, shard->id, hak_classes[class_id].size, length);
    if (giver == 0 || giver == shard->id)
        return;
    HAK_PROBE4(steal, shard->id, giver, hak_classes[class_id].size, length);
    hak_traffic_count(&shard->traffic, HAK_TRAFFIC_STOLEN, giver, length);
}

/* What a front asks for, and the bound of the work. */
struct request {
    unsigned class_id;
    unsigned fill;   /* objects, of slabs */
    unsigned budget; /* bundles that may yet be taken out of inboxes */
    unsigned giver;  /* id of the shard that was asked and had something; 0: none */
};

/* The next bundle to sort, if there is one: of the backlog, then of the inbox. The inbox is
 * collected once, so that this ends although other threads post more. */
static struct hak_bundle next_to_sort(struct hak_shard *shard, bool *collected)
{
    /* relaxed, here and below: written under the lock that we hold; others read a hint */
    struct hak_bundle bundle = {__atomic_load_n(&shard->backlog.head.word, __ATOMIC_RELAXED)};
    if (!hak_bundle_is_none(bundle) || *collected)
        return bundle;
    *collected = true;
    bundle = hak_inbox_collect(&shard->inbox);
    hak_inject();
    __atomic_store_n(&shard->backlog.head.word, bundle.word, __ATOMIC_RELAXED);
    if (!hak_bundle_is_none(bundle))
        hak_count(&shard->counters, HAK_COUNTER_INBOX_COLLECTS, 1);
    return bundle;
}

static bool is_enough(const struct hak_shard *shard, unsigned class_id, struct hak_chain kept)
{
    return !hak_chain_is_empty(kept) && class_id != HAK_CLASS_NONE &&
           hak_transfer_cache_is_full(&shard->bundles, class_id);
}

/* Sorts a portion. A bundle leaves the backlog before it is used, so the child of a fork loses at
 * most one. */
static struct hak_chain sort_portion(struct hak_shard *shard, struct request *request)
{
    struct hak_chain kept = HAK_NO_CHAIN;
    struct hak_bundle bundle;
    uint64_t bundles = 0;
    uint64_t objects = 0;
    uint64_t bytes = 0;
    bool collected = false;
    while (request->budget != 0 && !hak_bundle_is_none(bundle = next_to_sort(shard, &collected))) {
        void *object = hak_bundle_top(bundle);
        unsigned count = hak_bundle_count(bundle);
        unsigned class_id = hak_page_find(object).class_id;
        if (is_enough(shard, class_id, kept))
            break;
        struct hak_bundle next = HAK_NO_BUNDLE; /* no slab: unreadable */
        if (hak_likely(class_id != HAK_CLASS_NONE))
            next = hak_found_bundle_below(HAK_CLASS_NONE, object);
        __atomic_store_n(&shard->backlog.head.word, next.word, __ATOMIC_RELAXED);
        request->budget--;
        bundles++;
        objects += count;
        if (hak_unlikely(class_id == HAK_CLASS_NONE)) { /* a second free, of no slab */
            hak_found_bad_free(&shard->counters, object, HAK_FOUND_FREED);
            continue;
        }
        bytes += (uint64_t)count * hak_classes[class_id].size;
        hak_count_objects(&shard->classes[class_id].sorted, count);
        struct hak_chain chain = hak_bundle_chain(class_id, bundle);
        if (class_id == request->class_id && hak_chain_is_empty(kept))
            kept = chain;
        else
            hak_shard_accept(shard, class_id, chain);
    }
    hak_count(&shard->counters, HAK_COUNTER_INBOX_BUNDLES, bundles);
    hak_count(&shard->counters, HAK_COUNTER_INBOX_OBJECTS, objects);
    hak_count(&shard->counters, HAK_COUNTER_INBOX_BYTES, bytes);
    hak_count_peak(&shard->counters, HAK_COUNTER_INBOX_PEAK, bundles);
    return kept;
}

/* Sorts bundles of the shard's inbox into its transfer cache and slabs, within the budget, and
 * returns the first one of the wanted class, if there is one. From then on it stops at a bundle for
 * which the cache is full: that can wait for a thread that needs it. */
static struct hak_chain sort_inbox(struct hak_shard *shard, struct request *request)
{
    if (!hak_shard_has_mail(shard) || request->budget == 0 ||
        !hak_lock_try_over(&shard->backlog.sorting))
        return HAK_NO_CHAIN;
    struct hak_chain kept = sort_portion(shard, request);
    hak_lock_release_over(&shard->backlog.sorting);
    return kept;
}

void hak_shard_collect_inbox(struct hak_shard *shard, unsigned *budget)
{
    struct request request = {HAK_CLASS_NONE, 0, *budget, 0};
    sort_inbox(shard, &request);
    *budget = request.budget;
}

static struct hak_chain from_own_slabs(struct hak_shard *shard, unsigned class_id, unsigned fill)
{
    struct hak_chain chain = hak_magazine_empty(class_id);
    unsigned taken = hak_pool_take(hak_shard_pool(shard, class_id), class_id, fill, &chain);
    return taken != 0 ? chain : HAK_NO_CHAIN;
}

/* Bundles of mid classes that nobody took or brought since the last sweep go to their slabs, which
 * may fall empty and serve other classes. */
static HAK_COLD void sweep_one(struct hak_shard *shard)
{
    for (unsigned class_id = HAK_CLASS_TINY_LAST + 1; class_id < HAK_CLASS_COUNT; class_id++) {
        if (!hak_transfer_cache_is_stale(&shard->bundles, class_id))
            continue;
        for (unsigned left = HAK_TRANSFER_MID_MAX; left != 0; left--) {
            struct hak_chain chain = hak_shard_pop_bundle(shard, class_id);
            if (hak_chain_is_empty(chain))
                break;
            hak_shard_give_to_slabs(class_id, chain);
        }
    }
}

/* The shard that needs memory, and another one in turn: nobody may be at work there. */
static inline void sweep_if_due(struct hak_shard *shard)
{
    if (hak_likely(!hak_rest_claims_sweep(&shard->swept_at)))
        return;
    sweep_one(shard);
    unsigned turn = (unsigned)(hak_rest_turn() % hak_shard_last_id());
    struct hak_shard *other = hak_shard_of_id(turn + 1);
    if (hak_rest_claims_sweep(&other->swept_at))
        sweep_one(other);
}

static size_t unused_bytes(struct hak_shard *shard, unsigned class_id)
{
    return hak_pool_dirty_bytes(hak_shard_pool(shard, class_id));
}

struct fresh {
    unsigned class_id;
    unsigned fill;
    size_t bytes; /* of unused pages: who has more may be asked for a slab */
};

/* Takes of a slab cut from a neighbour's unused pages. They may lie in pieces that are too short:
 * no region is mapped there, and a few others are tried. The number of objects. */
static unsigned take_of_neighbours(struct hak_shard *shard, const struct fresh *fresh,
                                   unsigned first, unsigned probes, struct hak_chain *chain)
{
    const struct hak_shard_map *map = hak_shard_map_of(shard);
    unsigned last = hak_domains_node_siblings(map->domains, shard->index);
    unsigned taken = 0;
    for (unsigned probe = 0, tries = 0; probe < last && probe < probes && tries < TRIES; probe++) {
        unsigned rank = (first + probe) % last;
        struct hak_shard *neighbour = hak_shard_map_neighbour(map, shard, rank);
        if (unused_bytes(neighbour, fresh->class_id) <= fresh->bytes)
            continue;
        struct hak_pool *pool = hak_shard_pool(neighbour, fresh->class_id);
        taken = hak_pool_take_unused(pool, fresh->class_id, fresh->fill, chain);
        if (taken != 0) {
            __atomic_store_n(&shard->rich, rank, __ATOMIC_RELAXED); /* relaxed: a hint */
            break;
        }
        tries++;
    }
    return taken;
}

/* The shard's own pages come first, unless it would have to ask the kernel while a neighbour on the
 * node keeps unused pages. Otherwise a thread that moves between shards would leave on each what
 * each may keep (1.11 times the live set became 1.29). Also a neighbour that keeps far more:
 * threads that all moved to another CPU left 63 MiB, of what the heap may keep, to a shard of which
 * they seldom took, and purged as much as they took again. That is looked for where some was found
 * last, and at a few others each time. */
static unsigned take_elsewhere(struct hak_shard *shard, struct fresh *fresh,
                               struct hak_chain *chain)
{
    size_t wanted = (size_t)hak_classes[fresh->class_id].slab_pages << HAK_PAGE_SHIFT;
    size_t own = unused_bytes(shard, fresh->class_id);
    fresh->bytes = wanted - 1;
    if (own < wanted)
        return take_of_neighbours(shard, fresh, 0, PROBES_MAX, chain);
    fresh->bytes = 2 * own + FAR_MORE_BYTES;
    /* relaxed, both: hints; two threads may ask the same neighbours */
    unsigned rich = __atomic_load_n(&shard->rich, __ATOMIC_RELAXED);
    unsigned first = __atomic_fetch_add(&shard->probe, FAR_MORE_PROBES, __ATOMIC_RELAXED);
    unsigned taken = take_of_neighbours(shard, fresh, rich, 1, chain);
    return taken != 0 ? taken : take_of_neighbours(shard, fresh, first, FAR_MORE_PROBES, chain);
}

static struct hak_chain from_fresh_slab(struct hak_shard *shard, unsigned class_id, unsigned fill)
{
    const struct hak_shard_map *map = hak_shard_map_of(shard);
    struct fresh fresh = {class_id, fill, 0};
    struct hak_chain chain = hak_magazine_empty(class_id);
    unsigned taken = 0;
    hak_rest_advance((size_t)hak_classes[class_id].slab_pages << HAK_PAGE_SHIFT);
    if (map != NULL && map->count > 1)
        taken = take_elsewhere(shard, &fresh, &chain);
    if (taken == 0)
        taken = hak_pool_take_fresh(hak_shard_pool(shard, class_id), class_id, fill, &chain);
    return taken != 0 ? chain : HAK_NO_CHAIN;
}

/* A bundle of the shard's transfer cache, which learns whether it holds enough. */
static struct hak_chain from_bundles(struct hak_shard *shard, unsigned class_id)
{
    struct hak_chain chain = hak_shard_pop_bundle(shard, class_id);
    hak_transfer_cache_note_demand(&shard->bundles, class_id, !hak_chain_is_empty(chain));
    return chain;
}

/* Whether a shard at work keeps its slabs (rest.h). */
enum slabs { SLABS_ARE_KEPT, SLABS_ARE_FREE };

/* Free objects of another shard: of its transfer cache, its inbox or its partly free slabs. */
static struct hak_chain from_neighbour(struct hak_shard *neighbour, struct request *request,
                                       enum slabs slabs)
{
    struct hak_chain chain = from_bundles(neighbour, request->class_id);
    if (hak_chain_is_empty(chain))
        chain = sort_inbox(neighbour, request);
    if (hak_chain_is_empty(chain) &&
        (slabs == SLABS_ARE_FREE || hak_rest_may_take(neighbour, request->class_id)))
        chain = from_own_slabs(neighbour, request->class_id, request->fill);
    if (!hak_chain_is_empty(chain))
        request->giver = neighbour->id;
    return chain;
}

/* Asks PROBES_MAX of the neighbours with ranks first .. last - 1; each time other ones, so that in
 * the end it asks all. */
static struct hak_chain steal(struct hak_shard *shard, const struct hak_shard_map *map,
                              struct request *request, unsigned first, unsigned last)
{
    unsigned ring = last - first;
    if (ring == 0)
        return HAK_NO_CHAIN;
    unsigned probes = ring < PROBES_MAX ? ring : PROBES_MAX;
    /* relaxed: two threads may begin at the same neighbour */
    unsigned start = __atomic_fetch_add(&shard->probe, probes, __ATOMIC_RELAXED);
    enum slabs slabs = map->count > SHARING_ALL ? SLABS_ARE_KEPT : SLABS_ARE_FREE;
    for (unsigned probe = 0; probe < probes; probe++) {
        unsigned rank = first + (start + probe) % ring;
        struct hak_chain chain =
            from_neighbour(hak_shard_map_neighbour(map, shard, rank), request, slabs);
        if (!hak_chain_is_empty(chain))
            return chain;
    }
    return HAK_NO_CHAIN;
}

/* Same L3, then same node. */
static struct hak_chain steal_nearby(struct hak_shard *shard, struct request *request,
                                     enum hak_counter *source)
{
    const struct hak_shard_map *map = hak_shard_map_of(shard);
    if (map == NULL || map->count == 1)
        return HAK_NO_CHAIN;
    unsigned same_l3 = hak_domains_l3_siblings(map->domains, shard->index);
    unsigned same_node = hak_domains_node_siblings(map->domains, shard->index);
    *source = HAK_COUNTER_REFILL_STOLEN_L3;
    struct hak_chain chain = steal(shard, map, request, 0, same_l3);
    if (!hak_chain_is_empty(chain))
        return chain;
    *source = HAK_COUNTER_REFILL_STOLEN_NODE;
    return steal(shard, map, request, same_l3, same_node);
}

/* Free objects of the retired shards whose heir this shard is. */
static struct hak_chain from_retired(struct hak_shard *shard, struct request *request)
{
    const struct hak_shard_map *map = hak_shard_map_of(shard);
    if (map == NULL)
        return HAK_NO_CHAIN;
    for (unsigned id = shard->id + map->count; id <= hak_shard_last_id(); id += map->count) {
        struct hak_chain chain = from_neighbour(hak_shard_of_id(id), request, SLABS_ARE_FREE);
        if (!hak_chain_is_empty(chain))
            return chain;
    }
    return HAK_NO_CHAIN;
}

/* The kernel gave no memory: free objects of any shard, unless binding forbids other nodes. Now
 * inboxes are sorted without a budget, the shard's own first. */
static struct hak_chain from_anywhere(struct hak_shard *shard, struct request *request)
{
    request->budget = UINT_MAX;
    struct hak_chain own = from_neighbour(shard, request, SLABS_ARE_FREE);
    if (!hak_chain_is_empty(own))
        return own;
    bool strict = hak_bind_is_strict();
    for (unsigned id = 1; id <= hak_shard_last_id(); id++) {
        struct hak_shard *other = hak_shard_of_id(id);
        if (other == shard || (strict && hak_shard_node(other) != hak_shard_node(shard)))
            continue;
        struct hak_chain chain = from_neighbour(other, request, SLABS_ARE_FREE);
        if (!hak_chain_is_empty(chain))
            return chain;
    }
    return HAK_NO_CHAIN;
}

/* Objects to take of slabs, at most `fill`. */
static unsigned within_few_pages(unsigned class_id, unsigned fill)
{
    unsigned most = FILL_BYTES / hak_classes[class_id].size;
    return class_id > HAK_CLASS_TINY_LAST || fill < most ? fill : most;
}

struct hak_chain hak_shard_refill(struct hak_shard *shard, unsigned class_id, unsigned fill)
{
    enum hak_counter source = HAK_COUNTER_REFILL_TRANSFER_CACHE;
    fill = within_few_pages(class_id, fill);
    struct request request = {class_id, fill, HAK_PORTION_BUNDLES, 0};
    hak_rest_end(shard);
    struct hak_chain chain = from_bundles(shard, class_id);
    if (hak_chain_is_empty(chain)) {
        source = HAK_COUNTER_REFILL_INBOX;
        chain = sort_inbox(shard, &request);
    }
    if (hak_chain_is_empty(chain)) {
        source = HAK_COUNTER_REFILL_SLAB_PARTIAL;
        chain = from_own_slabs(shard, class_id, fill);
    }
    if (hak_chain_is_empty(chain))
        chain = from_retired(shard, &request);
    if (hak_chain_is_empty(chain))
        chain = steal_nearby(shard, &request, &source);
    if (hak_chain_is_empty(chain)) {
        source = HAK_COUNTER_REFILL_SLAB_FRESH;
        if (class_id > HAK_CLASS_TINY_LAST)
            sweep_if_due(shard);
        chain = from_fresh_slab(shard, class_id, fill);
    }
    if (hak_chain_is_empty(chain)) {
        source = HAK_COUNTER_REFILL_OTHER_NODE;
        chain = from_anywhere(shard, &request);
    }
    if (hak_chain_is_empty(chain))
        hak_count(&shard->counters, HAK_COUNTER_REFILL_FAILED, 1);
    else
        count_refill(shard, source, request.giver, class_id, chain);
    return chain;
}

/* As with slabs, free runs of a neighbour come before memory that costs faults: two threads with
 * 64 MiB each in runs of 64 KiB to 4 MiB, on two CPUs, held 235 MiB so, and 340 MiB otherwise. */
void *hak_shard_take_large(struct hak_shard *shard, unsigned cpu, size_t size, size_t alignment,
                           enum hak_zero zero)
{
    const struct hak_shard_map *map = hak_shard_map_of(shard);
    if (map == NULL)
        return hak_large_take(&shard->large, size, alignment, zero, shard->settings);
    struct hak_large_cache *own = hak_lane_of_cpu(shard, map->domains, cpu);
    void *run = hak_large_take_dirty(own, size, alignment, zero, shard->settings);
    if (run == NULL)
        run = hak_lanes_take_dirty(shard, own, size, alignment, zero);
    unsigned last = hak_domains_node_siblings(map->domains, shard->index);
    for (unsigned rank = 0; rank < last && rank < PROBES_MAX && run == NULL; rank++)
        run = hak_lanes_take_dirty(hak_shard_map_neighbour(map, shard, rank), NULL, size, alignment,
                                   zero);
    return run != NULL ? run : hak_large_take(own, size, alignment, zero, shard->settings);
}
