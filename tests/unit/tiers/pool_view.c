/* SPDX-License-Identifier: MIT */
/* tiers/pool_view.c: slabs are reported with their place and fill; a walk continues where the last
 * step ended, even if the region there is gone. */
#include "tiers/pool_view.h"

#include "tests/unit/world.h"

enum { CLASS = 30, MANY = 300, AT_ONCE = 2 };

static struct hak_region_view views[64];

static void tells_of_slabs(void)
{
    struct hak_shard *shard = hak_shard_of_id(1);
    unsigned half = hak_classes[CLASS].capacity / 2;
    struct hak_chain word = world_chain(shard, CLASS, half);
    unsigned count = hak_pool_look(&shard->tiny, false, views, TAP_COUNT(views));
    REQUIRE(count == 1);
    unsigned slabs = 0;
    for (unsigned page = 0; page < HAK_REGION_PAGES; page++) {
        if (views[0].class_id[page] == HAK_CLASS_NONE)
            continue;
        slabs++;
        EXPECT_EQ(views[0].class_id[page], CLASS);
        EXPECT_LE(views[0].used[page], 50);
        EXPECT_GE(views[0].used[page], 49);
        EXPECT_EQ(views[0].free_pages >> page & 1, 0);
    }
    EXPECT_EQ(slabs, 1);
    EXPECT_EQ((uintptr_t)hak_region_of(hak_chain_top(word))->base, views[0].address);
    hak_shard_give_to_slabs(CLASS, word);
}

/* Each region once, whatever the steps. */
static void goes_on(void)
{
    static struct hak_chain words[MANY];
    struct hak_shard *shard = hak_shard_of_id(1);
    for (unsigned i = 0; i < MANY; i++)
        words[i] = world_chain(shard, CLASS, hak_classes[CLASS].bundle);
    unsigned regions = hak_pool_regions(&shard->tiny);
    EXPECT_GE(regions, 3);
    unsigned seen = hak_pool_look(&shard->tiny, false, views, AT_ONCE);
    for (unsigned got = seen; got == AT_ONCE; seen += got) {
        got = hak_pool_look(&shard->tiny, true, &views[seen], AT_ONCE);
        REQUIRE(seen + got <= TAP_COUNT(views));
    }
    EXPECT_EQ(seen, regions);
    for (unsigned i = 0; i < seen; i++)
        for (unsigned k = 0; k < i; k++)
            EXPECT(views[i].address != views[k].address);
    /* In the middle of a walk all regions go. */
    hak_pool_look(&shard->tiny, false, views, AT_ONCE);
    for (unsigned i = 0; i < MANY; i++)
        hak_shard_give_to_slabs(CLASS, words[i]);
    hak_heap_trim(hak_heap_default());
    EXPECT_EQ(hak_pool_look(&shard->tiny, true, views, AT_ONCE), 0);
    world_expect_nothing_lost();
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"slabs are reported with their place and fill", tells_of_slabs},
        {"a walk continues where the last one ended", goes_on},
    };
    world_start();
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
