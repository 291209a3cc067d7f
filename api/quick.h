/* SPDX-License-Identifier: MIT */
/* The easy halves of malloc and free, for every entry point that begins with them: served by the
 * calling thread's front or not at all. Any thread. Nothing here can fail otherwise than by leaving
 * everything as it was. */
#ifndef HAK_API_QUICK_H
#define HAK_API_QUICK_H

#include <stddef.h>

#include "api/mine.h"
#include "front/front.h"
#include "os/compiler.h"
#include "tiers/page_map.h"
#include "tiers/size_class.h"

/* An object of at least size bytes that lies at hand, or NULL. */
static inline void *hak_quick_allocate(size_t size)
{
    if (hak_unlikely(size > HAK_MID_MAX))
        return NULL;
    return hak_front_pop(hak_front_mine, hak_size_class(size));
}

/* Takes an object of the thread's shard back if there is room: 1, or 0. `entry` is its page's. */
static inline int hak_quick_push(struct hak_front *front, void *object, uint32_t entry)
{
    if (hak_unlikely(entry >> 16 != hak_front_home(front)))
        return 0;
    return hak_magazine_push(&front->loaded[(uint8_t)entry], object);
}

/* The same of any pointer. NULL is of no shard, and so is whatever else is not ours. */
static inline int hak_quick_release(void *object)
{
    struct hak_front *front = hak_front_mine;
    uint32_t entry = hak_likely(hak_front_knows(front, object))
                         ? hak_front_entry(front, object)
                         : hak_page_entry(object);
    return hak_quick_push(front, object, entry);
}

/* Bytes of an object of a slab, 0 for all that is none (class 0 has size 0, and is a multiple of
 * nothing). Slabs begin with an object, so one begins at each multiple of its size. */
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
