/* SPDX-License-Identifier: MIT */
/* heap/reclaim.c: before ENOMEM all threads give back, in steps, and not again and again in
 * vain. */
#include "heap/reclaim.h"

#include <string.h>

#include "os/lock.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"
#include "tests/unit/world.h"

enum { CLASS = 30, LARGE = 300 * 1024, WHALE = 20 * 1024 * 1024, OBJECTS = 20000 };

static void *objects[OBJECTS];

/* All steps of one refused call; how many times it would have tried again. */
static unsigned reclaim_all(struct hak_heap *heap, struct hak_front *own)
{
    struct hak_reclaim call = {.own = own, .may_reap = true};
    unsigned tries = 0;
    while (hak_reclaim(heap, &call) && tries < 10)
        tries++;
    return tries;
}

static void give_whale(struct hak_heap *heap)
{
    const struct hak_region_source *source = &hak_shard_of_id(1)->source;
    void *whale = hak_whale_take(&heap->whales, source, WHALE, 4096, HAK_ZERO_NO, heap->settings);
    if (EXPECT(whale != NULL))
        EXPECT_EQ(hak_whale_give(&heap->whales, whale, heap->settings), 1);
}

static void give_run(struct hak_heap *heap, struct hak_shard *shard)
{
    void *run = hak_large_take(&shard->large, LARGE, 4096, HAK_ZERO_NO, heap->settings);
    if (EXPECT(run != NULL))
        EXPECT_EQ(hak_large_give(run, heap->settings), 1);
}

/* A cached whale is enough for the first try; runs and slabs stay. */
static void the_first_step_is_the_smallest(void)
{
    struct hak_heap *heap = world_start();
    struct hak_shard *shard = heap->map->shards[0];
    give_whale(heap);
    give_run(heap, shard);
    struct hak_reclaim call = {.may_reap = true};
    EXPECT(hak_reclaim(heap, &call));
    EXPECT_EQ(call.steps, 1);
    EXPECT_EQ(hak_whale_bytes(&heap->whales).cached, 0);
    EXPECT_GE(hak_large_bytes(&shard->large).dirty, LARGE);
    EXPECT(hak_reclaim(heap, &call));
    EXPECT_EQ(call.steps, 2);
    EXPECT_EQ(hak_large_bytes(&shard->large).mapped, 0);
    EXPECT(hak_reclaim(heap, &call));
    EXPECT_EQ(call.steps, 3);
    EXPECT(!hak_reclaim(heap, &call));
}

/* The objects in the caller's front, in caches and in slabs of all shards go back with their
 * regions. */
static void everything_goes(void)
{
    struct hak_heap *heap = world_start();
    const struct hak_shard_map *map = world_by_turns("3");
    REQUIRE(map != NULL);
    struct hak_front *front = world_front();
    REQUIRE(front != NULL);
    for (unsigned i = 0; i < OBJECTS; i++)
        objects[i] = world_take(front, CLASS);
    for (unsigned i = 0; i < OBJECTS; i++)
        world_give(front, objects[i]);
    for (unsigned i = 0; i < 3; i++)
        give_run(heap, map->shards[i]);
    give_whale(heap);
    EXPECT_GE(reclaim_all(heap, front), 1);
    EXPECT_EQ(world_slab_bytes(), 0);
    EXPECT_EQ(world_sum(HAK_COUNTER_BYTES_MAPPED), world_sum(HAK_COUNTER_BYTES_UNMAPPED));
    hak_front_destroy(front);
    world_expect_nothing_lost();
}

/* Other threads' fronts are asked, and obey when they next come by. */
static void others_are_asked(void)
{
    struct hak_heap *heap = world_start();
    REQUIRE(world_by_turns("1") != NULL);
    struct hak_front *front = world_front();
    REQUIRE(front != NULL);
    for (unsigned i = 0; i < 1000; i++)
        objects[i] = world_take(front, CLASS);
    for (unsigned i = 0; i < 1000; i++)
        world_give(front, objects[i]);
    give_run(heap, hak_shard_of_id(1)); /* something has changed since the last walk */
    EXPECT_GE(reclaim_all(heap, NULL), 1);
    EXPECT_GE(world_slab_bytes(), 1);
    EXPECT_GE(hak_front_bytes(front), 1);
    hak_heap_visit(hak_heap_default(), front);
    EXPECT_EQ(hak_front_bytes(front), 0);
    hak_front_destroy(front);
    world_expect_nothing_lost();
}

/* Reclaims in vain end at once, a bounded number of times, until some memory was given back. */
static void in_vain_it_pauses(void)
{
    struct hak_heap *heap = world_start();
    REQUIRE(world_by_turns("1") != NULL);
    give_run(heap, hak_shard_of_id(1));
    EXPECT_GE(reclaim_all(heap, NULL), 1);
    for (unsigned i = 0; i < HAK_RECLAIM_PAUSE; i++)
        EXPECT_EQ(reclaim_all(heap, NULL), 0);
    EXPECT_GE(reclaim_all(heap, NULL), 1);
    EXPECT_EQ(reclaim_all(heap, NULL), 0);
    give_run(heap, hak_shard_of_id(1));
    EXPECT_GE(reclaim_all(heap, NULL), 1);
    EXPECT_EQ(hak_large_bytes(&hak_shard_of_id(1)->large).mapped, 0);
}

/* Free units of a segment in use serve, also for small objects, whichever shard they belong to. */
static void free_runs_serve(void)
{
    struct hak_heap *heap = world_start();
    const struct hak_shard_map *map = world_by_turns("3");
    REQUIRE(map != NULL);
    EXPECT(hak_reclaim_run(map->shards[0], LARGE, 4096, HAK_ZERO_NO) == NULL);
    void *live = hak_large_take(&map->shards[2]->large, LARGE, 4096, HAK_ZERO_NO, heap->settings);
    size_t mapped = world_sum(HAK_COUNTER_BYTES_MAPPED);
    char *run = hak_reclaim_run(map->shards[0], LARGE, 4096, HAK_ZERO_YES);
    char *small = hak_reclaim_run(map->shards[1], 100, 4096, HAK_ZERO_NO);
    REQUIRE(live != NULL && run != NULL && small != NULL);
    EXPECT_EQ(hak_large_size(small), 4096);
    memset(small, 1, 100);
    EXPECT_EQ(world_sum(HAK_COUNTER_BYTES_MAPPED), mapped);
    EXPECT_EQ(hak_large_give(run, heap->settings) + hak_large_give(small, heap->settings) +
                  hak_large_give(live, heap->settings),
              3);
    world_expect_nothing_lost();
}

/* So do pages of another shard's regions. */
static void free_pages_serve(void)
{
    struct hak_heap *heap = world_start();
    const struct hak_shard_map *map = world_by_turns("3");
    REQUIRE(heap != NULL && map != NULL);
    struct hak_chain word = world_chain(map->shards[1], CLASS, 1);
    hak_shard_drain(map->shards[1]);
    void *object = hak_reclaim_object(map->shards[0], CLASS);
    REQUIRE(object != NULL);
    EXPECT(hak_page_find(object).home != map->shards[0]->id);
    struct hak_chain single = hak_magazine_empty(CLASS);
    hak_magazine_push(&single, object);
    hak_shard_give_to_slabs(CLASS, single);
    hak_shard_give_to_slabs(CLASS, word);
    world_expect_nothing_lost();
}

static void *run_out(void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < 50; i++) {
        give_run(hak_heap_default(), hak_shard_of_id(1));
        EXPECT_LE(reclaim_all(hak_heap_default(), NULL), 4);
    }
    return NULL;
}

/* Many threads at once: each waits for another's walk once, and takes at most three steps. */
static void threads_wait_for_each_other(void)
{
    world_start();
    threads_run(4, run_out, NULL, 0);
    world_expect_nothing_lost();
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a reclaim takes one step after another", the_first_step_is_the_smallest},
        {"a reclaim gives back all unused memory", everything_goes},
        {"fronts of other threads are asked, and obey", others_are_asked},
        {"after a vain reclaim it pauses until memory is given back", in_vain_it_pauses},
        {"free runs of any shard serve", free_runs_serve},
        {"free pages of any shard serve", free_pages_serve},
        {"threads wait for each other, for a bounded time", threads_wait_for_each_other},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
