/* SPDX-License-Identifier: MIT */
/* heap/figures.c: sums that agree with the parts. */
#include "heap/figures.h"

#include <string.h>

#include "tests/unit/world.h"

enum { CLASS = 30, LARGE = 300 * 1024, WHALE = 20 * 1024 * 1024 };

static void *take_large(struct hak_shard *shard)
{
    return hak_large_take(&shard->large, LARGE, 4096, HAK_ZERO_NO, shard->settings);
}

static void totals_agree(void)
{
    struct hak_heap *heap = world_start();
    const struct hak_shard_map *map = world_by_turns("3");
    REQUIRE(map != NULL);
    struct hak_heap_totals none, full, after, trimmed;
    hak_heap_trim(heap);
    hak_heap_totals(heap, &none);
    EXPECT_EQ(none.in_use_slabs + none.in_use_large + none.in_use_whales + none.cached, 0);

    struct hak_chain words[3];
    void *runs[3];
    for (unsigned i = 0; i < 3; i++) {
        words[i] = world_chain(map->shards[i], CLASS, 20);
        runs[i] = take_large(map->shards[i]);
        REQUIRE(runs[i] != NULL);
        memset(runs[i], 1, LARGE);
    }
    void *whale = hak_whale_take(&heap->whales, &map->shards[1]->source, WHALE, 4096, HAK_ZERO_NO,
                                 heap->settings);
    REQUIRE(whale != NULL);
    hak_heap_totals(heap, &full);
    EXPECT_EQ(full.in_use_slabs, 3 * hak_classes[CLASS].slab_pages * HAK_PAGE_SIZE);
    EXPECT_EQ(full.in_use_small, 3 * 20 * hak_classes[CLASS].size);
    EXPECT_EQ(full.in_use_large, 3 * hak_large_round(LARGE));
    EXPECT_EQ(full.in_use_whales, WHALE);
    EXPECT_EQ(full.cached, 0);
    EXPECT_GE(full.mapped, full.in_use_slabs + full.in_use_large + full.in_use_whales);

    for (unsigned i = 0; i < 3; i++) {
        hak_shard_give_to_slabs(CLASS, words[i]);
        EXPECT_EQ(hak_large_give(runs[i], heap->settings), 1);
    }
    EXPECT_EQ(hak_whale_give(&heap->whales, whale, heap->settings), 1);
    hak_heap_totals(heap, &after);
    EXPECT_EQ(after.in_use_small, 0);
    EXPECT_EQ(after.in_use_large + after.in_use_whales, 0);
    EXPECT_EQ(after.mapped, full.mapped);
    EXPECT_GE(after.cached, 3 * hak_large_round(LARGE));
    EXPECT_GE(hak_heap_trim(heap), after.cached);
    hak_heap_totals(heap, &trimmed);
    EXPECT_EQ(trimmed.in_use_slabs + trimmed.cached, 0);
    EXPECT_LE(trimmed.mapped, none.mapped);
    world_expect_nothing_lost();
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"totals agree with the objects taken", totals_agree},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
