/* SPDX-License-Identifier: MIT */
/* The tables of size classes, computed at start (in about 2 µs) from the numbers in the header, so
 * that numbers and tables always agree. Only the starting thread writes them. */
#include "tiers/size_class.h"

#include <string.h>

#include "os/bits.h"
#include "os/compiler.h"
#include "tiers/meta.h"
#include "tiers/page_map.h"

enum {
    BUNDLE_MIN = 16,
    BUNDLE_BYTES = 256 * 1024, /* big objects get shorter bundles */
    SLAB_PAGES_MAX = 8,
    SLAB_OBJECTS_MIN = 8,
    SLAB_WASTE_PART = 16, /* at most 1/16 of a slab is lost behind its last object */
};

/* What the header's numbers must satisfy for the arithmetic below and the fields that hold a
 * class. */
enum {
    /* A power of two has one bit. */
    ALL_POWERS = __builtin_popcount(HAK_TINY_MAX) == 1 && __builtin_popcount(HAK_MID_MAX) == 1 &&
                 __builtin_popcount(HAK_CLASS_STEP) == 1 &&
                 __builtin_popcount(HAK_CLASS_LINEAR_MAX) == 1 &&
                 __builtin_popcount(HAK_CLASS_SPREAD_MIN) == 1 &&
                 __builtin_popcount(HAK_CLASSES_PER_DOUBLING) == 1,
};
_Static_assert(ALL_POWERS, "the numbers that classes are made of are powers of two");
_Static_assert(HAK_CLASS_LINEAR_MAX / HAK_CLASSES_PER_DOUBLING >= HAK_CLASS_STEP,
               "the first doubling's classes are multiples of HAK_CLASS_STEP: that many for each "
               "doubling need a larger HAK_CLASS_LINEAR_MAX");
_Static_assert(HAK_CLASS_LINEAR_MAX <= HAK_TINY_MAX && HAK_TINY_MAX < HAK_CLASS_SPREAD_MIN &&
                   HAK_CLASS_SPREAD_MIN <= HAK_MID_MAX,
               "HAK_TINY_MAX is a class of its own: classes are linear below it, spread above it");
_Static_assert(
    HAK_CLASS_SPREAD_MIN / 2 / HAK_CLASSES_PER_DOUBLING % HAK_CACHE_LINE == 0 &&
        HAK_CLASS_SPREAD_MIN / HAK_CLASSES_PER_DOUBLING % (2 * HAK_CACHE_LINE) == 0,
    "a spread class and one cache line are an odd number of lines: that many classes for "
    "each doubling need a larger HAK_CLASS_SPREAD_MIN");
_Static_assert(HAK_CLASS_LAST <= UINT8_MAX, "the page map and the table have 8 bits for a class");
_Static_assert(SLAB_PAGES_MAX *HAK_PAGE_SIZE / (HAK_MID_MAX + HAK_CACHE_LINE) >= SLAB_OBJECTS_MIN,
               "the longest slab holds enough of the largest objects");

HAK_EARLY struct hak_class hak_classes[HAK_CLASS_COUNT];
HAK_EARLY uint8_t hak_class_of_size[HAK_MID_MAX / HAK_CLASS_STEP + 1];
const uint8_t *hak_class_of_size_known = hak_class_of_size;

static unsigned size_of_class(unsigned class_id)
{
    enum { PARTS = HAK_CLASSES_PER_DOUBLING };
    if (class_id > HAK_CLASS_MID_LAST)
        return (unsigned)HAK_CLASS_SPREAD_MIN << (class_id - HAK_CLASS_MID_LAST - 1);
    if (class_id <= HAK_CLASS_LINEAR_LAST)
        return class_id * HAK_CLASS_STEP;
    unsigned above = class_id - HAK_CLASS_LINEAR_LAST - 1;
    unsigned base = (unsigned)HAK_CLASS_LINEAR_MAX << above / PARTS;
    unsigned size = base + base / PARTS * (above % PARTS + 1);
    return size < HAK_CLASS_SPREAD_MIN ? size : size + HAK_CACHE_LINE;
}

/* The shortest slab that wastes little behind its last object, and holds enough objects to be worth
 * its bookkeeping. */
static unsigned slab_pages_for(unsigned size)
{
    for (unsigned pages = 1; pages < SLAB_PAGES_MAX; pages *= 2) {
        unsigned bytes = pages * HAK_PAGE_SIZE;
        if (bytes / size >= SLAB_OBJECTS_MIN && bytes % size <= bytes / SLAB_WASTE_PART)
            return pages;
    }
    return SLAB_PAGES_MAX;
}

static unsigned bundle_for(unsigned size)
{
    unsigned count = BUNDLE_BYTES / size;
    if (count > HAK_BUNDLE_MAX)
        return HAK_BUNDLE_MAX;
    return count < BUNDLE_MIN ? BUNDLE_MIN : count;
}

void hak_size_class_start(void)
{
    if (hak_classes[HAK_CLASS_LAST].size != 0)
        return;
    unsigned step = 0;
    for (unsigned class_id = 1; class_id <= HAK_CLASS_LAST; class_id++) {
        unsigned size = size_of_class(class_id);
        unsigned pages = slab_pages_for(size);
        hak_classes[class_id] = (struct hak_class){
            .size = size,
            .reciprocal = (uint32_t)(((1ull << 32) + size - 1) / size),
            .bundle = (uint16_t)bundle_for(size),
            .capacity = (uint16_t)(pages * HAK_PAGE_SIZE / size),
            .slab_pages = (uint16_t)pages,
            .misplaced = (uint16_t)((size & -size) - 1),
        };
        for (; step <= size / HAK_CLASS_STEP && step < HAK_ARRAY_LENGTH(hak_class_of_size); step++)
            hak_class_of_size[step] = (uint8_t)class_id;
    }
}

int hak_size_class_hide(void)
{
    uint8_t *copy = hak_meta_alloc(sizeof hak_class_of_size, HAK_CACHE_LINE);
    if (copy == NULL)
        return -1;
    memcpy(copy, hak_class_of_size, sizeof hak_class_of_size);
    /* release: pairs with the acquire in hak_size_class_known */
    __atomic_store_n(&hak_class_of_size_known, copy, __ATOMIC_RELEASE);
    /* relaxed: a thread that finds the old value takes the fast path once more, uncounted */
    for (size_t i = 0; i < HAK_ARRAY_LENGTH(hak_class_of_size); i++)
        __atomic_store_n(&hak_class_of_size[i], HAK_CLASS_NONE, __ATOMIC_RELAXED);
    return 0;
}

void hak_size_class_hide_empty(void)
{
    /* relaxed: as above */
    __atomic_store_n(&hak_class_of_size[0], HAK_CLASS_NONE, __ATOMIC_RELAXED);
}

unsigned hak_size_class_aligned(size_t size, size_t alignment)
{
    if (size > HAK_MID_MAX || alignment > HAK_MID_MAX)
        return HAK_CLASS_NONE;
    /* Slabs begin at multiples of 64 KiB, so an object is aligned as its class's size is. */
    size_t least = size < alignment ? alignment : size;
    unsigned class_id = hak_size_class_known(least);
    while (class_id <= HAK_CLASS_LAST &&
           (hak_classes[class_id].size < least || hak_classes[class_id].size % alignment != 0))
        class_id++;
    return class_id <= HAK_CLASS_LAST ? class_id : HAK_CLASS_NONE;
}
