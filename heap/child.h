/* SPDX-License-Identifier: MIT */
/* The child of a fork: a heap goes on there. */
#ifndef HAK_HEAP_CHILD_H
#define HAK_HEAP_CHILD_H

#include "heap/heap.h"

/* In the child, by its only thread, after hak_section_start_child. Touches nothing of another
 * thread's; costs the same however many threads and shards there are. */
void hak_heap_start_child(struct hak_heap *heap);

#endif
