/* SPDX-License-Identifier: MIT */
/* heap/purge.c: what trims give back; reaped while poppers look. */
#include "heap/purge.h"

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

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a trim tells what it gave back", trims_tell},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
