/* SPDX-License-Identifier: MIT */
/* What was freed: the way out. Whole chains move; an object is only looked at where its home
 * decides. Any thread. */
#include "shard/give.h"

#include "shard/found.h"
#include "shard/magazine.h"
#include "shard/shard_map.h"

enum {
    DESTINATIONS_MAX = 8,    /* homes sorted apart in one chain; what is beyond goes to slabs */
};

static unsigned chain_length(unsigned class_id, uint64_t word)
{
    return hak_classes[class_id].bundle - hak_word_room(word);
}

/* ---- chains that a shard takes over ---------------------------------------------------------- */

void hak_shard_give_to_slabs(unsigned class_id, uint64_t word)
{
    void *object;
    while ((object = hak_word_object(word)) != NULL) {
        struct hak_page page = hak_page_find(object);
        struct hak_shard *home = hak_shard_of_id(page.home);
        if (home != NULL &&
            hak_pool_give(hak_shard_pool(home, class_id), class_id, &word, home->policy) != 0)
            continue;
        uint64_t below;
        if (!hak_chain_below(class_id, word, &below) || home == NULL)
            return;
        /* Freed twice, or not the start of an object: left out, so that it harms nobody. */
        int begins = hak_slab_is_object(hak_slab_of(object, page), object);
        hak_found_bad_free(&home->counters, object, begins ? HAK_FOUND_FREED : HAK_FOUND_INTERIOR);
        word = below;
    }
}

uint64_t hak_shard_pop_bundle(struct hak_shard *shard, unsigned class_id)
{
    uint64_t left;
    uint64_t word = hak_transfer_cache_pop(&shard->bundles, class_id, &left);
    while (hak_unlikely(left != 0)) {
        uint64_t bundle = hak_transfer_cache_chain(class_id, left);
        left = hak_bundle_below(class_id, hak_word_object(left));
        hak_shard_give_to_slabs(class_id, bundle);
    }
    return word;
}

void hak_shard_accept(struct hak_shard *shard, unsigned class_id, uint64_t word)
{
    /* Where nothing is to be kept, slabs alone can tell what is wholly free. */
    if (shard->policy->decay_ns != 0 &&
        hak_transfer_cache_push(&shard->bundles, class_id, word)) {
        hak_count(&shard->counters, HAK_COUNTER_FLUSH_BUNDLES, 1);
        return;
    }
    hak_count(&shard->counters, HAK_COUNTER_FLUSH_TO_SLABS, 1);
    hak_shard_give_to_slabs(class_id, word);
}

void hak_shard_accept_part(struct hak_shard *shard, unsigned class_id, uint64_t word)
{
    if (chain_length(class_id, word) * 2 >= hak_classes[class_id].bundle)
        hak_shard_accept(shard, class_id, word);
    else
        hak_shard_give_to_slabs(class_id, word);
}

/* ---- the way home --------------------------------------------------------------------------- */

struct destination {
    unsigned home;
    unsigned count;
    uint64_t chain;
};

static struct destination *destination_of(struct destination *destinations, unsigned *used,
                                          unsigned home, unsigned class_id)
{
    for (unsigned index = 0; index < *used; index++)
        if (destinations[index].home == home)
            return &destinations[index];
    if (*used == DESTINATIONS_MAX)
        return NULL;
    struct destination *fresh = &destinations[(*used)++];
    *fresh = (struct destination){ home, 0, hak_magazine_empty(class_id) };
    return fresh;
}

/* While there is one shard it has no map, and no other is anybody's home. */
static unsigned heir_of(const struct hak_shard_map *map, unsigned home)
{
    return map != NULL ? hak_shard_map_heir(map, home) : home;
}

static void post(struct hak_shard *sender, unsigned class_id, const struct destination *bundle)
{
    struct hak_shard *home = hak_shard_of_id(bundle->home);
    if (home == sender) {
        hak_shard_accept(sender, class_id, bundle->chain);
        return;
    }
    hak_inbox_post(&home->inbox, hak_word_object(bundle->chain), bundle->count);
    hak_count(&sender->counters, HAK_COUNTER_FOREIGN_BUNDLES_HOME, 1);
    hak_count(&sender->counters, HAK_COUNTER_FOREIGN_OBJECTS_HOME, bundle->count);
    hak_count(&sender->counters, HAK_COUNTER_FOREIGN_BYTES_HOME,
              (uint64_t)bundle->count * hak_classes[class_id].size);
}

void hak_shard_send_home(struct hak_shard *shard, unsigned class_id, uint64_t word)
{
    struct destination destinations[DESTINATIONS_MAX];
    unsigned used = 0;
    uint64_t strays = hak_magazine_empty(class_id);
    void *object;
    uint64_t below;
    while ((object = hak_word_object(word)) != NULL && hak_chain_below(class_id, word, &below)) {
        word = below;
        unsigned home = heir_of(hak_shard_map_of(shard), hak_page_find(object).home);
        struct destination *to = destination_of(destinations, &used, home, class_id);
        if (to != NULL) {
            hak_magazine_push(&to->chain, object);
            to->count++;
        } else {
            hak_magazine_push(&strays, object);
        }
    }
    for (unsigned index = 0; index < used; index++)
        post(shard, class_id, &destinations[index]);
    hak_shard_give_to_slabs(class_id, strays);
}

/* ---- what was freed away from home ---------------------------------------------------------- */

static int is_near(const struct hak_shard *shard, const void *object)
{
    const struct hak_shard *home = hak_shard_of_id(hak_page_find(object).home);
    return home != NULL && hak_shard_node(home) == hak_shard_node(shard);
}

/* Within a node objects may change their shard: the chain goes where the next refill looks first.
 * Only what belongs to another node is sorted out, and sent home. */
static void adopt(struct hak_shard *shard, unsigned class_id, uint64_t word)
{
    uint64_t kept = hak_magazine_empty(class_id);
    uint64_t sent = hak_magazine_empty(class_id);
    void *object;
    uint64_t below;
    while ((object = hak_word_object(word)) != NULL && hak_chain_below(class_id, word, &below)) {
        word = below;
        hak_magazine_push(is_near(shard, object) ? &kept : &sent, object);
    }
    if (hak_word_object(kept) != NULL) {
        hak_count(&shard->counters, HAK_COUNTER_FOREIGN_ADOPTED, chain_length(class_id, kept));
        hak_shard_accept(shard, class_id, kept);
    }
    if (hak_word_object(sent) != NULL)
        hak_shard_send_home(shard, class_id, sent);
}

void hak_shard_take_foreign(struct hak_shard *shard, unsigned class_id, uint64_t word)
{
    hak_count(&shard->counters, HAK_COUNTER_FOREIGN_FLUSHED, chain_length(class_id, word));
    if (shard->policy->remote == HAK_REMOTE_HOME) {
        hak_shard_send_home(shard, class_id, word);
    } else if (hak_shard_map_nodes(hak_shard_map_of(shard)) == 1) {
        hak_count(&shard->counters, HAK_COUNTER_FOREIGN_ADOPTED, chain_length(class_id, word));
        hak_shard_accept(shard, class_id, word);
    } else {
        adopt(shard, class_id, word);
    }
}

/* Mostly all of a chain is near, or the first that is looked at is not. */
static int all_are_near(const struct hak_shard *shard, unsigned class_id, uint64_t word)
{
    void *object;
    while ((object = hak_word_object(word)) != NULL && is_near(shard, object))
        if (!hak_chain_below(class_id, word, &word))
            return 0;
    return object == NULL;
}

int hak_shard_leaves_foreign(struct hak_shard *shard, unsigned class_id, uint64_t word)
{
    if (shard->policy->remote == HAK_REMOTE_HOME ||
        (hak_shard_map_nodes(hak_shard_map_of(shard)) != 1 && !all_are_near(shard, class_id, word)))
        return 0;
    unsigned length = chain_length(class_id, word);
    hak_count(&shard->counters, HAK_COUNTER_FOREIGN_FLUSHED, length);
    hak_count(&shard->counters, HAK_COUNTER_FOREIGN_ADOPTED, length);
    hak_count(&shard->counters, HAK_COUNTER_REFILL_FOREIGN, 1);
    hak_count(&shard->counters, HAK_COUNTER_REFILL_OBJECTS, length);
    return 1;
}
