/* SPDX-License-Identifier: MIT */
/* heap/purge.c: what trims give back; reaped while poppers look. */
#include "heap/purge.h"

#include "front/exchange.h"
#include "front/fronts.h"
#include "heap/tick.h"
#include "tests/unit/world.h"

enum { CLASS = 30, LARGE = 300 * 1024, WHALE = 20 * 1024 * 1024 };

/* A trim tells of every byte it gave back, if slabs kept for later are all that there was. */
static void trims_tell(void)
{
    struct hak_heap *heap = world_start();
    hak_heap_trim(heap);
    EXPECT_EQ(hak_heap_trim(heap), 0);
    hak_shard_give_to_slabs(CLASS, world_chain(heap->map->shards[0], CLASS, 1));
    EXPECT_GE(hak_heap_trim(heap), hak_classes[CLASS].slab_pages * HAK_PAGE_SIZE);
}

/* What another thread's front holds goes at its next slow call, once. */
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

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a trim tells what it gave back", trims_tell},
        {"it reaches the fronts of others", trims_reach_fronts},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
