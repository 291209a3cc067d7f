/* SPDX-License-Identifier: MIT */
/* Figures of a heap: sums over all shards there ever were. Any thread. */
#ifndef HAK_HEAP_FIGURES_H
#define HAK_HEAP_FIGURES_H

#include <stddef.h>

#include "heap/heap.h"

struct hak_heap_totals {
    size_t mapped;            /* address space from the kernel */
    size_t in_use_slabs;      /* bytes in slabs, free objects in them included */
    size_t in_use_small;      /* of these what the program holds. What lies in fronts, transfer
                                 caches and inboxes is left out as it is
                                 counted while others go on */
    size_t in_use_large;
    size_t in_use_whales;
    size_t cached;            /* dirty but unused */
};

void hak_heap_totals(struct hak_heap *heap, struct hak_heap_totals *totals);

#endif
