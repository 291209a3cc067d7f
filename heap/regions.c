/* SPDX-License-Identifier: MIT */
/* A picture of the slabs: see the header. */
#include "heap/regions.h"

#include "shard/shard.h"
#include "tiers/pool_view.h"

_Static_assert((int)HAK_PUBLISHED_PAGES == (int)HAK_REGION_PAGES, "a region has as many pages");

enum {
    AT_ONCE = 8,
    PORTION = 32,
};

void hak_regions_start(struct hak_regions_walk *walk, struct hak_published_regions *regions)
{
    *walk = (struct hak_regions_walk){.regions = regions};
}

static void put(struct hak_published_regions *regions, uint64_t index, unsigned shard,
                const struct hak_region_view *view)
{
    struct hak_published_region *out = &regions->region[index];
    out->address = view->address;
    out->shard = shard;
    out->node = view->node;
    out->free_pages = view->free_pages;
    out->dirty_pages = view->dirty_pages;
    for (unsigned page = 0; page < HAK_PUBLISHED_PAGES; page++) {
        out->class_id[page] = view->class_id[page];
        out->used[page] = view->used[page];
    }
}

static void write_down(struct hak_regions_walk *walk, const struct hak_region_view *views,
                       unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (walk->written == HAK_PUBLISHED_REGIONS) {
            walk->left_out++;
            continue;
        }
        put(walk->regions, walk->written, walk->id, &views[i]);
        walk->written++;
    }
}

/* The next pool of the next shard. False: that was the last. */
static bool advance(struct hak_regions_walk *walk)
{
    walk->goes_on = false;
    if (walk->pool == 0) {
        walk->pool = 1;
        return true;
    }
    walk->pool = 0;
    walk->id++;
    return walk->id <= hak_shard_last_id() && walk->id <= HAK_PUBLISHED_SHARDS;
}

static void finish(struct hak_regions_walk *walk)
{
    walk->regions->count = walk->written;
    walk->regions->left_out = walk->left_out;
    walk->id = 0;
}

void hak_regions_step(struct hak_regions_walk *walk)
{
    struct hak_region_view views[AT_ONCE];
    if (walk->id == 0)
        *walk = (struct hak_regions_walk){.regions = walk->regions, .id = 1};
    for (unsigned seen = 0; seen < PORTION;) {
        struct hak_shard *shard = hak_shard_of_id(walk->id);
        struct hak_pool *pool = walk->pool == 0 ? &shard->tiny : &shard->mid;
        unsigned count = hak_pool_look(pool, walk->goes_on, views, AT_ONCE);
        write_down(walk, views, count);
        walk->goes_on = true;
        seen += count + 1;
        if (count < AT_ONCE && !advance(walk)) {
            finish(walk);
            return;
        }
    }
}
