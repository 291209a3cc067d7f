/* SPDX-License-Identifier: MIT */
/* shard/lanes.c: a large cache for each CPU of a shard. Two shards of eight CPUs on one node; the CPU
 * is an argument. */
#include "shard/lanes.h"

#include "tests/lib/prng.h"
#include "tests/lib/threads.h"
#include "tests/unit/world.h"

enum { CPUS = 16, LANES = 8, LARGE = 200 * 1024 };

static const struct hak_shard_map *two(void)
{
    static const struct world_machine machine = {CPUS, LANES, CPUS, "l3"};
    static const struct hak_shard_map *map;
    if (map == NULL)
        map = world_place(&machine);
    return map;
}

static struct hak_large_cache *lane_of(unsigned shard, unsigned cpu)
{
    return hak_lane_of_cpu(two()->shards[shard], two()->domains, cpu);
}

static unsigned count_lanes(struct hak_shard *shard)
{
    unsigned count = 0;
    for (unsigned lane = 0; hak_lane_next(shard, &lane) != NULL;)
        count++;
    return count;
}

static void each_cpu_has_its_own(void)
{
    REQUIRE(two() != NULL && two()->count == 2);
    EXPECT_EQ(hak_lanes_of(two()->domains, 0), LANES);
    EXPECT_EQ(count_lanes(two()->shards[1]), 1);
    for (unsigned a = 0; a < LANES; a++)
        for (unsigned b = 0; b < LANES; b++)
            EXPECT_EQ(lane_of(1, LANES + a) == lane_of(1, LANES + b), a == b);
    EXPECT_EQ(count_lanes(two()->shards[1]), LANES);
    EXPECT(lane_of(1, LANES) == &two()->shards[1]->large);
    EXPECT(lane_of(1, 1) == lane_of(1, LANES + 1)); /* another shard's CPU, */
    EXPECT(lane_of(1, 1000000) != NULL);            /* or unknown */
    EXPECT_EQ(count_lanes(two()->shards[1]), LANES);
}

static void a_single_arena_has_one(void)
{
    static const struct world_machine machine = {CPUS, LANES, CPUS, "single"};
    const struct hak_shard_map *single = world_place(&machine);
    REQUIRE(single != NULL);
    EXPECT_EQ(hak_lanes_of(single->domains, 0), 1);
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        EXPECT(hak_lane_of_cpu(single->shards[0], single->domains, cpu) ==
               &single->shards[0]->large);
}

static void *take(unsigned shard, unsigned cpu)
{
    return hak_shard_take_large(two()->shards[shard], cpu, LARGE, 1, HAK_ZERO_NO);
}

/* Other CPUs, and the neighbour's, use free memory before fresh memory. */
static void free_runs_are_shared(void)
{
    const struct hak_settings *settings = hak_heap_default()->settings;
    char *run = take(0, 1);
    EXPECT(run != NULL);
    EXPECT_GE(hak_large_bytes(lane_of(0, 1)).used, LARGE);
    EXPECT_EQ(hak_large_bytes(lane_of(0, 0)).used, 0);
    hak_large_give(run, settings);
    EXPECT(take(0, 2) == run);
    hak_large_give(run, settings);
    EXPECT(take(1, LANES + 3) == run);
    EXPECT_GE(hak_lanes_bytes(two()->shards[0]).used, LARGE);
    EXPECT_EQ(hak_lanes_bytes(two()->shards[1]).used, 0);
    hak_large_give(run, settings);
    EXPECT_GE(hak_lanes_bytes(two()->shards[0]).dirty, LARGE);
    EXPECT(hak_lanes_take_mapped(two()->shards[0], LARGE, 1, HAK_ZERO_NO, settings) == run);
    hak_large_give(run, settings);
    EXPECT_GE(hak_lanes_trim(two()->shards[0]), LARGE);
    EXPECT_EQ(hak_lanes_bytes(two()->shards[0]).mapped, 0);
}

/* Each lane counts its own, and nothing is written where other lanes write. */
static void lanes_count_for_themselves(void)
{
    const struct hak_settings *settings = hak_heap_default()->settings;
    struct hak_shard *shard = two()->shards[0];
    struct hak_large_counts before = hak_lanes_counts(shard);
    uint64_t second = hak_large_counts(lane_of(0, 2)).takes;
    char *run = take(0, 1);
    hak_large_give(run, settings);
    run = hak_large_take(lane_of(0, 2), LARGE, 1, HAK_ZERO_NO, settings);
    hak_large_give(run, settings);
    struct hak_large_counts now = hak_lanes_counts(shard);
    EXPECT_EQ(now.takes, before.takes + 2);
    EXPECT_EQ(now.gives, before.gives + 2);
    EXPECT_EQ(hak_large_counts(lane_of(0, 2)).takes, second + 1);
    EXPECT_EQ(hak_counter_read(&shard->counters, HAK_COUNTER_LARGE_TAKES), 0);
    EXPECT_EQ(hak_counter_read(&shard->counters, HAK_COUNTER_LARGE_GIVES), 0);
}

/* A tick handles some lanes; the next ticks the others. */
static void lanes_decay_by_turns(void)
{
    struct hak_shard *shard = two()->shards[0];
    for (unsigned cpu = 0; cpu < LANES; cpu++)
        lane_of(0, cpu);
    const uint64_t second = 1000000000;
    hak_lanes_tick(shard, 1000 * second);
    hak_lanes_tick(shard, 1000 * second);
    struct hak_large_cache *large;
    for (unsigned lane = 0; (large = hak_lane_next(shard, &lane)) != NULL;)
        EXPECT_EQ(large->now, (uint32_t)((1000 * second) >> 20));
}

/* ---- many threads ---------------------------------------------------------------------------- */

enum { THREADS = 6, STEPS = 3000, SLOTS = 5 };

static unsigned spoilt;

static void *churn(void *argument)
{
    unsigned number = *(unsigned *)argument;
    struct prng prng = {number};
    char *slot[SLOTS] = {NULL};
    for (unsigned step = 0; step < STEPS + SLOTS; step++) {
        unsigned i = step % SLOTS;
        if (slot[i] != NULL && (slot[i][0] != (char)number || slot[i][LARGE / 2] != (char)step))
            __atomic_fetch_add(&spoilt, 1, __ATOMIC_RELAXED); /* relaxed: read after the join */
        if (slot[i] != NULL)
            hak_large_give(slot[i], hak_heap_default()->settings);
        slot[i] = NULL;
        if (step >= STEPS)
            continue;
        unsigned cpu = (unsigned)prng_below(&prng, CPUS);
        slot[i] = take(cpu / LANES, cpu);
        if (slot[i] == NULL)
            continue;
        slot[i][0] = (char)number;
        slot[i][LARGE / 2] = (char)(step + SLOTS);
        if (step % 100 == 0)
            hak_lanes_trim(two()->shards[cpu / LANES]);
    }
    return NULL;
}

static void threads_lose_nothing(void)
{
    unsigned numbers[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        numbers[i] = i + 1;
    threads_run(THREADS, churn, numbers, sizeof *numbers);
    EXPECT_EQ(spoilt, 0);
    for (unsigned i = 0; i < 2; i++)
        EXPECT_EQ(hak_lanes_bytes(two()->shards[i]).used, 0);
    world_expect_nothing_lost();
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"each CPU has a lane of its own", each_cpu_has_its_own},
        {"free runs are shared", free_runs_are_shared},
        {"each lane counts its own runs", lanes_count_for_themselves},
        {"lanes decay by turns", lanes_decay_by_turns},
        {"threads lose nothing", threads_lose_nothing},
        {"the shard of mode single has one lane", a_single_arena_has_one},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
