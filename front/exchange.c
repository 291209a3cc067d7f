/* SPDX-License-Identifier: MIT */
/* What a thread's front and its shard exchange, whole chains at a time. */
#include "front/exchange.h"

#include "shard/found.h"
#include "shard/give.h"
#include "shard/refill.h"

/* ---- in ------------------------------------------------------------------------------------- */

static void *refill_from_shard(struct hak_front *front, unsigned class_id)
{
    front->missed[class_id] = 1;
    struct hak_chain chain =
        hak_shard_refill(hak_front_shard(front), class_id, front->fill[class_id]);
    if (hak_chain_is_empty(chain))
        return NULL;
    /* P1: a class that is missed again before the next tick is filled twice as far. */
    unsigned bundle = hak_classes[class_id].bundle;
    unsigned fill = front->fill[class_id] * 2u;
    front->fill[class_id] = (uint16_t)(fill > bundle ? bundle : fill);
    front->loaded[class_id] = chain;
    return hak_front_pop(front, class_id);
}

/* Gives up what neither pop took although it is there. Whether there was something. */
static HAK_COLD bool give_up_broken(struct hak_front *front, unsigned class_id)
{
    struct hak_chain loaded = front->loaded[class_id];
    struct hak_chain spare = front->spare[class_id];
    if (!hak_chain_is_empty(loaded)) {
        front->loaded[class_id] = hak_magazine_empty(class_id);
        hak_found_broken(class_id, loaded);
        return true;
    }
    if (hak_chain_is_empty(spare))
        return false;
    front->spare[class_id] = hak_magazine_empty(class_id);
    front->spare_bytes -= hak_magazine_bytes(class_id);
    hak_found_broken(class_id, spare);
    return true;
}

/* Whoever comes here has tried hak_front_pop: what `loaded` has is broken. Each turn but the last
 * gives up a magazine, of which the bins hold so many and no more. */
void *hak_front_refill(struct hak_front *front, unsigned class_id)
{
    void *object;
    do {
        object = hak_front_pop_spare(front, class_id);
        if (object == NULL && hak_likely(hak_chain_is_empty(front->loaded[class_id]) &&
                                         hak_chain_is_empty(front->spare[class_id])))
            object = refill_from_shard(front, class_id);
    } while (hak_unlikely(object == NULL) && give_up_broken(front, class_id));
    return object;
}

/* ---- out: foreign objects -------------------------------------------------------------------- */

static void flush_foreign(struct hak_front *front, unsigned class_id)
{
    struct hak_chain chain = front->foreign[class_id];
    if (hak_chain_is_empty(chain))
        return;
    front->foreign[class_id] = hak_magazine_empty(class_id);
    hak_shard_take_foreign(hak_front_shard(front), class_id, chain);
}

/* A full foreign magazine becomes the thread's own spare one, if it has none: adopted without a
 * round through the transfer cache, where it would be the first to be taken again. */
static bool keep_foreign(struct hak_front *front, unsigned class_id)
{
    struct hak_chain chain = front->foreign[class_id];
    uint32_t bytes = hak_magazine_bytes(class_id);
    if (hak_chain_room(chain) != 0 || !hak_chain_is_empty(front->spare[class_id]) ||
        front->spare_bytes + bytes > HAK_FRONT_SPARE_BYTES ||
        !hak_shard_leaves_foreign(hak_front_shard(front), class_id, chain))
        return false;
    front->foreign[class_id] = hak_magazine_empty(class_id);
    __atomic_signal_fence(__ATOMIC_RELEASE);    /* as in hak_front_pop_spare */
    front->spare[class_id] = chain;
    front->spare_bytes += bytes;
    return true;
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

static void count_flushed(struct hak_shard *shard, unsigned class_id, struct hak_chain chain)
{
    unsigned length = hak_chain_length(class_id, chain);
    hak_count(&shard->counters, HAK_COUNTER_FLUSH_OBJECTS, length);
    hak_count_objects(&shard->classes[class_id].flushed, length);
}

void hak_front_overflow(struct hak_front *front, unsigned class_id, void *object)
{
    /* There is room if the visit of the heap before this emptied the front. */
    if (hak_unlikely(hak_magazine_push(&front->loaded[class_id], object)))
        return;
    struct hak_chain chain = front->loaded[class_id];
    struct hak_chain behind = front->spare[class_id];
    front->loaded[class_id] = hak_magazine_empty(class_id);
    hak_magazine_push(&front->loaded[class_id], object);
    __atomic_signal_fence(__ATOMIC_RELEASE);    /* as in hak_front_pop_spare */
    /* The magazine that was filled last stays, if one was kept at all: its objects are warm. */
    if (!hak_chain_is_empty(behind)) {
        front->spare[class_id] = chain;
        chain = behind;
    }
    struct hak_shard *shard = hak_front_shard(front);
    count_flushed(shard, class_id, chain);
    hak_shard_accept(shard, class_id, chain);
}

static void flush_spare(struct hak_front *front, unsigned class_id)
{
    struct hak_chain chain = front->spare[class_id];
    if (hak_chain_is_empty(chain))
        return;
    front->spare_bytes -= hak_magazine_bytes(class_id);
    front->spare[class_id] = hak_magazine_empty(class_id);
    count_flushed(hak_front_shard(front), class_id, chain);
    hak_shard_accept(hak_front_shard(front), class_id, chain);
}

static void flush_loaded(struct hak_front *front, unsigned class_id)
{
    struct hak_chain chain = front->loaded[class_id];
    if (hak_chain_is_empty(chain))
        return;
    front->loaded[class_id] = hak_magazine_empty(class_id);
    count_flushed(hak_front_shard(front), class_id, chain);
    hak_shard_accept_part(hak_front_shard(front), class_id, chain);
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
        bool is_unused = hak_front_is_unused(front, class_id, front->loaded[class_id]);
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

static bool chain_holds(unsigned class_id, struct hak_chain chain, const void *object)
{
    for (unsigned steps = hak_classes[class_id].bundle; steps != 0; steps--) {
        const void *top = hak_chain_top(chain);
        if (top == NULL || top == object)
            return top != NULL;
        if (!hak_found_is_of_class(class_id, top))
            return false;
        struct hak_chain below = hak_link_read(top);
        if (!hak_link_is_sound(chain, below))
            return false;
        chain = below;
    }
    return false;
}

bool hak_front_holds(const struct hak_front *front, unsigned class_id, const void *object)
{
    return chain_holds(class_id, front->loaded[class_id], object) ||
           chain_holds(class_id, front->spare[class_id], object) ||
           chain_holds(class_id, front->foreign[class_id], object);
}
