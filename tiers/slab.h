/* SPDX-License-Identifier: MIT */
/* One slab: 1 to 8 pages cut into objects of one class, and which of them are free. Callers hold
 * the lock of the slab's bin (pool.h). base, size and class do not change while the program has an
 * object of the slab, so a thread that has one may read them without the lock.
 *
 * Free objects are bits in a two-level bitmap: bit i of words[w] is object 64 w + i, and bit w of
 * the summary says that words[w] is not 0, so two ctz find a free object without a scan. An object
 * in a front, a bundle or an inbox is not free here: it counts as taken.
 *
 * A hole is a kernel page of the slab that was purged because all objects on it were free. The free
 * objects on a hole are *hidden*: their bits are 0, so that objects with pages are taken first, but
 * free_count includes them. When no bit is left, the lowest hole is filled: its objects get their
 * bits back. The holes alone tell whether an object is hidden. */
#ifndef HAK_TIERS_SLAB_H
#define HAK_TIERS_SLAB_H

#include <stdbool.h>
#include <stdint.h>

#include "os/compiler.h"

enum {
    HAK_SLAB_WORDS = 64,     /* 4096 objects of 16 bytes in 64 KiB */
    HAK_SLAB_HOLE_WORDS = 2, /* 128 kernel pages of 4 KiB in 512 KiB */
};

/* Kernel pages of a slab: bit p of the words is page p. */
struct hak_slab_pages {
    uint64_t words[HAK_SLAB_HOLE_WORDS];
};

struct hak_slab {
    uint64_t summary;
    char *base;          /* first object */
    uint32_t size;       /* bytes of an object */
    uint32_t reciprocal; /* ceil(2^32 / size) */
    uint16_t free_count; /* hidden objects included */
    uint16_t capacity;
    uint8_t class_id; /* 0: no slab begins at this page */
    uint8_t pages;
    uint8_t degree; /* which of the bin's lists it stands in (pool.h) */
    uint8_t waits;  /* 1: is in the bin's list of waiting slabs (pool_holes.h) */
    uint16_t hole_count;
    struct hak_slab *next; /* the bin's list of slabs with free objects */
    struct hak_slab *previous;
    uint64_t words[HAK_SLAB_WORDS];
    struct hak_slab_pages holes;
    struct hak_slab_pages idle;    /* pages free at the last search; none if an object was taken
                                      since */
    struct hak_slab *next_waiting; /* the bin's list of waiting slabs */
    struct hak_slab *previous_waiting;
    uint64_t looked_ns;
};

/* All objects of a new slab are free. */
void hak_slab_build(struct hak_slab *slab, void *base, unsigned class_id);

/* Pushes `count` free objects (1 to free_count) on the chain `below`, the lowest address on top.
 * Returns the new chain. */
struct hak_chain hak_slab_take(struct hak_slab *slab, unsigned count, struct hak_chain below);

/* The same objects, lowest first, and no chain: their memory is not touched. */
void hak_slab_claim(struct hak_slab *slab, unsigned count, void **objects);

enum hak_slab_give { HAK_SLAB_GIVEN, HAK_SLAB_NOT_AN_OBJECT, HAK_SLAB_ALREADY_FREE };

/* Whether the object that begins there is free. */
bool hak_slab_is_free(const struct hak_slab *slab, const void *object);

/* Whether the object of this number lies on a hole. */
bool hak_slab_is_hidden(const struct hak_slab *slab, unsigned index);

/* Finds the kernel pages whose objects are all free, without the holes; a page behind the last
 * object counts as free. Returns how many. A few steps for each page. */
unsigned hak_slab_find_free_pages(const struct hak_slab *slab, struct hak_slab_pages *pages);

/* Makes holes of pages that hak_slab_find_free_pages found and the caller purged. */
void hak_slab_make_holes(struct hak_slab *slab, const struct hak_slab_pages *pages);

/* The number of the object that the address lies in. */
static inline unsigned hak_slab_index(const struct hak_slab *slab, const void *address)
{
    uint64_t offset = (uint64_t)((const char *)address - slab->base);
    return (unsigned)(offset * slab->reciprocal >> 32);
}

/* Whether the address is the start of an object of this slab. */
static inline bool hak_slab_is_object(const struct hak_slab *slab, const void *address)
{
    uint64_t offset = (uint64_t)((const char *)address - slab->base);
    uint64_t index = offset * slab->reciprocal >> 32;
    return index * slab->size == offset && index < slab->capacity;
}

/* Takes one object back. */
static inline enum hak_slab_give hak_slab_give(struct hak_slab *slab, const void *object)
{
    if (hak_unlikely(!hak_slab_is_object(slab, object)))
        return HAK_SLAB_NOT_AN_OBJECT;
    unsigned index = hak_slab_index(slab, object);
    unsigned word = index / 64;
    uint64_t bit = UINT64_C(1) << index % 64;
    if (hak_unlikely((slab->words[word] & bit) != 0) ||
        (hak_unlikely(slab->hole_count != 0) && hak_slab_is_hidden(slab, index)))
        return HAK_SLAB_ALREADY_FREE;
    slab->words[word] |= bit;
    slab->summary |= UINT64_C(1) << word;
    slab->free_count++;
    return HAK_SLAB_GIVEN;
}

#endif
