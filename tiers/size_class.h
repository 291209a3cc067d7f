/* SPDX-License-Identifier: MIT */
/* Size classes: which one serves a size, and what it consists of. Any thread; the tables are
 * written once, at start; before that every size has class 0.
 *
 * The first classes are multiples of 16, up to 128 bytes; above, up to 32 KiB, each doubling has 8
 * classes, so rounding loses at most 12.5 % of an object above 128 bytes. From 2 KiB on a class is
 * one cache line longer than its step: an odd number of lines, so that the first lines of objects,
 * which programs use most, are spread over all sets of a cache. Exact powers of two, as classes of
 * their own, serve requests for the alignment of a kernel page. No object has class 0; requests
 * above HAK_MID_MAX and pointers that no slab owns leave the fast paths by it.
 *
 * The first six numbers below are chosen, all others follow from them. The compiler rejects
 * impossible numbers (tiers/size_class.c says which, and why). */
#ifndef HAK_TIERS_SIZE_CLASS_H
#define HAK_TIERS_SIZE_CLASS_H

#include <stddef.h>
#include <stdint.h>

#include "os/compiler.h"

enum {
    HAK_TINY_MAX = 1024,          /* largest object of the tiny pool, bytes */
    HAK_MID_MAX = 32 * 1024,      /* largest object of the mid pool, bytes */
    HAK_CLASS_STEP = 16,          /* sizes are multiples of this */
    HAK_CLASS_LINEAR_MAX = 128,   /* up to here each step is a class, bytes */
    HAK_CLASSES_PER_DOUBLING = 8, /* above that */
    HAK_CLASS_SPREAD_MIN = 2048,  /* from here on a class has an odd number of cache lines */

    HAK_CLASS_NONE = 0,
    HAK_CLASS_LINEAR_LAST = HAK_CLASS_LINEAR_MAX / HAK_CLASS_STEP,
    /* The classes of HAK_TINY_MAX and HAK_MID_MAX; ctz of a power of two is its logarithm. */
    HAK_CLASS_TINY_LAST =
        HAK_CLASS_LINEAR_LAST +
        HAK_CLASSES_PER_DOUBLING * __builtin_ctz(HAK_TINY_MAX / HAK_CLASS_LINEAR_MAX),
    HAK_CLASS_MID_LAST =
        HAK_CLASS_LINEAR_LAST +
        HAK_CLASSES_PER_DOUBLING * __builtin_ctz(HAK_MID_MAX / HAK_CLASS_LINEAR_MAX),
    /* Then exact powers of two, for sizes whose other class is spread; each is aligned to its
     * size. */
    HAK_CLASS_LAST = HAK_CLASS_MID_LAST + __builtin_ctz(HAK_MID_MAX / HAK_CLASS_SPREAD_MIN) + 1,
    HAK_CLASS_COUNT = HAK_CLASS_LAST + 1,
};

/* Objects in a bundle of any class; at most 256, see hak_magazine_put. */
enum { HAK_BUNDLE_MAX = 64 };

struct hak_class {
    uint32_t size;       /* bytes of an object */
    uint32_t reciprocal; /* ceil(2^32 / size): offset to index without a division */
    uint16_t bundle;     /* objects in a full bundle, and in a magazine of a front */
    uint16_t capacity;   /* objects in a slab */
    uint16_t slab_pages; /* pages of 64 KiB in a slab */
    uint16_t misplaced;  /* bits of an address that are 0 where an object begins: those of the page
                            below the lowest 1 of the size, since slabs begin at pages */
};

extern HAK_HIDDEN struct hak_class hak_classes[HAK_CLASS_COUNT];
extern HAK_HIDDEN uint8_t hak_class_of_size[HAK_MID_MAX / HAK_CLASS_STEP + 1];

/* Fills the tables. The starting thread calls this; a second call does nothing. */
void hak_size_class_start(void);

/* The same table, or its copy after hak_size_class_hide. */
extern HAK_HIDDEN const uint8_t *hak_class_of_size_known;

/* Hides the classes from the fast paths: every size has class 0 again, as before the start, so
 * every allocation takes the slow path, where api/profiler.c counts it. Frees stay as fast as they
 * are. 0, or -1: no memory. Once, by the thread that starts the library; other threads may
 * allocate. */
int hak_size_class_hide(void);

/* Hides the class of size 0 from the fast paths, in the same way: such requests get objects without
 * memory (tiers/empty.h). By the thread that starts the library; others may allocate. */
void hak_size_class_hide_empty(void);

/* For the fast paths: the smallest class whose objects hold size bytes; size <= HAK_MID_MAX. Class
 * 0: the class is hidden. */
static inline unsigned hak_size_class(size_t size)
{
    return hak_class_of_size[(size + HAK_CLASS_STEP - 1) / HAK_CLASS_STEP];
}

/* The same for all other code, from which no class is hidden. 0 counts as 1. */
static inline unsigned hak_size_class_known(size_t size)
{
    /* acquire: pairs with the release in hak_size_class_hide */
    const uint8_t *known = __atomic_load_n(&hak_class_of_size_known, __ATOMIC_ACQUIRE);
    return known[(size + (size == 0) + HAK_CLASS_STEP - 1) / HAK_CLASS_STEP];
}

/* Smallest class whose objects hold size bytes and all begin at a multiple of alignment (a power
 * of two), HAK_CLASS_NONE if there is none up to HAK_MID_MAX. */
unsigned hak_size_class_aligned(size_t size, size_t alignment);

#endif
