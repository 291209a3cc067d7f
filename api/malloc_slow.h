/* SPDX-License-Identifier: MIT */
/* The slow paths of malloc and free, and the functions behind the exported names: each of those is
 * a few lines around one of these. Any thread. Only hak_malloc_from_heap sets errno; the exported
 * functions set it after the others. */
#ifndef HAK_API_MALLOC_SLOW_H
#define HAK_API_MALLOC_SLOW_H

#include <stdbool.h>
#include <stddef.h>

#include "heap/reclaim.h"
#include "tiers/large.h"
#include "tiers/size_class.h"

/* An object of at least `size` bytes (0 counts as 1), aligned to 16; NULL if memory ran out or
 * size > PTRDIFF_MAX. */
void *hak_allocate(size_t size);

/* An object of a class that the heap profile notes: `counted` bytes were counted for it. NULL: none
 * is to be had. */
HAK_COLD void *hak_allocate_noted(unsigned class_id, size_t counted);

/* As hak_allocate, for an object that realloc grows: above HAK_LARGE_GROWN_MAX it is a whale, whose
 * pages can move without a copy. */
void *hak_allocate_growing(size_t size);

/* As hak_allocate, but zeroed. Memory that is known to be zero is not cleared again. */
void *hak_allocate_zeroed(size_t size);

/* As hak_allocate, at a multiple of `alignment`, a power of two. */
void *hak_allocate_aligned(size_t size, size_t alignment);

/* Frees an object of which the caller knows size and alignment (0: an ordinary one). Only
 * HAKMEM_MISUSE=check compares. */
void hak_release_sized(void *object, size_t size, size_t alignment);

/* Frees an object of one of the above functions or of an exported one, in any thread. Ignores NULL;
 * passes other pointers to hak_misuse. */
void hak_release(void *object);

/* The usable bytes of an object; 0 for NULL, and for pointers that are no live objects as far as
 * the library can tell. */
size_t hak_usable_size(const void *object);

enum {
    HAK_RESIZE_SLACK = 64, /* bytes beyond half of an object that realloc may leave unused */
};

/* Whether an object may stay where it is: it is large enough, and wastes less than half of it or
 * very little. False for size 0, since size - 1 wraps. */
static inline bool hak_fits(size_t usable, size_t size)
{
    return size - 1 < usable && size + HAK_RESIZE_SLACK >= usable / 2;
}

/* Tries to change the size of an object in place, or of a whale by moving its pages without a copy.
 * Returns the object's address, which may be new, or NULL if nothing has changed. */
void *hak_resize(void *object, size_t new_size);

/* Tells the learner, if it learns by call site, which site allocated a large object. */
void hak_note_site_of_large(void *object, const void *site);

static inline void hak_note_site(void *object, size_t size, const void *site)
{
    if (size > HAK_MID_MAX)
        hak_note_site_of_large(object, site);
}

/* After the kernel refused memory: takes the next step of giving memory back (heap/reclaim.h).
 * Returns whether the caller should try again. */
HAK_COLD bool hak_give_back(struct hak_reclaim *call);

/* malloc from the heap, after the front had no object; sets errno. */
void *hak_malloc_from_heap(size_t size);

/* free after the fast path failed. */
HAK_COLD void hak_free_slow(void *object);

#endif
