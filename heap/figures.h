/* SPDX-License-Identifier: MIT */
/* Figures of a heap: sums over all its shards, retired ones included. Any thread. */
#ifndef HAK_HEAP_FIGURES_H
#define HAK_HEAP_FIGURES_H

#include <stddef.h>

#include "heap/heap.h"

struct hak_heap_totals {
    size_t mapped;       /* address space from the kernel */
    size_t in_use_slabs; /* bytes in slabs, free objects in them included */
    size_t holes;        /* of these given back to the kernel */
    size_t in_use_small; /* of these what the program holds: not what lies free in slabs, fronts,
                            transfer caches and inboxes */
    size_t in_use_large;
    size_t in_use_whales;
    size_t whales;    /* how many of those */
    size_t in_fronts; /* free objects at hand */
    size_t cached;    /* dirty but unused */
};

void hak_heap_totals(struct hak_heap *heap, struct hak_heap_totals *totals);

#endif
