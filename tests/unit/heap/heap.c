/* SPDX-License-Identifier: MIT */
/* heap/heap.c: a heap starts with one shard. */
#define _GNU_SOURCE
#include "heap/heap.h"

#include "tests/unit/world.h"

enum { CLASS = 30, LARGE = 300 * 1024, WHALE = 20 * 1024 * 1024 };

static void one_shard_at_first(void)
{
    struct hak_heap *heap = world_start();
    REQUIRE(heap->map != NULL);
    EXPECT_EQ(heap->map->count, 1);
    for (unsigned sequence = 0; sequence < 5; sequence++)
        EXPECT(hak_shard_map_here(hak_heap_map(heap), sequence) == heap->map->shards[0]);
    EXPECT_EQ(heap->map->shards[0]->id, 1);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a new heap has one shard", one_shard_at_first},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
