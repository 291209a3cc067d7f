/* SPDX-License-Identifier: MIT */
/* The way of freed objects out of a front. Whole chains move; single objects are read only where
 * their homes matter. Any thread. */
#include "shard/give.h"

#include "os/probe.h"
#include "shard/found.h"
#include "shard/magazine.h"
#include "shard/shard_map.h"

enum {
    DESTINATIONS_MAX = 8, /* homes that a chain is sorted by; objects of others go to slabs */
};

/* The top object of a chain, taken off; NULL: the chain is empty, or broken from there on. */
static void *pop(unsigned class_id, struct hak_chain *chain)
{
    void *object = hak_chain_top(*chain);
    return object != NULL && hak_found_chain_below(class_id, *chain, chain) ? object : NULL;
}

/* ---- chains that a shard takes over ---------------------------------------------------------- */

/* Objects that the transfer cache has more, or less. */
static void count_cached(struct hak_shard *shard, unsigned class_id, int objects)
{
    hak_count_objects(&shard->classes[class_id].cached, (uint64_t)(int64_t)objects);
}

void hak_shard_give_to_slabs(unsigned class_id, struct hak_chain chain)
{
    void *object;
    while ((object = hak_chain_top(chain)) != NULL) {
        struct hak_page page = hak_page_find(object);
        struct hak_shard *home = hak_shard_of_id(page.home);
        if (home != NULL &&
            hak_pool_give(hak_shard_pool(home, class_id), class_id, &chain, home->settings) != 0)
            continue;
        struct hak_chain below;
        if (!hak_found_chain_below(class_id, chain, &below) || home == NULL)
            return;
        /* Freed twice, or not the start of an object: it is left out and does no harm. */
        bool begins = hak_slab_begins(object, page);
        hak_found_bad_free(&home->counters, object, begins ? HAK_FOUND_FREED : HAK_FOUND_INTERIOR);
        chain = below;
    }
}

/* Bundles were lost behind a broken link, so how many objects they had is not known. Takes their
 * share off the count: all, if no other bundle is in the bin. */
static HAK_COLD void forget_lost(struct hak_shard *shard, unsigned class_id, unsigned lost)
{
    unsigned depth = hak_transfer_cache_depth(&shard->bundles, class_id);
    /* relaxed: a figure */
    int64_t cached = (int64_t)__atomic_load_n(&shard->classes[class_id].cached, __ATOMIC_RELAXED);
    if (cached > 0)
        count_cached(shard, class_id, -(int)(cached * lost / (lost + depth)));
}

/* Gives bundles that left the bin to slabs. */
static HAK_COLD void take_apart(struct hak_shard *shard, unsigned class_id,
                                struct hak_bundles_left *left)
{
    while (!hak_bundle_is_none(left->first)) {
        struct hak_chain bundle = hak_bundle_chain(class_id, left->first);
        count_cached(shard, class_id, -(int)hak_chain_length(class_id, bundle));
        left->first = hak_found_bundle_below(class_id, hak_bundle_top(left->first));
        left->count -= left->count != 0;
        hak_shard_give_to_slabs(class_id, bundle);
    }
    if (left->count != 0)
        forget_lost(shard, class_id, left->count);
}

struct hak_chain hak_shard_pop_bundle(struct hak_shard *shard, unsigned class_id)
{
    struct hak_bundles_left left;
    struct hak_chain chain = hak_transfer_cache_pop(&shard->bundles, class_id, &left);
    if (!hak_chain_is_empty(chain))
        count_cached(shard, class_id, -(int)hak_chain_length(class_id, chain));
    if (hak_unlikely(left.count != 0 || !hak_bundle_is_none(left.first)))
        take_apart(shard, class_id, &left);
    return chain;
}

void hak_shard_accept(struct hak_shard *shard, unsigned class_id, struct hak_chain chain)
{
    /* If nothing is to be kept, objects go to slabs at once, so that these become empty. */
    if (shard->settings->decay_ns != 0 &&
        hak_transfer_cache_push(&shard->bundles, class_id, chain)) {
        hak_count(&shard->counters, HAK_COUNTER_FLUSH_BUNDLES, 1);
        count_cached(shard, class_id, (int)hak_chain_length(class_id, chain));
        return;
    }
    hak_count(&shard->counters, HAK_COUNTER_FLUSH_TO_SLABS, 1);
    hak_shard_give_to_slabs(class_id, chain);
    if (hak_unlikely(hak_transfer_cache_is_over(&shard->bundles, class_id)))
        hak_shard_give_to_slabs(class_id, hak_shard_pop_bundle(shard, class_id));
}

void hak_shard_accept_part(struct hak_shard *shard, unsigned class_id, struct hak_chain chain)
{
    if (hak_chain_length(class_id, chain) * 2 >= hak_classes[class_id].bundle)
        hak_shard_accept(shard, class_id, chain);
    else
        hak_shard_give_to_slabs(class_id, chain);
}

/* ---- the way home --------------------------------------------------------------------------- */

/* Where objects go that leave a shard: each to its home; or those of its node nowhere, and all of
 * another node to one shard there. Within a node objects may change their shard, and a post is a
 * miss or two: sorted by homes, where a node has two L3s or twelve, a chain makes bundles of a few
 * objects, and those of the ninth home and on go to slabs. */
enum aim { HOMES, NODES };

struct destination {
    unsigned home;
    struct hak_chain chain;
};

/* The chains that one chain is sorted into. */
struct sorted {
    const struct hak_shard *shard;
    unsigned class_id;
    enum aim aim;
    unsigned used;
    struct destination destinations[DESTINATIONS_MAX];
    struct hak_chain kept;
    struct hak_chain strays; /* of homes beyond DESTINATIONS_MAX */
};

static struct sorted sorted_none(const struct hak_shard *shard, unsigned class_id, enum aim aim)
{
    return (struct sorted){.shard = shard,
                           .class_id = class_id,
                           .aim = aim,
                           .kept = hak_magazine_empty(class_id),
                           .strays = hak_magazine_empty(class_id)};
}

static bool is_on_node_of(const struct hak_shard *shard, unsigned home_id)
{
    const struct hak_shard *home = hak_shard_of_id(home_id);
    return home != NULL && hak_shard_node(home) == hak_shard_node(shard);
}

static struct destination *destination_of(struct sorted *sorted, unsigned home)
{
    const struct hak_shard *shard = hak_shard_of_id(home);
    for (unsigned index = 0; index < sorted->used; index++) {
        struct destination *to = &sorted->destinations[index];
        if (to->home == home || (sorted->aim == NODES && is_on_node_of(shard, to->home)))
            return to;
    }
    if (sorted->used == DESTINATIONS_MAX)
        return NULL;
    struct destination *fresh = &sorted->destinations[sorted->used++];
    *fresh = (struct destination){home, hak_magazine_empty(sorted->class_id)};
    return fresh;
}

/* A single shard has no map, and is every object's home. */
static unsigned heir_of(const struct hak_shard_map *map, unsigned home)
{
    return map != NULL ? hak_shard_map_heir(map, home) : home;
}

static void post(struct hak_shard *sender, unsigned class_id, const struct destination *to)
{
    struct hak_shard *home = hak_shard_of_id(to->home);
    if (home == sender) {
        hak_shard_accept(sender, class_id, to->chain);
        return;
    }
    struct hak_bundle bundle = hak_bundle_of(class_id, to->chain);
    unsigned count = hak_bundle_count(bundle);
    HAK_PROBE4(post, sender->id, home->id, hak_classes[class_id].size, count);
    hak_inbox_post(&home->inbox, bundle);
    hak_count(&sender->counters, HAK_COUNTER_FOREIGN_BUNDLES_HOME, 1);
    hak_count(&sender->counters, HAK_COUNTER_FOREIGN_OBJECTS_HOME, count);
    hak_count(&sender->counters, HAK_COUNTER_FOREIGN_BYTES_HOME,
              (uint64_t)count * hak_classes[class_id].size);
    hak_count_objects(&home->classes[class_id].posted, count);
    hak_traffic_count(&sender->traffic, HAK_TRAFFIC_POSTED, home->id, count);
}

void hak_shard_post_beside(struct hak_shard *shard, unsigned class_id, struct hak_chain chain)
{
    struct hak_bundle bundle = hak_bundle_of(class_id, chain);
    unsigned count = hak_bundle_count(bundle);
    hak_count(&shard->counters, HAK_COUNTER_FOREIGN_BYTES_HOME,
              (uint64_t)count * hak_classes[class_id].size);
    hak_count_objects(&shard->classes[class_id].posted, count);
    hak_inbox_post(&shard->inbox, bundle);
}

static struct hak_chain *chain_for(struct sorted *sorted, unsigned home)
{
    if (sorted->aim == NODES && is_on_node_of(sorted->shard, home))
        return &sorted->kept;
    struct destination *to = destination_of(sorted, heir_of(hak_shard_map_of(sorted->shard), home));
    return to != NULL ? &to->chain : &sorted->strays;
}

/* One walk. It reads the page map once for each object, and looks for the home's chain only where
 * the home changes: neighbours in a chain usually have the same. */
static void sort(struct sorted *sorted, struct hak_chain chain)
{
    struct hak_chain *to = NULL;
    unsigned home = 0;
    void *object;
    while ((object = pop(sorted->class_id, &chain)) != NULL) {
        unsigned found = hak_page_find(object).home;
        if (to == NULL || found != home)
            to = chain_for(sorted, home = found);
        hak_magazine_push(to, object);
    }
}

static void post_all(struct hak_shard *shard, const struct sorted *sorted)
{
    for (unsigned index = 0; index < sorted->used; index++)
        post(shard, sorted->class_id, &sorted->destinations[index]);
    hak_shard_give_to_slabs(sorted->class_id, sorted->strays);
}

void hak_shard_send_home(struct hak_shard *shard, unsigned class_id, struct hak_chain chain)
{
    struct sorted sorted = sorted_none(shard, class_id, HOMES);
    sort(&sorted, chain);
    post_all(shard, &sorted);
}

/* ---- foreign objects ---------------------------------------------------------- */

static void count_flushed(struct hak_shard *shard, unsigned class_id, unsigned length)
{
    hak_count(&shard->counters, HAK_COUNTER_FOREIGN_FLUSHED, length);
    hak_count_objects(&shard->classes[class_id].flushed, length);
}

/* The top object stands for all: to look up each home would cost more than to adopt them. */
static void count_adopted(struct hak_shard *shard, unsigned class_id, struct hak_chain chain)
{
    unsigned length = hak_chain_length(class_id, chain);
    unsigned home = hak_page_find(hak_chain_top(chain)).home;
    hak_count(&shard->counters, HAK_COUNTER_FOREIGN_ADOPTED, length);
    if (home != 0 && home != shard->id)
        hak_traffic_count(&shard->traffic, HAK_TRAFFIC_ADOPTED, home, length);
}

/* What stays goes to the transfer cache, where the next refill looks first. */
static void adopt(struct hak_shard *shard, unsigned class_id, struct hak_chain chain)
{
    struct sorted sorted = sorted_none(shard, class_id, NODES);
    sort(&sorted, chain);
    if (!hak_chain_is_empty(sorted.kept)) {
        count_adopted(shard, class_id, sorted.kept);
        hak_shard_accept(shard, class_id, sorted.kept);
    }
    post_all(shard, &sorted);
}

void hak_shard_take_foreign(struct hak_shard *shard, unsigned class_id, struct hak_chain chain)
{
    count_flushed(shard, class_id, hak_chain_length(class_id, chain));
    if (shard->settings->remote == HAK_REMOTE_HOME) {
        hak_shard_send_home(shard, class_id, chain);
    } else if (hak_shard_map_nodes(hak_shard_map_of(shard)) == 1) {
        count_adopted(shard, class_id, chain);
        hak_shard_accept(shard, class_id, chain);
    } else {
        adopt(shard, class_id, chain);
    }
}

void hak_shard_give_up_foreign(struct hak_shard *shard, unsigned class_id, struct hak_chain chain)
{
    if (hak_shard_map_nodes(hak_shard_map_of(shard)) == 1)
        hak_shard_give_to_slabs(class_id, chain);
    else
        hak_shard_send_home(shard, class_id, chain);
}

static bool looks_below(unsigned class_id, struct hak_chain *chain)
{
    const void *object = hak_chain_top(*chain);
    if (!hak_found_is_of_class(class_id, object))
        return false;
    struct hak_chain below = hak_link_read(object);
    bool is_sound = hak_link_is_sound(*chain, below);
    *chain = below;
    return is_sound;
}

/* Usually all objects are near, or the first one is not. */
static bool all_are_near(const struct hak_shard *shard, unsigned class_id, struct hak_chain chain)
{
    void *object;
    while ((object = hak_chain_top(chain)) != NULL &&
           is_on_node_of(shard, hak_page_find(object).home))
        if (!looks_below(class_id, &chain))
            return false; /* whoever takes the chain apart finds and tells it */
    return object == NULL;
}

bool hak_shard_leaves_foreign(struct hak_shard *shard, unsigned class_id, struct hak_chain chain)
{
    bool one_node = hak_shard_map_nodes(hak_shard_map_of(shard)) == 1;
    if (shard->settings->remote == HAK_REMOTE_HOME ||
        (!one_node && !all_are_near(shard, class_id, chain)))
        return false;
    unsigned length = hak_chain_length(class_id, chain);
    count_flushed(shard, class_id, length);
    count_adopted(shard, class_id, chain);
    hak_count(&shard->counters, HAK_COUNTER_REFILL_FOREIGN, 1);
    hak_count_objects(&shard->classes[class_id].refilled, length);
    return true;
}
