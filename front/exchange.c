/* SPDX-License-Identifier: MIT */
/* What a thread's front and its shard exchange, whole chains at a time. */
#include "front/exchange.h"

#include "shard/found.h"
#include "shard/give.h"
#include "shard/refill.h"

static unsigned chain_length(unsigned class_id, uint64_t word)
{
    return hak_classes[class_id].bundle - hak_word_room(word);
}

/* ---- in ------------------------------------------------------------------------------------- */

static void *refill_from_shard(struct hak_front *front, unsigned class_id)
{
    front->missed[class_id] = 1;
    uint64_t word = hak_shard_refill(hak_front_shard(front), class_id, front->fill[class_id]);
    if (word == 0)
        return NULL;
    /* P1: a class that is missed again before the next tick is filled twice as far. */
    unsigned bundle = hak_classes[class_id].bundle;
    unsigned fill = front->fill[class_id] * 2u;
    front->fill[class_id] = (uint16_t)(fill > bundle ? bundle : fill);
    front->loaded[class_id] = word;
    return hak_front_pop(front, class_id);
}

/* What neither pop took although it is there: 1, or 0 if nothing is. */
static HAK_COLD int give_up_broken(struct hak_front *front, unsigned class_id)
{
    uint64_t loaded = front->loaded[class_id];
    uint64_t spare = front->spare[class_id];
    if (hak_word_object(loaded) != NULL) {
        front->loaded[class_id] = hak_magazine_empty(class_id);
        hak_found_broken(class_id, loaded);
        return 1;
    }
    if (hak_word_object(spare) == NULL)
        return 0;
    front->spare[class_id] = hak_magazine_empty(class_id);
    front->spare_bytes -= hak_magazine_bytes(class_id);
    hak_found_broken(class_id, spare);
    return 1;
}

/* Whoever comes here has tried hak_front_pop: what `loaded` has is broken. Each turn but the last
 * gives up a magazine, of which the bins hold so many and no more. */
void *hak_front_refill(struct hak_front *front, unsigned class_id)
{
    void *object;
    do {
        object = hak_front_pop_spare(front, class_id);
        if (object == NULL && hak_likely(hak_word_object(front->loaded[class_id]) == NULL &&
                                         hak_word_object(front->spare[class_id]) == NULL))
            object = refill_from_shard(front, class_id);
    } while (hak_unlikely(object == NULL) && give_up_broken(front, class_id));
    return object;
}

/* ---- out: foreign objects -------------------------------------------------------------------- */

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
    if (hak_magazine_push(&front->foreign[class_id], object))
        return;
    if (!keep_foreign(front, class_id))
        flush_foreign(front, class_id);
    hak_magazine_push(&front->foreign[class_id], object);
}

/* ---- out: objects of the front's shard ------------------------------------------------------- */

static void count_flushed(struct hak_shard *shard, unsigned class_id, uint64_t word)
{
    hak_count(&shard->counters, HAK_COUNTER_FLUSH_OBJECTS, chain_length(class_id, word));
}

void hak_front_overflow(struct hak_front *front, unsigned class_id, void *object)
{
    /* There is room if the visit of the heap before this emptied the front. */
    if (hak_unlikely(hak_magazine_push(&front->loaded[class_id], object)))
        return;
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
    struct hak_shard *shard = hak_front_shard(front);
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
