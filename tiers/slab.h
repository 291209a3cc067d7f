/* SPDX-License-Identifier: MIT */
/* One slab: 1 to 8 pages cut into objects of one class, and which of them are free. Whoever calls
 * holds the lock of the slab's bin (pool.h); the fields that never change while an object is out
 * (base, size, class) may be read by whoever holds that object.
 *
 * Free objects are bits in a two-level bitmap: bit i of words[w] is object 64 w + i, and bit w of
 * the summary says that words[w] is not 0, so the next free object is two ctz away, never a scan.
 * An object in a front, a bundle or an inbox is not free here: it counts as taken.
 *
 * A hole is a kernel page of the slab that was given back, for all objects on it were free. Free
 * objects on a hole are *hidden*: their bits are 0, so that objects whose pages are there are taken
 * first, and free_count counts them. When no bit is left the lowest hole is filled again: the bits
 * of what lies on it come back. Whether an object is hidden follows from the holes, so nothing more
 * is kept; a hole is given back once, for its objects are no longer looked at. */
#ifndef HAK_TIERS_SLAB_H
#define HAK_TIERS_SLAB_H

#include <stdint.h>

enum {
    HAK_SLAB_WORDS = 64,    /* 4096 objects of 16 bytes in 64 KiB */
    HAK_SLAB_HOLE_WORDS = 2, /* 128 kernel pages of 4 KiB in 512 KiB */
};

/* Kernel pages of a slab: bit p of the words is page p. */
struct hak_slab_pages {
    uint64_t words[HAK_SLAB_HOLE_WORDS];
};

struct hak_slab {
    uint64_t summary;
    char *base;               /* first object */
    uint32_t size;            /* bytes of an object */
    uint32_t reciprocal;      /* ceil(2^32 / size) */
    uint16_t free_count;      /* hidden ones too */
    uint16_t capacity;
    uint8_t class_id;         /* 0: no slab begins at this page */
    uint8_t pages;
    uint8_t degree;           /* which of the bin's lists it stands in (pool.h) */
    uint8_t waits;            /* stands in the bin's list of those to be looked at */
    uint16_t hole_count;
    struct hak_slab *next;    /* the bin's list of slabs with free objects */
    struct hak_slab *previous;
    uint64_t words[HAK_SLAB_WORDS];
    struct hak_slab_pages holes;
    struct hak_slab_pages idle;       /* free when last looked at, and nothing was taken since */
    struct hak_slab *next_waiting;    /* pool_holes.h */
    struct hak_slab *previous_waiting;
    uint64_t looked_ns;
};

/* All objects of a new slab are free. */
void hak_slab_build(struct hak_slab *slab, void *base, unsigned class_id);

/* Pushes `count` free objects (count <= free_count, >= 1) on the chain `word`; the lowest address
 * ends on top. The new chain. */
uint64_t hak_slab_take(struct hak_slab *slab, unsigned count, uint64_t word);

enum hak_slab_give { HAK_SLAB_GIVEN, HAK_SLAB_NOT_AN_OBJECT, HAK_SLAB_ALREADY_FREE };

/* Takes one object back. */
enum hak_slab_give hak_slab_give(struct hak_slab *slab, const void *object);

/* Kernel pages whose objects are all free and that are no holes; a page behind the last object is
 * one of them. How many. A few steps for each page. */
unsigned hak_slab_find_free_pages(const struct hak_slab *slab, struct hak_slab_pages *pages);

/* These pages, of those above, have been given back: they are holes from now on. */
void hak_slab_make_holes(struct hak_slab *slab, const struct hak_slab_pages *pages);

/* Whether the address is the start of an object of this slab. */
static inline int hak_slab_is_object(const struct hak_slab *slab, const void *address)
{
    uint64_t offset = (uint64_t)((const char *)address - slab->base);
    uint64_t index = offset * slab->reciprocal >> 32;
    return index * slab->size == offset && index < slab->capacity;
}

#endif
