/* SPDX-License-Identifier: MIT */
/* heap/beside.c: side objects do not overlap, their pages come back, and deferred frees are done in
 * portions. */
#include "heap/beside.h"

#include <string.h>

#include "os/bits.h"
#include "tests/lib/prng.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"
#include "tests/unit/world.h"
#include "tiers/large.h"

enum {
    OBJECTS = 2000,
    THREADS = 4,
};

static struct hak_shard *shard;

static void start(void)
{
    world_start();
    shard = hak_shard_of_id(1);
}

static unsigned char *take(size_t size, size_t alignment)
{
    bool is_zero;
    unsigned char *object = hak_beside_take(shard, size, alignment, &is_zero);
    EXPECT(object != NULL && (uintptr_t)object % alignment == 0 && (uintptr_t)object % 16 == 0);
    EXPECT_GE(hak_beside_size(object), size);
    for (size_t i = 0; is_zero && i < size; i += 4096)
        EXPECT_EQ(object[i], 0);
    return object;
}

static void all_sizes(void)
{
    start();
    for (size_t size = 0; size < ((size_t)1 << 22); size += size / 3 + 1)
        for (size_t alignment = 1; alignment <= (1 << 21); alignment *= 8) {
            unsigned char *object = take(size, alignment);
            size_t usable = hak_beside_size(object);
            memset(object, 0xA5, usable);
            EXPECT_EQ(hak_beside_size(object), usable);
            EXPECT(hak_beside_give(object));
        }
    bool is_zero;
    EXPECT(hak_beside_take(shard, PTRDIFF_MAX, 1, &is_zero) == NULL);
}

static void what_is_none_is_told(void)
{
    start();
    unsigned char *object = take(100, 16);
    unsigned char *mapping = take(100000, 16);
    EXPECT(!hak_beside_give(object + 16));
    EXPECT(!hak_beside_give(object + 8));
    EXPECT(!hak_beside_give(mapping + 4096));
    EXPECT(!hak_beside_give(&shard));
    EXPECT(hak_beside_give(object));
    EXPECT(!hak_beside_give(object));
    EXPECT_EQ(hak_beside_size(object), 0);
    EXPECT(hak_beside_give(mapping));
    EXPECT(!hak_beside_give(mapping));
}

/* ---- threads: no byte belongs to two ------------------------------------------------------- */

static void *churn(void *argument)
{
    struct prng prng = {*(uint64_t *)argument};
    unsigned char *objects[64] = {NULL};
    size_t sizes[64] = {0};
    for (unsigned i = 0; i < 30000; i++) {
        unsigned at = (unsigned)prng_below(&prng, 64);
        unsigned char mark = (unsigned char)(at + *(uint64_t *)argument);
        if (objects[at] != NULL) {
            EXPECT(objects[at][0] == mark && objects[at][sizes[at] - 1] == mark);
            EXPECT(hak_beside_give(objects[at]));
        }
        sizes[at] = 1 + prng_below(&prng, i % 100 == 0 ? 60000 : 3000);
        objects[at] = take(sizes[at], 16);
        memset(objects[at], mark, sizes[at]);
    }
    for (unsigned at = 0; at < 64; at++)
        EXPECT(objects[at] == NULL || hak_beside_give(objects[at]));
    return NULL;
}

static void threads_share(void)
{
    uint64_t seeds[THREADS] = {1, 65, 129, 193};
    start();
    uint64_t before = world_sum(HAK_COUNTER_REGIONS_MAPPED);
    threads_run(THREADS, churn, seeds, sizeof seeds[0]);
    /* 256 objects live, of up to 3,000 bytes: less than a MiB; a page stays while one of it lives. */
    EXPECT_LE(world_sum(HAK_COUNTER_REGIONS_MAPPED) - before, 12);
}

/* All freed, all again: the same pages. */
static void pages_come_back(void)
{
    static void *objects[OBJECTS];
    start();
    uint64_t mapped = 0;
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < OBJECTS; i++) {
            objects[i] = take(5000, 16);
            memset(objects[i], 1, 5000);
        }
        for (unsigned i = 0; i < OBJECTS; i++)
            EXPECT(hak_beside_give(objects[i]));
        if (round == 0)
            mapped = world_sum(HAK_COUNTER_REGIONS_MAPPED);
    }
    EXPECT_LE(world_sum(HAK_COUNTER_REGIONS_MAPPED), mapped + 1);
    /* 10 MB were touched; 16 free pages and one in each of 8 slots keep memory. */
    size_t resident = process_resident();
    for (unsigned i = 0; i < OBJECTS; i++)
        memset(objects[i] = take(5000, 16), 1, 5000);
    EXPECT_GE(process_resident(), resident + (6u << 20));
    for (unsigned i = 0; i < OBJECTS; i++)
        EXPECT(hak_beside_give(objects[i]));
}

static void put_off(void)
{
    enum { RUNS = 40 };
    void *runs[RUNS];
    start();
    struct hak_heap *heap = hak_heap_default();
    for (unsigned i = 0; i < RUNS; i++)
        runs[i] = i % 4 != 0 ? hak_large_take(&shard->large, 100000, 1, HAK_ZERO_NO, heap->settings)
                             : hak_whale_take(&heap->whales, &shard->source, 64u << 20, 4096,
                                              HAK_ZERO_NO, heap->settings);
    size_t used = hak_large_bytes(&shard->large).used;
    for (unsigned i = 0; i < RUNS; i++)
        EXPECT(hak_beside_defer(runs[i]));
    EXPECT(!hak_beside_defer(runs[0])); /* freed twice */
    EXPECT_EQ(hak_large_bytes(&shard->large).used, used);
    unsigned entries = 0;
    for (; (hak_owed & HAK_OWED_DEFERRED) != 0 && entries < 100; entries++) {
        EXPECT(hak_heap_enter());
        hak_heap_leave();
    }
    EXPECT_GE(entries, RUNS / 16);
    EXPECT_LE(entries, 4);
    EXPECT_EQ(hak_large_bytes(&shard->large).used, 0);
    EXPECT_GE(used, (RUNS - RUNS / 4) * 100000);
    EXPECT_EQ(hak_whale_bytes(&heap->whales).used, 0);
    EXPECT_EQ(world_sum(HAK_COUNTER_BAD_FREES), 0);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"objects of all sizes and alignments", all_sizes},
        {"pointers to no live object are found", what_is_none_is_told},
        {"pages whose objects are free serve again", pages_come_back},
        {"threads do not get in each other's way", threads_share},
        {"deferred frees are done in portions", put_off},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
