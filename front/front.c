/* SPDX-License-Identifier: MIT */
/* A front on its own: made empty, and counted. */
#include "front/front.h"

#include <string.h>

#include "shard/shard.h"

enum {
    FILL_FIRST_PART = 8,     /* a first refill takes 1/8 of a bundle, */
    FILL_FIRST_BYTES = 4096, /* or as many objects as a kernel page has, if that is more */
};

uint32_t hak_front_wishes;

static unsigned first_fill(unsigned class_id)
{
    const struct hak_class *class = &hak_classes[class_id];
    unsigned fill = class->bundle / FILL_FIRST_PART;
    unsigned page_worth = FILL_FIRST_BYTES / class->size;
    fill = fill < page_worth ? page_worth : fill;
    if (fill > class->bundle)
        return class->bundle;
    return fill != 0 ? fill : 1;
}

void hak_front_attach(struct hak_front *front, struct hak_shard *shard)
{
    /* relaxed: a free that still sees the old home takes the longer way, no more; release: pairs
     * with the acquire in hak_front_shard */
    __atomic_store_n(&front->home, shard->id, __ATOMIC_RELAXED);
    __atomic_store_n(&front->shard, shard, __ATOMIC_RELEASE);
}

void hak_front_reset_fill(struct hak_front *front)
{
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++)
        front->fill[class_id] = (uint16_t)first_fill(class_id);
}

void hak_front_init(struct hak_front *front, unsigned sequence, struct hak_shard *shard)
{
    memset(front, 0, sizeof *front);
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++) {
        struct hak_chain empty = hak_magazine_empty(class_id);
        front->loaded[class_id] = empty;
        front->foreign[class_id] = empty;
        front->spare[class_id] = empty;
        front->refused[class_id] = hak_magazine_refused(class_id);
    }
    hak_front_reset_fill(front);
    front->refused[HAK_CLASS_NONE] = HAK_MAGAZINE_OVERFULL;
    front->near = HAK_FRONT_NOWHERE;
    front->leaf = hak_page_map.nothing;
    front->to_sample = -1;
    front->sequence = sequence;
    front->wishes_seen = __atomic_load_n(&hak_front_wishes, __ATOMIC_RELAXED); /* relaxed: a wish */
    hak_front_attach(front, shard);
}

/* relaxed: a magazine is one word, and only its room is read */
static unsigned count_in(const struct hak_chain *magazine, unsigned bundle)
{
    struct hak_chain chain = {__atomic_load_n(&magazine->word, __ATOMIC_RELAXED)};
    unsigned room = hak_chain_room(chain);
    return chain.word != 0 && room < bundle ? bundle - room : 0;
}

static unsigned count_of_class(const struct hak_front *front, unsigned class_id)
{
    unsigned bundle = hak_classes[class_id].bundle;
    return count_in(&front->loaded[class_id], bundle) + count_in(&front->spare[class_id], bundle) +
           count_in(&front->foreign[class_id], bundle);
}

/* Most classes have no object. */
static bool has_any(const struct hak_front *front, unsigned class_id)
{
    /* relaxed, all: as in count_in */
    uint64_t words = __atomic_load_n(&front->loaded[class_id].word, __ATOMIC_RELAXED) |
                     __atomic_load_n(&front->spare[class_id].word, __ATOMIC_RELAXED) |
                     __atomic_load_n(&front->foreign[class_id].word, __ATOMIC_RELAXED);
    return !hak_chain_is_empty((struct hak_chain){words});
}

size_t hak_front_bytes_of_class(const struct hak_front *front, unsigned class_id)
{
    if (!has_any(front, class_id))
        return 0;
    return (size_t)count_of_class(front, class_id) * hak_classes[class_id].size;
}

size_t hak_front_bytes(const struct hak_front *front)
{
    size_t bytes = 0;
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++)
        bytes += hak_front_bytes_of_class(front, class_id);
    return bytes;
}

void hak_front_rows_add(struct hak_front_rows *rows, const struct hak_front *front)
{
    unsigned home = hak_front_home(front);
    uint32_t *row = rows->objects + (size_t)(home <= rows->shards ? home : 0) * HAK_CLASS_COUNT;
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++) {
        unsigned objects = count_of_class(front, class_id);
        row[class_id] += objects;
        rows->bytes += (size_t)objects * hak_classes[class_id].size;
    }
}
