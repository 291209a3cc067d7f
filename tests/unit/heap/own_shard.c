/* SPDX-License-Identifier: MIT */
/* heap/own_shard.c: objects in and out, kinds of pointers, numbers that are used again, callers
 * that come late. */
#include "heap/own_shard.h"

#include <string.h>

#include "os/clock.h"
#include "tests/lib/prng.h"
#include "tests/unit/world.h"

static struct hak_terms terms = {.is_dumped = 1};

static struct hak_own_shard *open_shard(void)
{
    world_start();
    struct hak_own_shard *shard = hak_own_shard_make(NULL, &terms, &hak_settings_default, -1);
    if (EXPECT(shard != NULL))
        hak_own_shard_open(shard);
    return shard;
}

static void end_shard(struct hak_own_shard *shard)
{
    hak_own_shard_close(shard);
    EXPECT(hak_own_shard_is_empty(shard));
    hak_own_shard_end(shard);
    hak_own_shard_drop(shard);
    EXPECT_EQ(hak_terms_mapped(&terms), 0);
}

static struct hak_own_request request_for(size_t size, size_t alignment)
{
    unsigned class_id = hak_size_class_aligned(size, alignment);
    return (struct hak_own_request){size, alignment, class_id, HAK_ZERO_NO, NULL};
}

static void *take(struct hak_own_shard *shard, size_t size, size_t alignment)
{
    struct hak_own_request request = request_for(size, alignment);
    return hak_own_shard_take(shard, &request);
}

static enum hak_own_object give(struct hak_own_shard *shard, void *object)
{
    struct hak_page page;
    enum hak_own_object what = HAK_OWN_FREE;
    struct hak_own_shard *home = hak_own_shard_enter_of(object, &page);
    if (home == NULL)
        return what;
    EXPECT(home == shard);
    what = hak_own_shard_give(home, object, page);
    hak_own_shard_leave(home);
    return what;
}

static void objects_of_every_size(void)
{
    enum { OBJECTS = 400 };
    struct hak_own_shard *shard = open_shard();
    REQUIRE(shard != NULL);
    struct prng prng = {1};
    char *objects[OBJECTS];
    size_t sizes[OBJECTS];
    for (unsigned i = 0; i < OBJECTS; i++) {
        sizes[i] = prng_size(&prng, i % 50 == 0 ? 26 : 18);
        size_t alignment = (size_t)1 << prng_below(&prng, i % 50 == 0 ? 23 : 13);
        objects[i] = take(shard, sizes[i], alignment);
        REQUIRE(objects[i] != NULL);
        EXPECT_EQ((uintptr_t)objects[i] % alignment, 0);
        EXPECT_GE(hak_own_shard_size(objects[i], hak_page_find(objects[i])), sizes[i]);
        EXPECT(hak_page_is_own(hak_page_find(objects[i])));
        EXPECT_EQ(hak_page_find(objects[i]).home, shard->number);
        objects[i][0] = (char)i;
        objects[i][sizes[i] - 1] = (char)i;
    }
    for (unsigned i = 0; i < OBJECTS; i++) {
        EXPECT(objects[i][sizes[i] - 1] == (char)i);
        EXPECT_EQ(give(shard, objects[i]), HAK_OWN_LIVE);
    }
    struct hak_own_bytes bytes = hak_own_shard_bytes(shard);
    EXPECT_EQ(bytes.small + bytes.runs + bytes.alone, 0);
    hak_own_shard_purge(shard);
    EXPECT_LE(hak_terms_mapped(&terms), 16 * 1024 * 1024);
    end_shard(shard);
}

static void what_a_pointer_is(void)
{
    static const size_t sizes[] = {64, 20000, 100000, 40000000};
    struct hak_own_shard *shard = open_shard();
    REQUIRE(shard != NULL);
    for (unsigned i = 0; i < TAP_COUNT(sizes); i++) {
        char *neighbour = take(shard, sizes[i], 1);
        char *object = take(shard, sizes[i], 1);
        REQUIRE(object != NULL && neighbour != NULL);
        EXPECT(give(shard, object + 16) != HAK_OWN_LIVE);
        EXPECT(give(shard, object + 4096) != HAK_OWN_LIVE || sizes[i] < 4096);
        EXPECT_EQ(hak_own_shard_size(object + 16, hak_page_find(object + 16)), 0);
        EXPECT_EQ(give(shard, object), HAK_OWN_LIVE);
        EXPECT_EQ(give(shard, object), HAK_OWN_FREE);
        EXPECT_EQ(give(shard, neighbour), HAK_OWN_LIVE);
    }
    end_shard(shard);
}

static void numbers_serve_again(void)
{
    struct hak_own_shard *shard = open_shard();
    REQUIRE(shard != NULL);
    void *object = take(shard, 100, 1);
    unsigned number = shard->number;
    unsigned last = hak_own_shard_last();
    end_shard(shard);
    struct hak_page page;
    EXPECT(hak_own_shard_enter_of(object, &page) == NULL);
    EXPECT(!hak_own_shard_enter(shard));
    EXPECT(hak_own_shard_is_empty(shard));
    struct hak_own_shard *again = open_shard();
    EXPECT_EQ(again->number, number);
    EXPECT_EQ(hak_own_shard_last(), last);
    EXPECT_EQ(hak_counter_read(&again->counters, HAK_COUNTER_BYTES_MAPPED), 0);
    end_shard(again);
}

static void runs_grow_where_they_lie(void)
{
    struct hak_own_shard *shard = open_shard();
    REQUIRE(shard != NULL);
    char *run = take(shard, 100000, 1);
    REQUIRE(run != NULL);
    EXPECT_EQ(hak_own_shard_resize(shard, run, 300000), 1);
    EXPECT_GE(hak_own_shard_size(run, hak_page_find(run)), 300000);
    memset(run, 1, 300000);
    EXPECT_EQ(hak_own_shard_resize(shard, run, 50000), 1);
    EXPECT_LE(hak_own_shard_size(run, hak_page_find(run)), 60000);
    EXPECT_EQ(hak_own_shard_resize(shard, run, 64ul << 20), 0);
    end_shard(shard);
}

static void unused_memory_decays(void)
{
    enum { MIB = 1024 * 1024 };
    struct hak_own_shard *shard = open_shard();
    REQUIRE(shard != NULL);
    char *run = take(shard, 8 * MIB, 1);
    REQUIRE(run != NULL);
    memset(run, 1, 8 * MIB);
    EXPECT_EQ(give(shard, run), HAK_OWN_LIVE);
    EXPECT_GE(hak_own_shard_bytes(shard).cached, 7 * MIB);
    uint64_t now = hak_os_coarse_now_ns();
    for (unsigned tick = 0; tick < 100; tick++)
        hak_own_shard_tick(shard, now += 200ul * 1000 * 1000);
    EXPECT_LE(hak_own_shard_bytes(shard).cached, MIB);
    end_shard(shard);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"objects of every size and alignment", objects_of_every_size},
        {"pointers to no object, or a free one, are found", what_a_pointer_is},
        {"a number is used again, and late callers find no shard", numbers_serve_again},
        {"runs grow and shrink in place", runs_grow_where_they_lie},
        {"unused memory decays", unused_memory_decays},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
