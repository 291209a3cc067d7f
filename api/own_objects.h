/* SPDX-License-Identifier: MIT */
/* Objects of heaps that the program made: freed, asked about. Any thread. */
#ifndef HAK_API_OWN_OBJECTS_H
#define HAK_API_OWN_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>

#include "heap/own_shard.h"
#include "os/compiler.h"
#include "os/section.h"
#include "tiers/page_map.h"

/* Enters the heap; waits for another thread's fork, a second at most. false: it lasts longer. */
static inline bool hak_owned_enter(void)
{
    return hak_likely(hak_section_enter()) || hak_section_enter_late();
}

/* Whether the page map knows the address as one of such a heap. */
static inline bool hak_owned_knows(const void *object)
{
    return hak_page_is_own(hak_page_find(object));
}

/* Gives an object to the shard that it belongs to; if `heap` is not NULL, only if that heap has the
 * shard. */
enum hak_own_object hak_owned_give(struct hak_own_heap *heap, void *object);

/* Reports, as `function`, a pointer that is no live object of such a heap. */
HAK_COLD void hak_owned_misused(const char *function, const void *object, enum hak_own_object what);

/* free for such an address. */
void hak_owned_release(void *object);

/* Usable bytes; 0: no live object as far as that can be told. */
size_t hak_owned_usable_size(const void *object);

/* Index of an object's shard in its heap, and the node that its memory was requested from; -1: no
 * such object. */
HAK_COLD int hak_owned_place_of(const void *object, int *node);

#endif
