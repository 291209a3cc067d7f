/* SPDX-License-Identifier: MIT */
/* heap/regions.c: a walk reports the regions of all shards, in portions, and starts again. */
#include "heap/regions.h"

#include <stdlib.h>

#include "tests/unit/world.h"

enum { CLASS = 30, MID_CLASS = 60, SHARDS = 3, STEPS_MOST = 100 };

static struct hak_published_regions *regions;
static struct hak_regions_walk walk;

static void walk_over(void)
{
    unsigned steps = 0;
    do
        hak_regions_step(&walk);
    while (walk.id != 0 && ++steps < STEPS_MOST);
    EXPECT_LE(steps, STEPS_MOST - 1);
}

static void tells_of_all(void)
{
    const struct hak_shard_map *map = world_by_turns("3");
    REQUIRE(map != NULL && regions != NULL);
    struct hak_chain words[SHARDS][2];
    for (unsigned i = 0; i < SHARDS; i++) {
        words[i][0] = world_chain(map->shards[i], CLASS, 5);
        words[i][1] = world_chain(map->shards[i], MID_CLASS, 5);
    }
    walk_over();
    EXPECT_EQ(regions->count, 2 * SHARDS);
    unsigned slabs[2] = {0};
    for (unsigned i = 0; i < regions->count; i++) {
        const struct hak_published_region *region = &regions->region[i];
        EXPECT_GE(region->shard, 1);
        EXPECT_LE(region->shard, SHARDS);
        for (unsigned page = 1; page < HAK_PUBLISHED_PAGES; page++) {
            slabs[0] += region->class_id[page] == CLASS;
            slabs[1] += region->class_id[page] == MID_CLASS;
        }
    }
    EXPECT_EQ(slabs[0], SHARDS);
    EXPECT_EQ(slabs[1], SHARDS);
    for (unsigned i = 0; i < SHARDS; i++) {
        hak_shard_give_to_slabs(CLASS, words[i][0]);
        hak_shard_give_to_slabs(MID_CLASS, words[i][1]);
    }
    world_expect_nothing_lost();
    walk_over();
    EXPECT_EQ(regions->count, 0);
}

/* More regions than a step looks at. */
static void goes_on(void)
{
    enum { MANY = 80 * 31 };
    static struct hak_chain words[MANY];
    struct hak_shard *shard = hak_shard_of_id(2);
    for (unsigned i = 0; i < MANY; i++)
        words[i] = world_chain(shard, CLASS, hak_classes[CLASS].bundle);
    hak_regions_step(&walk);
    EXPECT(walk.id != 0);
    EXPECT_EQ(regions->count, 0); /* until the walk is over */
    while (walk.id != 0)
        hak_regions_step(&walk);
    EXPECT_EQ(regions->count, hak_pool_regions(&shard->tiny));
    EXPECT_EQ(regions->left_out, 0);
    for (unsigned i = 0; i < MANY; i++)
        hak_shard_give_to_slabs(CLASS, words[i]);
    world_expect_nothing_lost();
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a walk reports the regions of all shards", tells_of_all},
        {"a walk goes on in portions", goes_on},
    };
    regions = calloc(1, sizeof *regions);
    hak_regions_start(&walk, regions);
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
