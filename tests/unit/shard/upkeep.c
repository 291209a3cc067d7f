/* SPDX-License-Identifier: MIT */
/* shard/upkeep.c: drained, decayed, emptied under poppers. */
#define _GNU_SOURCE
#include "shard/upkeep.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "os/clock.h"
#include "tests/unit/shaker.h"
#include "tests/unit/world.h"

enum { POPPERS = 6, ROUNDS = 1500, CLASS = 3 };

/* Bundles of all classes in transfer cache and inbox, those of another shard among them. */
static void drained(void)
{
    world_start();
    struct hak_shard *shard = hak_shard_create(-1, &hak_settings_default);
    struct hak_shard *other = hak_shard_create(-1, &hak_settings_default);
    REQUIRE(shard != NULL && other != NULL);
    for (unsigned class_id = 1; class_id <= HAK_CLASS_LAST; class_id++) {
        for (unsigned i = 0; i < 3; i++)
            hak_shard_accept(shard, class_id, world_chain(i == 1 ? other : shard, class_id, 4));
        struct hak_chain chain = world_chain(shard, class_id, 3);
        hak_inbox_post(&shard->inbox, hak_bundle_make(hak_chain_top(chain), 3));
    }
    hak_shard_drain(shard);
    EXPECT(hak_inbox_is_empty(&shard->inbox));
    for (unsigned class_id = 1; class_id <= HAK_CLASS_LAST; class_id++) {
        EXPECT_EQ(hak_transfer_cache_depth(&shard->bundles, class_id), 0);
        EXPECT_EQ(shard->bundles.bins[class_id].head.top.word, 0);
    }
    EXPECT_GE(hak_shard_purge(shard), 1);
    hak_heap_reap();
    EXPECT_EQ(hak_pool_slab_bytes(&shard->tiny) + hak_pool_slab_bytes(&shard->mid), 0);
    EXPECT_EQ(world_count(shard, HAK_COUNTER_BYTES_MAPPED),
              world_count(shard, HAK_COUNTER_BYTES_UNMAPPED));
    world_expect_nothing_lost();
}

static unsigned bundles_of(const struct hak_shard *shard)
{
    unsigned bundles = 0;
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++)
        bundles += hak_transfer_cache_depth(&shard->bundles, class_id);
    return bundles;
}

/* Idle bundles of many classes: no tick takes more than a portion apart, and none is forgotten. */
static void decay_has_a_budget(void)
{
    enum { CLASSES = 20, EACH = 16 };
    static const struct hak_settings settings = {.decay_ns = 1000};
    world_start();
    struct hak_shard *shard = hak_shard_create(-1, &settings);
    REQUIRE(shard != NULL);
    for (unsigned class_id = 1; class_id <= CLASSES; class_id++) {
        shard->bundles.bins[class_id].capacity = EACH;
        for (unsigned i = 0; i < EACH; i++)
            EXPECT_EQ(
                hak_transfer_cache_push(&shard->bundles, class_id, world_chain(shard, class_id, 1)),
                1);
    }
    uint64_t now_ns = 10000;
    hak_shard_tick(shard, now_ns); /* sees them for the first time */
    unsigned left = bundles_of(shard);
    EXPECT_EQ(left, CLASSES * EACH);
    now_ns += 2000;
    for (unsigned tick = 0; tick < CLASSES * EACH / HAK_PORTION_BUNDLES; tick++) {
        hak_shard_tick(shard, now_ns);
        EXPECT_EQ(left - bundles_of(shard), HAK_PORTION_BUNDLES);
        left = bundles_of(shard);
    }
    EXPECT_EQ(left, 0);
    world_expect_nothing_lost();
}

/* The inbox of a shard that was idle for long: a tick sorts a portion and the next ones the rest,
 * also before the next decay is due; a drain sorts all of it. */
static void inbox_has_a_budget(void)
{
    enum { CLASS = 3, POSTED = 10 * HAK_PORTION_BUNDLES };
    static const struct hak_settings settings = {.decay_ns = 1000};
    world_start();
    struct hak_shard *shard = hak_shard_create(-1, &settings);
    REQUIRE(shard != NULL);
    for (unsigned round = 0; round < 2; round++) {
        uint64_t sorted = world_count(shard, HAK_COUNTER_INBOX_BUNDLES);
        for (unsigned i = 0; i < POSTED; i++)
            hak_inbox_post(&shard->inbox,
                           hak_bundle_make(hak_chain_top(world_chain(shard, CLASS, 1)), 1));
        for (unsigned tick = 1; tick <= 3; tick++) {
            hak_shard_tick(shard, 10000 + round * 10000);
            EXPECT_EQ(world_count(shard, HAK_COUNTER_INBOX_BUNDLES) - sorted,
                      tick * HAK_PORTION_BUNDLES);
        }
        hak_shard_drain(shard);
        EXPECT(!hak_shard_has_mail(shard));
        EXPECT_EQ(world_count(shard, HAK_COUNTER_INBOX_BUNDLES) - sorted, POSTED);
    }
    EXPECT_EQ(world_count(shard, HAK_COUNTER_INBOX_PEAK), HAK_PORTION_BUNDLES);
    world_expect_nothing_lost();
}

/* Free pages decay with time, at a tick. */
static void ticks_let_decay(void)
{
    enum { CLASS = HAK_CLASS_LAST };
    static const struct hak_settings settings = {.slab_retain_bytes = SIZE_MAX,
                                                 .large_retain_bytes = SIZE_MAX,
                                                 .decay_ns = 60000000000,
                                                 .large_segment_bytes = 2 * 1024 * 1024};
    world_start();
    struct hak_shard *shard = hak_shard_create(-1, &settings);
    REQUIRE(shard != NULL);
    struct hak_chain words[12];
    for (unsigned i = 0; i < TAP_COUNT(words); i++)
        words[i] = world_chain(shard, CLASS, 4);
    for (unsigned i = 0; i < TAP_COUNT(words); i++)
        hak_shard_give_to_slabs(CLASS, words[i]);
    EXPECT_GE(shard->mid.space.dirty_bytes, HAK_PAGE_SIZE);
    hak_shard_tick(shard, hak_os_now_ns() + 2 * settings.decay_ns);
    EXPECT_EQ(shard->mid.space.dirty_bytes, 0);
    world_expect_nothing_lost();
}

/* Pools that hurry are ticked eight times as often, and others not. */
static void hurry_has_a_pace(void)
{
    world_start();
    struct hak_shard *shard = hak_shard_create(-1, &hak_settings_default);
    REQUIRE(shard != NULL);
    uint64_t pause = hak_decay_pause_ns(shard->settings);
    uint64_t now = hak_os_coarse_now_ns();
    hak_shard_hurry(shard, now);
    EXPECT_EQ(shard->tiny.ticked_ns + shard->mid.ticked_ns, 0);
    now += pause / 8;
    shard->tiny.hurries = 1;
    hak_shard_hurry(shard, now);
    EXPECT_EQ(shard->tiny.ticked_ns, now);
    EXPECT_EQ(shard->mid.ticked_ns, 0);
    EXPECT_EQ(shard->tiny.hurries, 0); /* nothing was due */
    shard->mid.hurries = 1;
    hak_shard_hurry(shard, now + pause / 8 - 1);
    EXPECT_EQ(shard->mid.ticked_ns, 0);
    hak_shard_hurry(shard, now + pause / 8);
    EXPECT_EQ(shard->mid.ticked_ns, now + pause / 8);
    EXPECT_EQ(shard->tiny.ticked_ns, now);
}

static struct hak_shard *arena;
static unsigned reaper_done;

static void *pop_and_give(void *argument)
{
    (void)argument;
    while (!__atomic_load_n(&reaper_done, __ATOMIC_RELAXED)) { /* relaxed: soon enough */
        struct hak_chain chain = hak_shard_pop_bundle(arena, CLASS);
        if (!hak_chain_is_empty(chain))
            hak_shard_give_to_slabs(CLASS, chain);
    }
    return NULL;
}

/* Offers a few bundles, then unmaps the region while other threads look at them. */
static void *offer_and_reap(void *argument)
{
    (void)argument;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < 8; i++)
            hak_shard_accept(arena, CLASS, world_chain(arena, CLASS, 8));
        hak_shard_drain(arena);
        hak_shard_purge(arena);
        hak_heap_reap();
    }
    __atomic_store_n(&reaper_done, 1, __ATOMIC_RELAXED);
    return NULL;
}

static void *pop_or_reap(void *argument)
{
    unsigned *number = argument;
    return *number == 0 ? offer_and_reap(NULL) : pop_and_give(NULL);
}

static void reaped_under_poppers(void)
{
    unsigned numbers[POPPERS + 1];
    world_start();
    arena = hak_shard_create(-1, &hak_settings_default);
    REQUIRE(arena != NULL);
    for (unsigned i = 0; i <= POPPERS; i++)
        numbers[i] = i;
    shaker_run(POPPERS + 1, pop_or_reap, numbers, sizeof numbers[0]);
    EXPECT_GE(world_count(arena, HAK_COUNTER_REGIONS_UNMAPPED), 1);
    world_expect_nothing_lost();
}

static void expect_mapped(const void *object)
{
    unsigned char resident;
    EXPECT_EQ(mincore((void *)((uintptr_t)object & ~(uintptr_t)4095), 4096, &resident), 0);
}

/* As long as a thread that may have seen an object is inside, its region stays mapped, and no call
 * waits for that. A region of a mid class goes at once, since no thread peeks there. */
static void reaping_leaves_the_rest(void)
{
    struct hak_grace_section section = {NULL, NULL};
    world_start();
    struct hak_shard *shard = hak_shard_create(-1, &hak_settings_default);
    REQUIRE(shard != NULL);
    struct hak_chain chain = world_chain(shard, CLASS, 1);
    const uint64_t *object = hak_chain_top(chain);
    hak_shard_give_to_slabs(CLASS, chain);
    hak_shard_give_to_slabs(HAK_CLASS_LAST, world_chain(shard, HAK_CLASS_LAST, 1));
    REQUIRE(hak_grace_enter(&section));
    hak_shard_purge(shard);
    for (unsigned i = 0; i < 3; i++) {
        hak_heap_reap();
        expect_mapped(object);
        EXPECT_EQ(world_count(shard, HAK_COUNTER_REGIONS_UNMAPPED), 1);
    }
    /* Slabs that become empty meanwhile stay with their pool. */
    chain = world_chain(shard, CLASS, 1);
    hak_shard_give_to_slabs(CLASS, chain);
    hak_shard_purge(shard);
    hak_heap_reap();
    EXPECT_EQ(hak_pool_regions(&shard->tiny), 1);
    hak_grace_leave(&section);
    hak_heap_reap();
    EXPECT_EQ(hak_pool_regions(&shard->tiny), 0);
    EXPECT_EQ(world_count(shard, HAK_COUNTER_REGIONS_UNMAPPED), 3);
    world_expect_nothing_lost();
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a drained shard holds nothing", drained},
        {"a tick lets a portion of the bundles decay", decay_has_a_budget},
        {"a tick sorts a portion of the inbox, a drain all of it", inbox_has_a_budget},
        {"free pages decay at ticks", ticks_let_decay},
        {"pools that hurry are ticked eight times as often", hurry_has_a_pace},
        {"regions are unmapped while threads pop", reaped_under_poppers},
        {"a region stays mapped while a thread may read it, and no call waits",
         reaping_leaves_the_rest},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
