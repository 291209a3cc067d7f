/* SPDX-License-Identifier: MIT */
/* Takes objects out of a slab's two-level bitmap and puts them back. Under the bin's lock. */
#include "tiers/slab.h"

#include "os/bits.h"
#include "os/compiler.h"
#include "os/memory.h"
#include "tiers/object.h"
#include "tiers/page_map.h"
#include "tiers/size_class.h"

_Static_assert(HAK_PAGE_SIZE / HAK_CLASS_STEP <= HAK_SLAB_WORDS * 64,
               "a slab of one page has a bit for each object");

enum { WORD_BITS = 64 };

void hak_slab_build(struct hak_slab *slab, void *base, unsigned class_id)
{
    const struct hak_class *class = &hak_classes[class_id];
    slab->base = base;
    slab->size = class->size;
    slab->reciprocal = class->reciprocal;
    slab->capacity = class->capacity;
    slab->free_count = class->capacity;
    slab->class_id = (uint8_t)class_id;
    slab->pages = (uint8_t) class->slab_pages;
    slab->degree = 0;
    slab->waits = 0;
    slab->hole_count = 0;
    slab->next = NULL;
    slab->previous = NULL;
    slab->holes = (struct hak_slab_pages){{0}};
    slab->idle = (struct hak_slab_pages){{0}};

    unsigned full_words = class->capacity / WORD_BITS;
    unsigned rest = class->capacity % WORD_BITS;
    for (unsigned word = 0; word < full_words; word++)
        slab->words[word] = ~UINT64_C(0);
    if (rest != 0)
        slab->words[full_words] = (UINT64_C(1) << rest) - 1;
    unsigned used_words = full_words + (rest != 0);
    slab->summary = used_words == WORD_BITS ? ~UINT64_C(0) : (UINT64_C(1) << used_words) - 1;
}

/* ---- kernel pages --------------------------------------------------------------------------- */

static unsigned page_shift(void)
{
    return hak_lowest_bit(hak_os_page_size());
}

static bool has_page(const struct hak_slab_pages *pages, unsigned page)
{
    return (pages->words[page / WORD_BITS] >> page % WORD_BITS & 1) != 0;
}

/* The objects first to last, which lie on a page, wholly or in part; first > last: none. */
struct range {
    unsigned first, last;
};

static struct range objects_on(const struct hak_slab *slab, unsigned page, unsigned shift)
{
    uint32_t start = (uint32_t)page << shift;
    uint32_t last = (start + (UINT32_C(1) << shift) - 1) / slab->size;
    return (struct range){start / slab->size, last < slab->capacity ? last : slab->capacity - 1u};
}

/* Whether the object lies on a hole: then it is free, although its bit is 0. */
static bool is_hidden(const struct hak_slab *slab, unsigned index, unsigned shift)
{
    uint32_t start = (uint32_t)index * slab->size;
    unsigned last = (start + slab->size - 1) >> shift;
    for (unsigned page = start >> shift; page <= last; page++)
        if (has_page(&slab->holes, page))
            return true;
    return false;
}

/* The bits of one word that stand for objects of the range. */
static uint64_t bits_in(unsigned word, struct range range)
{
    unsigned low = range.first > word * WORD_BITS ? range.first % WORD_BITS : 0;
    unsigned high =
        range.last < word * WORD_BITS + WORD_BITS ? range.last % WORD_BITS : WORD_BITS - 1u;
    return UINT64_MAX << low & UINT64_MAX >> (WORD_BITS - 1u - high);
}

/* The first and last objects on the page may also lie on a hole beside it, and be hidden. */
static bool is_page_free(const struct hak_slab *slab, unsigned page, unsigned shift)
{
    struct range range = objects_on(slab, page, shift);
    while (slab->hole_count != 0 && range.first <= range.last &&
           is_hidden(slab, range.first, shift))
        range.first++;
    while (slab->hole_count != 0 && range.first <= range.last && is_hidden(slab, range.last, shift))
        range.last--;
    if (range.first > range.last)
        return true;
    for (unsigned word = range.first / WORD_BITS; word <= range.last / WORD_BITS; word++)
        if ((~slab->words[word] & bits_in(word, range)) != 0)
            return false;
    return true;
}

unsigned hak_slab_find_free_pages(const struct hak_slab *slab, struct hak_slab_pages *pages)
{
    unsigned shift = page_shift();
    unsigned all = (unsigned)slab->pages << (HAK_PAGE_SHIFT - shift);
    unsigned found = 0;
    *pages = (struct hak_slab_pages){{0}};
    for (unsigned page = 0; page < all; page++)
        if (!has_page(&slab->holes, page) && is_page_free(slab, page, shift)) {
            pages->words[page / WORD_BITS] |= UINT64_C(1) << page % WORD_BITS;
            found++;
        }
    return found;
}

static void hide_objects(struct hak_slab *slab, struct range range)
{
    for (unsigned word = range.first / WORD_BITS;
         range.first <= range.last && word <= range.last / WORD_BITS; word++) {
        slab->words[word] &= ~bits_in(word, range);
        if (slab->words[word] == 0)
            slab->summary &= ~(UINT64_C(1) << word);
    }
}

void hak_slab_make_holes(struct hak_slab *slab, const struct hak_slab_pages *pages)
{
    unsigned shift = page_shift();
    for (unsigned word = 0; word < HAK_SLAB_HOLE_WORDS; word++) {
        uint64_t left = pages->words[word];
        slab->hole_count = (uint16_t)(slab->hole_count + hak_bit_count(left));
        slab->holes.words[word] |= left;
        slab->idle.words[word] &= ~left;
        for (; left != 0; left &= left - 1)
            hide_objects(slab, objects_on(slab, word * WORD_BITS + hak_lowest_bit(left), shift));
    }
}

/* The page is no longer a hole: its objects get their bits back, unless they lie on another
 * hole. */
static void show_objects(struct hak_slab *slab, unsigned page, unsigned shift)
{
    struct range range = objects_on(slab, page, shift);
    for (unsigned index = range.first; index <= range.last; index++)
        if (slab->hole_count == 0 || !is_hidden(slab, index, shift)) {
            slab->words[index / WORD_BITS] |= UINT64_C(1) << index % WORD_BITS;
            slab->summary |= UINT64_C(1) << index / WORD_BITS;
        }
}

/* Called if all free objects are hidden: fills the lowest hole, and all holes under its first
 * object. A page behind the last object would be the last hole, and is never filled. */
static HAK_COLD void fill_hole(struct hak_slab *slab)
{
    unsigned shift = page_shift();
    unsigned word = slab->holes.words[0] != 0 ? 0 : 1;
    unsigned lowest = word * WORD_BITS + hak_lowest_bit(slab->holes.words[word]);
    uint32_t object = objects_on(slab, lowest, shift).first * slab->size;
    unsigned last = (object + slab->size - 1) >> shift;
    struct hak_slab_pages filled = {{0}};
    for (unsigned page = lowest; page <= last; page++)
        if (has_page(&slab->holes, page)) {
            filled.words[page / WORD_BITS] |= UINT64_C(1) << page % WORD_BITS;
            slab->holes.words[page / WORD_BITS] &= ~(UINT64_C(1) << page % WORD_BITS);
            slab->hole_count--;
        }
    for (unsigned page = lowest; page <= last; page++)
        if (has_page(&filled, page))
            show_objects(slab, page, shift);
}

/* ---- objects -------------------------------------------------------------------------------- */

static unsigned next_free(struct hak_slab *slab)
{
    if (hak_unlikely(slab->summary == 0))
        fill_hole(slab);
    unsigned word = hak_lowest_bit(slab->summary);
    uint64_t bits = slab->words[word];
    unsigned index = word * WORD_BITS + hak_lowest_bit(bits);
    bits &= bits - 1;
    slab->words[word] = bits;
    if (bits == 0)
        slab->summary &= slab->summary - 1;
    return index;
}

/* Claims at most `count` objects of the first word that has any, and moves *objects behind them.
 * Returns how many. */
static unsigned claim_of_word(struct hak_slab *slab, unsigned count, void ***objects)
{
    if (hak_unlikely(slab->summary == 0))
        fill_hole(slab);
    unsigned word = hak_lowest_bit(slab->summary);
    uint64_t bits = slab->words[word];
    char *first = slab->base + (size_t)word * WORD_BITS * slab->size;
    void **next = *objects;
    do {
        *next++ = first + (size_t)hak_lowest_bit(bits) * slab->size;
        bits &= bits - 1;
    } while (bits != 0 && --count != 0);
    slab->words[word] = bits;
    if (bits == 0)
        slab->summary &= slab->summary - 1;
    unsigned claimed = (unsigned)(next - *objects);
    *objects = next;
    return claimed;
}

static void note_claimed(struct hak_slab *slab, unsigned count)
{
    slab->idle = (struct hak_slab_pages){{0}};
    slab->free_count = (uint16_t)(slab->free_count - count);
}

void hak_slab_claim(struct hak_slab *slab, unsigned count, void **objects)
{
    note_claimed(slab, count);
    while (count != 0)
        count -= claim_of_word(slab, count, &objects);
}

struct hak_chain hak_slab_take(struct hak_slab *slab, unsigned count, struct hak_chain below)
{
    unsigned room = hak_chain_room(below) - count;
    note_claimed(slab, count);
    char *top = slab->base + (size_t)next_free(slab) * slab->size;
    struct hak_chain chain = hak_chain_make(top, room);
    char *last = top;
    while (--count != 0) {
        char *object = slab->base + (size_t)next_free(slab) * slab->size;
        hak_link_write(last, hak_chain_make(object, ++room));
        last = object;
    }
    hak_link_write(last, below);
    return chain;
}

bool hak_slab_is_hidden(const struct hak_slab *slab, unsigned index)
{
    return is_hidden(slab, index, page_shift());
}

bool hak_slab_is_free(const struct hak_slab *slab, const void *object)
{
    unsigned index = hak_slab_index(slab, object);
    return (slab->words[index / WORD_BITS] >> index % WORD_BITS & 1) != 0 ||
           (slab->hole_count != 0 && is_hidden(slab, index, page_shift()));
}
