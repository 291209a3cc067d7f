/* SPDX-License-Identifier: MIT */
/* A front is full, or holds objects of other shards: the way out. Whole chains move; an object is
 * only looked at where its home decides. Any thread (a front: its own). */
#include "shard/found.h"
#include "shard/front.h"
#include "shard/heap.h"
#include "shard/shard.h"

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

void hak_shard_accept(struct hak_shard *shard, unsigned class_id, uint64_t word)
{
    if (hak_transfer_cache_push(&shard->bundles, class_id, word)) {
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
        unsigned home = hak_heap_heir(hak_heap_default(), hak_page_find(object).home);
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

/* ---- fronts --------------------------------------------------------------------------------- */

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
        struct hak_shard *home = hak_shard_of_id(hak_page_find(object).home);
        int near = home != NULL && hak_shard_node(home) == hak_shard_node(shard);
        hak_magazine_push(near ? &kept : &sent, object);
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
    const struct hak_heap *heap = hak_heap_default();
    hak_count(&shard->counters, HAK_COUNTER_FOREIGN_FLUSHED, chain_length(class_id, word));
    if (heap->remote == HAK_REMOTE_HOME) {
        hak_shard_send_home(shard, class_id, word);
    } else if (heap->nodes == 1) {
        hak_count(&shard->counters, HAK_COUNTER_FOREIGN_ADOPTED, chain_length(class_id, word));
        hak_shard_accept(shard, class_id, word);
    } else {
        adopt(shard, class_id, word);
    }
}

int hak_shard_leaves_foreign(struct hak_shard *shard, unsigned class_id, uint64_t word)
{
    const struct hak_heap *heap = hak_heap_default();
    if (heap->remote == HAK_REMOTE_HOME || heap->nodes != 1)
        return 0;
    unsigned length = chain_length(class_id, word);
    hak_count(&shard->counters, HAK_COUNTER_FOREIGN_FLUSHED, length);
    hak_count(&shard->counters, HAK_COUNTER_FOREIGN_ADOPTED, length);
    hak_count(&shard->counters, HAK_COUNTER_REFILL_FOREIGN, 1);
    hak_count(&shard->counters, HAK_COUNTER_REFILL_OBJECTS, length);
    return 1;
}

static void flush_foreign(struct hak_front *front, unsigned class_id)
{
    uint64_t word = front->foreign[class_id];
    if (hak_word_object(word) == NULL)
        return;
    front->foreign[class_id] = hak_magazine_empty(class_id);
    hak_shard_take_foreign(hak_front_shard(front), class_id, word);
}

/* A full foreign magazine becomes the thread's own spare one, if it has none: adopted without a
 * round through the transfer cache, where it would be the first to be taken again. */
static int keep_foreign(struct hak_front *front, unsigned class_id)
{
    uint64_t word = front->foreign[class_id];
    uint32_t bytes = hak_magazine_bytes(class_id);
    if (hak_word_room(word) != 0 || hak_word_object(front->spare[class_id]) != NULL ||
        front->spare_bytes + bytes > HAK_FRONT_SPARE_BYTES ||
        !hak_shard_leaves_foreign(hak_front_shard(front), class_id, word))
        return 0;
    front->foreign[class_id] = hak_magazine_empty(class_id);
    __atomic_signal_fence(__ATOMIC_RELEASE);    /* as in hak_front_pop_spare */
    front->spare[class_id] = word;
    front->spare_bytes += bytes;
    return 1;
}

void hak_front_give_foreign(struct hak_front *front, unsigned class_id, void *object)
{
    if (hak_likely(hak_magazine_push(&front->foreign[class_id], object)))
        return;
    hak_front_enter_slow(front);
    if (!keep_foreign(front, class_id))
        flush_foreign(front, class_id);
    hak_magazine_push(&front->foreign[class_id], object);
}

static void count_flushed(struct hak_shard *shard, unsigned class_id, uint64_t word)
{
    hak_count(&shard->counters, HAK_COUNTER_FLUSH_OBJECTS, chain_length(class_id, word));
}

void hak_front_overflow(struct hak_front *front, unsigned class_id, void *object)
{
    uint64_t word = front->loaded[class_id];
    uint64_t behind = front->spare[class_id];
    front->loaded[class_id] = hak_magazine_empty(class_id);
    hak_magazine_push(&front->loaded[class_id], object);
    __atomic_signal_fence(__ATOMIC_RELEASE);    /* as in hak_front_pop_spare */
    /* The magazine that was filled last stays, if one was kept at all: its objects are warm. */
    if (hak_word_object(behind) != NULL) {
        front->spare[class_id] = word;
        word = behind;
    }
    /* Of the shard that the thread was attached to: it may now be on another node. */
    struct hak_shard *shard = hak_front_shard(front);
    hak_front_enter_slow(front);
    count_flushed(shard, class_id, word);
    hak_shard_accept(shard, class_id, word);
}

static void flush_spare(struct hak_front *front, unsigned class_id)
{
    uint64_t word = front->spare[class_id];
    if (hak_word_object(word) == NULL)
        return;
    front->spare_bytes -= hak_magazine_bytes(class_id);
    front->spare[class_id] = hak_magazine_empty(class_id);
    count_flushed(hak_front_shard(front), class_id, word);
    hak_shard_accept(hak_front_shard(front), class_id, word);
}

static void flush_loaded(struct hak_front *front, unsigned class_id)
{
    uint64_t word = front->loaded[class_id];
    if (hak_word_object(word) == NULL)
        return;
    front->loaded[class_id] = hak_magazine_empty(class_id);
    count_flushed(hak_front_shard(front), class_id, word);
    hak_shard_accept_part(hak_front_shard(front), class_id, word);
}

static void flush_class(struct hak_front *front, unsigned class_id)
{
    flush_spare(front, class_id);
    flush_foreign(front, class_id);
    flush_loaded(front, class_id);
}

void hak_front_flush_classes(struct hak_front *front, unsigned first, unsigned count)
{
    for (unsigned class_id = first; class_id < HAK_CLASS_COUNT && count != 0; class_id++, count--)
        flush_class(front, class_id);
}

void hak_front_flush(struct hak_front *front)
{
    hak_front_flush_classes(front, 1, HAK_CLASS_COUNT);
}

void hak_front_shrink(struct hak_front *front)
{
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++) {
        flush_foreign(front, class_id);
        int is_unused = hak_front_is_unused(front, class_id, front->loaded[class_id]);
        if (front->missed[class_id]) {
            front->missed[class_id] = 0;
            continue;
        }
        flush_spare(front, class_id);
        if (is_unused)
            flush_loaded(front, class_id);
        if (front->fill[class_id] > 1)
            front->fill[class_id] /= 2;
    }
}
