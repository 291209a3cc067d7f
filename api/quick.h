/* SPDX-License-Identifier: MIT */
/* The fast paths of malloc and free, for all entry points that begin with them: they use the
 * calling thread's front, or change nothing. Any thread. */
#ifndef HAK_API_QUICK_H
#define HAK_API_QUICK_H

#include <stdbool.h>
#include <stddef.h>

#include "api/mine.h"
#include "front/front.h"
#include "os/compiler.h"
#include "tiers/page_map.h"
#include "tiers/size_class.h"

/* Pops an object of at least `size` bytes from the front's loaded magazine; NULL if it has none. */
static inline void *hak_quick_allocate(size_t size)
{
    if (hak_unlikely(size > HAK_MID_MAX))
        return NULL;
    return hak_front_pop(hak_front_mine, hak_size_class(size));
}

/* Pushes an object if it belongs to the thread's shard and the magazine takes it; else false.
 * entry: the object's entry in the page map. */
static inline bool hak_quick_push(struct hak_front *front, void *object, uint32_t entry)
{
    if (hak_unlikely(entry >> 16 != hak_front_home(front)))
        return false;
    return hak_magazine_put(&front->loaded[(uint8_t)entry], object, front->refused[(uint8_t)entry]);
}

/* The same for any pointer. NULL and pointers outside the heap belong to no shard. */
static inline bool hak_quick_release(void *object)
{
    struct hak_front *front = hak_front_mine;
    uint32_t entry = hak_likely(hak_front_knows(front, object)) ? hak_front_entry(front, object)
                                                                : hak_page_entry(object);
    return hak_quick_push(front, object, entry);
}

/* Bytes of an object of a slab, 0 for other pointers (class 0 has capacity 0). A slab begins with
 * an object, so objects begin at multiples of their size. */
static inline size_t hak_quick_usable_size(const void *object)
{
    uint32_t entry = hak_page_entry(object);
    const struct hak_class *class = &hak_classes[(uint8_t)entry];
    uint64_t offset = (uint64_t)(uint8_t)(entry >> 8) << HAK_PAGE_SHIFT |
                      ((uintptr_t)object & (HAK_PAGE_SIZE - 1));
    uint64_t index = offset * class->reciprocal >> 32;
    return hak_likely(index * class->size == offset && index < class->capacity) ? class->size : 0;
}

#endif
