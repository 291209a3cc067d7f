/* SPDX-License-Identifier: MIT */
/* Whether what a program frees or resizes is free already. Any thread; changes nothing. */
#ifndef HAK_API_DOUBT_H
#define HAK_API_DOUBT_H

#include <stdbool.h>
#include <stddef.h>

#include "front/front.h"
#include "os/compiler.h"

/* Whether an object of the class lies in the front of the calling thread, or (NULL) of its CPU. Of
 * a thread's front any place is looked at, if the first word looks like a link; of the CPU's the
 * top. With HAKMEM_MISUSE=check: whether it is free. */
bool hak_doubt_at_hand(const struct hak_front *front, unsigned class_id, const void *object);

/* With HAKMEM_MISUSE=check: clears an object that is about to be freed. */
void hak_doubt_clear(void *object, size_t size);

/* Whether the start of a small object is one that the calling thread has freed, as far as its front
 * tells; with HAKMEM_MISUSE=check, one that anybody has, for then its slab tells. False for all
 * other pointers. */
HAK_COLD bool hak_doubt_seems_freed(const void *object);

#endif
