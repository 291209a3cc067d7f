/* SPDX-License-Identifier: MIT */
/* malloc and free when they are not easy, and what the exported names are made of: each entry point
 * of api/ is a few lines over these. Any thread. None of them touches errno but hak_malloc_slow;
 * the exported functions set it. */
#ifndef HAK_API_MALLOC_SLOW_H
#define HAK_API_MALLOC_SLOW_H

#include <stdbool.h>
#include <stddef.h>

#include "heap/reclaim.h"
#include "tiers/large.h"
#include "tiers/size_class.h"

/* An object of at least size bytes (0 counts as 1), 16-byte aligned; NULL when out of memory or
 * size > PTRDIFF_MAX. */
void *hak_allocate(size_t size);

/* The same for an object that has grown, and may grow on: from HAK_LARGE_GROWN_MAX on it becomes a
 * whale, whose pages move without a copy. */
void *hak_allocate_growing(size_t size);

/* The first, zeroed; memory known to be zero is not cleared again. */
void *hak_allocate_zeroed(size_t size);

/* The same at a multiple of alignment, a power of two. */
void *hak_allocate_aligned(size_t size, size_t alignment);

/* Takes back what any of the above (or the exported functions) returned, by any thread; NULL is
 * ignored; anything else goes to hak_misuse. */
void hak_release(void *object);

/* Bytes that may be used at object; 0 for NULL and for pointers that are not live objects of ours
 * as far as that can be told without harm. */
size_t hak_usable_size(const void *object);

/* Tries to make object hold new_size bytes where it is, or (whales) by moving pages without
 * copying. The object's address, the new address, or NULL: then nothing has changed. */
void *hak_resize(void *object, size_t new_size);

/* Tells the learner, if it wants to know, from where a large object was asked for. */
void hak_note_site_of_large(void *object, const void *site);

static inline void hak_note_site(void *object, size_t size, const void *site)
{
    if (size > HAK_MID_MAX)
        hak_note_site_of_large(object, site);
}

/* Memory was refused: the next step of giving back, by the calling thread (heap/reclaim.h).
 * Whether to try again. */
HAK_COLD bool hak_give_back(struct hak_reclaim *call);

/* malloc without the hope that it is easy; sets errno. */
HAK_COLD void *hak_malloc_slow(size_t size);

/* free likewise. */
HAK_COLD void hak_free_slow(void *object);

#endif
