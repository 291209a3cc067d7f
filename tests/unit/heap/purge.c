/* SPDX-License-Identifier: MIT */
/* heap/purge.c: what trims give back, and regions that go while threads pop. */
#include "heap/purge.h"

#include <string.h>

#include "front/exchange.h"
#include "front/fronts.h"
#include "heap/own_heap.h"
#include "heap/tick.h"
#include "tests/unit/world.h"

enum { CLASS = 30, LARGE = 300 * 1024, WHALE = 20 * 1024 * 1024 };

/* A trim returns every byte that it gave back, if there were only slabs kept for later. */
static void trims_tell(void)
{
    struct hak_heap *heap = world_start();
    hak_heap_trim(heap);
    EXPECT_EQ(hak_heap_trim(heap), 0);
    hak_shard_give_to_slabs(CLASS, world_chain(heap->map->shards[0], CLASS, 1));
    EXPECT_GE(hak_heap_trim(heap), hak_classes[CLASS].slab_pages * HAK_PAGE_SIZE);
}

/* The objects in another thread's front go at its next slow call, once. */
static void trims_reach_fronts(void)
{
    struct hak_heap *heap = world_start();
    struct hak_front *front = hak_front_create(hak_heap_map(heap));
    REQUIRE(front != NULL);
    for (unsigned turn = 0; turn < 2; turn++) {
        void *object = hak_front_refill(front, CLASS);
        REQUIRE(object != NULL);
        EXPECT_EQ(hak_magazine_push(&front->loaded[CLASS], object), 1);
        size_t held = hak_front_bytes(front);
        EXPECT_GE(held, hak_classes[CLASS].size);
        hak_heap_visit(heap, front);
        EXPECT_EQ(hak_front_bytes(front), held);
        hak_heap_trim(heap);
        EXPECT_EQ(hak_front_bytes(front), held);
        hak_heap_visit(heap, front);
        EXPECT_EQ(hak_front_bytes(front), 0);
    }
    hak_front_destroy(front);
    world_expect_nothing_lost();
}

/* Heaps of the program are purged one after another, until the bytes or the time are reached. */
static void purges_stop(void)
{
    enum { HEAPS = 3, MIB = 1024 * 1024 };
    static const struct hak_terms unlimited = {.is_dumped = 1};
    struct hak_own_heap *heaps[HEAPS];
    struct hak_heap *heap = world_start();
    hak_heap_trim(heap);
    for (unsigned i = 0; i < HEAPS; i++) {
        const struct hak_own_request request = {4 * MIB, 1, HAK_CLASS_NONE, HAK_ZERO_NO, NULL};
        bool must_tell = false;
        heaps[i] = hak_own_heap_make(&unlimited, &hak_settings_default, NULL, HAK_NODE_ANY, NULL);
        REQUIRE(heaps[i] != NULL);
        void *run = hak_own_heap_take(heaps[i], &request, &must_tell);
        REQUIRE(run != NULL);
        memset(run, 1, request.size);
        struct hak_page page = hak_page_find(run);
        EXPECT_EQ(hak_own_shard_give(heaps[i]->shards[0], run, page), HAK_OWN_LIVE);
        EXPECT_GE(hak_own_heap_bytes(heaps[i]).cached, 3 * MIB);
    }
    const struct hak_heap_purge too_late = {0, SIZE_MAX, 1};
    const struct hak_heap_purge little = {0, 1, UINT64_MAX};
    hak_heap_purge(heap, &too_late);
    for (unsigned i = 0; i < HEAPS; i++)
        EXPECT_GE(hak_own_heap_bytes(heaps[i]).cached, 3 * MIB);
    EXPECT_GE(hak_heap_purge(heap, &little), 3 * MIB);
    EXPECT_EQ(hak_own_heap_bytes(heaps[0]).cached, 0);
    for (unsigned i = 1; i < HEAPS; i++)
        EXPECT_GE(hak_own_heap_bytes(heaps[i]).cached, 3 * MIB);
    hak_heap_trim(heap);
    for (unsigned i = 0; i < HEAPS; i++) {
        EXPECT_EQ(hak_own_heap_bytes(heaps[i]).cached, 0);
        EXPECT_EQ(hak_own_heap_end(heaps[i]), HAK_OWN_ENDED);
    }
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a trim returns the bytes given back", trims_tell},
        {"a trim reaches the fronts of other threads", trims_reach_fronts},
        {"a purge stops at its bytes and its deadline", purges_stop},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
