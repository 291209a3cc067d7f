/* SPDX-License-Identifier: MIT */
/* Heaps that the program made, as the malloc family meets them. Any thread. */
#ifndef HAK_API_HEAPS_H
#define HAK_API_HEAPS_H

#include <stdbool.h>
#include <stddef.h>

#include "hakmem.h"
#include "heap/own_heap.h"
#include "os/compiler.h"

/* What the public type stands for. */
static inline struct hak_own_heap *hak_heaps_inner(struct hakmem_heap *heap)
{
    return (struct hak_own_heap *)heap;
}

static inline bool hak_heaps_is_live(struct hakmem_heap *heap)
{
    return heap != NULL && hak_own_heap_is_live(hak_heaps_inner(heap));
}

/* realloc of an object within its heap; `usable`: what it has, not 0. NULL: refused, errno is set;
 * or size is 0. */
HAK_COLD void *hak_heaps_resize(void *object, size_t usable, size_t size);

#endif
