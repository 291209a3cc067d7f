/* SPDX-License-Identifier: MIT */
/* A heap in the child of a fork. */
#ifndef HAK_HEAP_CHILD_H
#define HAK_HEAP_CHILD_H

#include "heap/heap.h"

/* In the child, by its only thread, after hak_section_start_child. Touches no other
 * thread's memory; the cost does not depend on the number of threads and shards. */
void hak_heap_start_child(struct hak_heap *heap);

#endif
