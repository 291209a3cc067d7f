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

/* By default, with the CPUs; not if an option says how much. */
static void many_cpus_may_keep_more(void)
{
    static struct hak_domains domains;
    static struct hak_shard_map map;
    struct hak_heap *heap = world_start();
    map.domains = &domains;
    map.count = 1;
    domains.cpus = 128;
    size_t given = hak_settings_bytes(&heap->retain_bytes);
    hak_heap_set_map(heap, &map);
    EXPECT_EQ(hak_settings_bytes(&heap->retain_bytes), given);
    hak_heap_set_retain_by_cpus(heap);
    EXPECT_EQ(hak_settings_bytes(&heap->retain_bytes), 512ul << 20);
    EXPECT_EQ(hak_settings_bytes(&heap->credit.most), 512ul << 20);
    EXPECT_EQ(hak_settings_bytes(&heap->settings->large_retain_bytes), 512ul << 20);
    domains.cpus = 256;
    hak_heap_set_map(heap, &map);
    EXPECT_EQ(hak_settings_bytes(&heap->credit.most), 1024ul << 20);
    domains.cpus = 16;
    hak_heap_set_map(heap, &map);
    EXPECT_EQ(hak_settings_bytes(&heap->credit.most), 256ul << 20);
    domains.cpus = 128;
    hak_heap_set_retain(heap, 256ul << 20);
    hak_heap_set_map(heap, &map);
    EXPECT_EQ(hak_settings_bytes(&heap->credit.most), 256ul << 20);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a new heap has one shard", one_shard_at_first},
        {"many CPUs may keep more unused, unless an option says how much", many_cpus_may_keep_more},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
