/* SPDX-License-Identifier: MIT */
/* What a pool's regions hold, for statistics: which slabs, and how full each is. Any thread that
 * holds no lock. */
#ifndef HAK_TIERS_POOL_VIEW_H
#define HAK_TIERS_POOL_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "tiers/pool.h"

struct hak_region_view {
    uintptr_t address;
    int node;
    uint32_t free_pages; /* as in struct hak_region */
    uint32_t dirty_pages;
    uint8_t class_id[HAK_REGION_PAGES]; /* of the slab that begins at the page; 0: none does */
    uint8_t used[HAK_REGION_PAGES];     /* percent of its objects that are not free in it */
};

/* Looks at up to `count` regions, from the first on, or (goes_on) from where the last look at the
 * pool ended, under the lock of its space. Returns how many; fewer than `count`: those were the
 * last. Slabs change meanwhile: each number is true of some moment. */
unsigned hak_pool_look(struct hak_pool *pool, bool goes_on, struct hak_region_view *views,
                       unsigned count);

#endif
