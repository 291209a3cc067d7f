/* SPDX-License-Identifier: MIT */
/* A picture of the slabs for a published page (stats/published.h): which slabs each region holds,
 * and how full they are. A walk goes in portions: a step reads 32 regions, 8 at a time under the
 * lock of a pool's space, some 50 us in all. It reads slabs without their bins' locks: each number
 * is true of some moment, not all of the same one. One thread at a time, inside a section. */
#ifndef HAK_HEAP_REGIONS_H
#define HAK_HEAP_REGIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "stats/published.h"

struct hak_regions_walk {
    struct hak_published_regions *regions;
    unsigned id;      /* of the shard that the walk has reached; 0: start again */
    unsigned pool;    /* 0: tiny, 1: mid */
    uint64_t written; /* regions in this walk */
    uint64_t left_out;
    bool goes_on; /* within the pool */
};

void hak_regions_start(struct hak_regions_walk *walk, struct hak_published_regions *regions);

void hak_regions_step(struct hak_regions_walk *walk);

#endif
