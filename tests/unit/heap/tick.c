/* SPDX-License-Identifier: MIT */
/* heap/tick.c: visits look at the clock, ticks reach all shards. */
#include "heap/tick.h"

#include "os/clock.h"
#include "tests/lib/tap.h"
#include "tests/unit/world.h"

enum { CLASS = 30, LARGE = 300 * 1024, CALLS = 8 };

static void *run_of(struct hak_heap *heap)
{
    return hak_large_take(&hak_shard_of_id(1)->large, LARGE, 4096, HAK_ZERO_NO, heap->settings);
}

static size_t dirty(void)
{
    return hak_large_bytes(&hak_shard_of_id(1)->large).dirty;
}

/* As HAKMEM_DECAY says, and HAKMEM_LEARN=off. */
static void set_decay(struct hak_heap *heap, uint64_t decay_ns)
{
    heap->settings_store.mode = HAK_LEARN_OFF;
    heap->settings_store.decay_ns = decay_ns;
    hak_heap_set_retain(heap, heap->retain_bytes);
    hak_heap_start_learning(heap);
}

static void nothing_is_kept_without_decay(void)
{
    struct hak_heap *heap = world_start();
    set_decay(heap, 0);
    EXPECT_EQ(hak_large_give(run_of(heap), heap->settings), 1);
    EXPECT_EQ(dirty(), 0);
    struct hak_chain chains[12];
    for (unsigned i = 0; i < TAP_COUNT(chains); i++)
        chains[i] = world_chain(hak_shard_of_id(1), HAK_CLASS_LAST, 4);
    for (unsigned i = 0; i < TAP_COUNT(chains); i++)
        hak_shard_give_to_slabs(HAK_CLASS_LAST, chains[i]);
    EXPECT_EQ(hak_shard_of_id(1)->mid.space.dirty_bytes, 0);
    world_expect_nothing_lost();
}

/* Whatever the learner has found out. */
static void nor_by_a_learner(void)
{
    struct hak_heap *heap = world_start();
    heap->settings_store.mode = HAK_LEARN_ON;
    heap->settings_store.decay_ns = 0;
    hak_heap_start_learning(heap);
    EXPECT_EQ(hak_large_give(run_of(heap), heap->settings), 1);
    EXPECT_EQ(dirty(), 0);
}

static void looks_make_it_decay(struct hak_front *front)
{
    struct hak_heap *heap = world_start();
    set_decay(heap, 20 * 1000 * 1000);
    EXPECT_EQ(hak_large_give(run_of(heap), heap->settings), 1);
    EXPECT_GE(dirty(), LARGE);
    for (unsigned round = 0; round < 50 && dirty() != 0; round++) {
        for (unsigned call = 0; call < CALLS; call++) {
            if (front != NULL)
                hak_heap_visit_for_large(hak_heap_default(), front);
            else
                hak_heap_visit_without_front(heap, hak_shard_of_id(1));
        }
        hak_os_sleep_ns(10 * 1000 * 1000);
    }
    EXPECT_EQ(dirty(), 0);
}

static void large_calls_tick_without_a_front(void)
{
    looks_make_it_decay(NULL);
}

static void large_calls_tick_with_a_front(void)
{
    world_start();
    struct hak_front *front = world_front();
    REQUIRE(front != NULL);
    looks_make_it_decay(front);
    hak_front_destroy(front);
}

/* Visits until the front has looked at the clock, as one that never did. */
static void look(struct hak_front *front)
{
    front->last_tick_ns = 0;
    for (unsigned call = 0; call < 1000 && front->last_tick_ns == 0; call++)
        hak_heap_visit(hak_heap_default(), front);
    EXPECT_GE(front->last_tick_ns, 1);
}

static void one_of_many_looks_through_the_shard(void)
{
    struct hak_heap *heap = world_start();
    struct hak_front *front = world_front();
    REQUIRE(front != NULL);
    struct hak_shard *shard = hak_front_shard(front);
    shard->last_look_ns = 0;
    look(front); /* nobody did yet */
    uint64_t ticked = shard->tiny.ticked_ns;
    EXPECT_GE(ticked, 1);
    EXPECT_EQ(shard->last_look_ns, ticked);
    uint64_t now = hak_os_coarse_now_ns();
    shard->last_look_ns = now; /* another front just did */
    shard->tiny.ticked_ns = 1;
    look(front);
    if (hak_os_coarse_now_ns() - now < hak_decay_pause_ns(heap->settings) / 8)
        EXPECT_EQ(shard->tiny.ticked_ns, 1);
    hak_front_destroy(front);
}

/* Between two ticks, at the looks of a thread. */
static void looks_hurry_what_is_due(void)
{
    struct hak_heap *heap = world_start();
    struct hak_front *front = world_front();
    REQUIRE(front != NULL);
    struct hak_shard *shard = hak_front_shard(front);
    uint64_t now = hak_os_coarse_now_ns();
    front->last_tick_ns = now; /* no tick is due */
    shard->tiny.ticked_ns = 1;
    shard->tiny.hurries = 1;
    for (unsigned call = 0; call < 200 && shard->tiny.ticked_ns == 1; call++)
        hak_heap_visit(heap, front);
    EXPECT_GE(shard->tiny.ticked_ns, 2);
    EXPECT_EQ(shard->tiny.hurries, 0); /* nothing is due */
    EXPECT_EQ(front->last_tick_ns, now);
    hak_front_destroy(front);
}

static void pauses_follow_decay(void)
{
    struct hak_settings settings = hak_settings_default;
    settings.decay_ns = UINT64_MAX;
    EXPECT_EQ(hak_decay_pause_ns(&settings), 100 * 1000 * 1000);
    settings.decay_ns = 50 * 1000 * 1000;
    EXPECT_EQ(hak_decay_pause_ns(&settings), 50 * 1000 * 1000);
    settings.decay_ns = 0;
    EXPECT_EQ(hak_decay_pause_ns(&settings), 10 * 1000 * 1000);
}

static void slabs_come_to_rest(void)
{
    struct hak_heap *heap = world_start();
    set_decay(heap, 1000u * 1000 * 1000);
    struct hak_chain chains[12];
    EXPECT_EQ(hak_heap_slabs_rest(heap, hak_os_now_ns()), 1);
    for (unsigned i = 0; i < TAP_COUNT(chains); i++)
        chains[i] = world_chain(hak_shard_of_id(1), HAK_CLASS_LAST, 4);
    for (unsigned i = 0; i < TAP_COUNT(chains); i++)
        hak_shard_give_to_slabs(HAK_CLASS_LAST, chains[i]);
    uint64_t freed = hak_shard_of_id(1)->mid.space.given_ns;
    EXPECT_GE(hak_shard_of_id(1)->mid.space.dirty_bytes, 1);
    EXPECT_EQ(hak_heap_slabs_rest(heap, freed + 1000), 0);
    EXPECT_EQ(hak_heap_slabs_rest(heap, freed + 2 * heap->settings->decay_ns), 1);
    world_expect_nothing_lost();
}

static void ticks_reach_all(void)
{
    struct hak_heap *heap = world_start();
    const struct hak_shard_map *map = world_by_turns("3");
    REQUIRE(map != NULL);
    for (unsigned i = 0; i < 3; i++) {
        struct hak_chain words[12];
        for (unsigned k = 0; k < TAP_COUNT(words); k++)
            words[k] = world_chain(map->shards[i], HAK_CLASS_LAST, 4);
        for (unsigned k = 0; k < TAP_COUNT(words); k++)
            hak_shard_give_to_slabs(HAK_CLASS_LAST, words[k]);
        EXPECT_GE(map->shards[i]->mid.space.dirty_bytes, 1);
    }
    uint64_t later = hak_os_now_ns() + 2 * heap->settings->decay_ns;
    hak_heap_tick(heap, later);
    for (unsigned i = 0; i < 3; i++)
        EXPECT_EQ(map->shards[i]->mid.space.dirty_bytes, 0);
    uint64_t unmapped = world_sum(HAK_COUNTER_REGIONS_UNMAPPED);
    for (unsigned i = 0; i < 3; i++)
        hak_pool_purge(&map->shards[i]->mid);
    hak_heap_reap();
    EXPECT_GE(world_sum(HAK_COUNTER_REGIONS_UNMAPPED) - unmapped, 3);
    world_expect_nothing_lost();
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"with a decay of 0 nothing is kept", nothing_is_kept_without_decay},
        {"with a decay of 0 a learner keeps nothing either", nor_by_a_learner},
        {"large calls make memory decay, without a front", large_calls_tick_without_a_front},
        {"large calls make memory decay, with a front", large_calls_tick_with_a_front},
        {"only one of many threads looks through the shard", one_of_many_looks_through_the_shard},
        {"looks hurry what is due far behind", looks_hurry_what_is_due},
        {"a shorter decay is looked at more often", pauses_follow_decay},
        {"ticks and reaping reach all shards", ticks_reach_all},
        {"slabs rest when none was given back for a time of decay", slabs_come_to_rest},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
