/* SPDX-License-Identifier: MIT */
/* Taking objects out of a slab's two-level bitmap and putting them back. Under the bin's lock. */
#include "tiers/slab.h"

#include "os/bits.h"
#include "os/compiler.h"
#include "tiers/object.h"
#include "tiers/page_map.h"
#include "tiers/size_class.h"

_Static_assert(HAK_PAGE_SIZE / HAK_CLASS_STEP <= HAK_SLAB_WORDS * 64,
               "a slab of one page has a bit for each object");

enum {
    WORD_BITS = 64
};

void hak_slab_build(struct hak_slab *slab, void *base, unsigned class_id)
{
    const struct hak_class *class = &hak_classes[class_id];
    slab->base = base;
    slab->size = class->size;
    slab->reciprocal = class->reciprocal;
    slab->capacity = class->capacity;
    slab->free_count = class->capacity;
    slab->class_id = (uint8_t)class_id;
    slab->pages = (uint8_t)class->slab_pages;
    slab->next = NULL;
    slab->previous = NULL;

    unsigned full_words = class->capacity / WORD_BITS;
    unsigned rest = class->capacity % WORD_BITS;
    for (unsigned word = 0; word < full_words; word++)
        slab->words[word] = ~UINT64_C(0);
    if (rest != 0)
        slab->words[full_words] = (UINT64_C(1) << rest) - 1;
    unsigned used_words = full_words + (rest != 0);
    slab->summary = used_words == WORD_BITS ? ~UINT64_C(0) : (UINT64_C(1) << used_words) - 1;
}

static unsigned next_free(struct hak_slab *slab)
{
    unsigned word = hak_lowest_bit(slab->summary);
    uint64_t bits = slab->words[word];
    unsigned index = word * WORD_BITS + hak_lowest_bit(bits);
    bits &= bits - 1;
    slab->words[word] = bits;
    if (bits == 0)
        slab->summary &= slab->summary - 1;
    return index;
}

uint64_t hak_slab_take(struct hak_slab *slab, unsigned count, uint64_t word)
{
    unsigned room = hak_word_room(word) - count;
    slab->free_count = (uint16_t)(slab->free_count - count);
    char *top = slab->base + (size_t)next_free(slab) * slab->size;
    uint64_t chain = hak_word_make(top, room);
    char *last = top;
    while (--count != 0) {
        char *object = slab->base + (size_t)next_free(slab) * slab->size;
        hak_link_write(last, hak_word_make(object, ++room));
        last = object;
    }
    hak_link_write(last, word);
    return chain;
}

enum hak_slab_give hak_slab_give(struct hak_slab *slab, const void *object)
{
    if (hak_unlikely(!hak_slab_is_object(slab, object)))
        return HAK_SLAB_NOT_AN_OBJECT;
    uint64_t offset = (uint64_t)((const char *)object - slab->base);
    unsigned index = (unsigned)(offset * slab->reciprocal >> 32);
    unsigned word = index / WORD_BITS;
    uint64_t bit = UINT64_C(1) << index % WORD_BITS;
    if (hak_unlikely((slab->words[word] & bit) != 0))
        return HAK_SLAB_ALREADY_FREE;
    slab->words[word] |= bit;
    slab->summary |= UINT64_C(1) << word;
    slab->free_count++;
    return HAK_SLAB_GIVEN;
}
