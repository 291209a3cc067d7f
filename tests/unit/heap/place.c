/* SPDX-License-Identifier: MIT */
/* heap/place.c: which shard serves which CPU, and machines that change. */
#define _GNU_SOURCE
#include "heap/place.h"

#include <string.h>

#include "tests/lib/machine.h"
#include "tests/unit/world.h"
#include "topology/allowed.h"
#include "topology/discover.h"

enum { CLASS = 30, LARGE = 300 * 1024, WHALE = 20 * 1024 * 1024 };

static void placed_as_the_domains_say(void)
{
    static const struct world_machine machine = {12, 3, 6, "l3"};
    struct hak_heap *heap = world_start();
    struct hak_shard *first = heap->map->shards[0];
    const struct hak_shard_map *map = world_place(&machine);
    REQUIRE(map != NULL);
    EXPECT(map == heap->map);
    EXPECT_EQ(map->count, 4);
    EXPECT(map->shards[0] == first); /* it has objects out */
    EXPECT_EQ(hak_shard_map_nodes(heap->map), 2);
    for (unsigned index = 0; index < map->count; index++) {
        struct hak_shard *shard = map->shards[index];
        EXPECT_EQ(shard->index, index);
        EXPECT(shard->map == map);
        EXPECT_EQ(shard->source.node, index / 2);
        EXPECT(shard->settings == heap->settings);
    }
    for (unsigned cpu = 0; cpu < 12; cpu++)
        EXPECT(hak_shard_map_at(hak_heap_map(heap), cpu, 0) == map->shards[cpu / 3]);
    EXPECT(hak_shard_map_at(hak_heap_map(heap), 4095, 0) != NULL); /* a CPU nobody knows */
    EXPECT(hak_shard_map_at(hak_heap_map(heap), UINT32_MAX, 0) != NULL);
}

static void threads_by_turns(void)
{
    const struct hak_shard_map *map = world_by_turns("5");
    REQUIRE(map != NULL);
    for (unsigned sequence = 0; sequence < 20; sequence++)
        EXPECT(hak_shard_map_here(hak_heap_map(hak_heap_default()), sequence) ==
               map->shards[sequence % 5]);
}

/* A refresh that finds the machine unchanged changes nothing; one of another machine places again,
 * and so does the old machine after that. */
static void refreshes(void)
{
    static const struct world_machine machine = {2, 1, 1, "node"};
    struct hak_heap *heap = world_start();
    const struct hak_shard_map *before = world_place(&machine);
    REQUIRE(before != NULL);
    struct hak_topology *topology = world_topology(&machine);
    REQUIRE(topology != NULL);
    EXPECT_EQ(hak_heap_refresh(heap, topology, &before->request), 0);
    EXPECT(heap->map == before);
    EXPECT_EQ(heap->map->count, 2);
    struct hak_cpu_set set = {0};
    hak_cpu_set_add(&set, 0);
    hak_allowed_restrict(topology, &set);
    EXPECT_EQ(hak_heap_refresh(heap, topology, &before->request), 0);
    EXPECT_EQ(heap->map->count, 1);
    hak_topology_unmap(topology);
    EXPECT(world_place(&machine) == heap->map); /* found again, not built */
    EXPECT_EQ(heap->map->count, 1);
}

static unsigned placements_of(const struct hak_heap *heap)
{
    unsigned count = 0;
    for (const struct hak_shard_map *at = heap->maps; at != NULL; at = at->next)
        count++;
    return count;
}

/* Looks at the recorded machine as it is now, and places by the request. */
static const struct hak_shard_map *look_at(const char *root, const char *wish)
{
    const struct hak_discover_request discover = {.root = root};
    struct hak_domain_request request;
    EXPECT_EQ(hak_domains_parse(wish, &request), 0);
    const struct hak_topology *topology = hak_topology_discover(&discover);
    if (!EXPECT(topology != NULL))
        return NULL;
    EXPECT_EQ(hak_heap_refresh(hak_heap_default(), topology, &request), 0);
    hak_topology_unmap(topology);
    return hak_heap_default()->map;
}

/* A CPU that was off when the machine was read is reported once; then it is known. */
static void strangers_are_met(void)
{
    struct hak_heap *heap = world_start();
    struct hak_cpu_set met;
    char *root = machine_open("2socket-offline");
    REQUIRE(root != NULL);
    const struct hak_shard_map *before = look_at(root, "cpu:0-4,6-7");
    REQUIRE(before != NULL);
    EXPECT_EQ(before->count, 4);
    for (unsigned cpu = 0; cpu < 8; cpu++)
        if (cpu != 2 && cpu != 3 && cpu != 6)
            hak_heap_meet_cpu(heap, cpu); /* CPU 5 is known, though other shards serve it */
    hak_heap_meet_cpu(heap, HAK_TOPOLOGY_MAX_CPUS);
    hak_heap_meet_cpu(heap, UINT32_MAX);
    EXPECT_EQ(hak_heap_take_new_cpus(heap, &met), 0);
    hak_heap_meet_cpu(heap, 6);
    hak_heap_meet_cpu(heap, 4095);
    EXPECT_EQ(hak_heap_take_new_cpus(heap, &met), 1);
    EXPECT_EQ(hak_cpu_set_count(&met), 5 + 2);
    EXPECT(hak_cpu_set_has(&met, 5) && hak_cpu_set_has(&met, 6) && hak_cpu_set_has(&met, 4095));
    EXPECT_EQ(hak_heap_take_new_cpus(heap, &met), 0);
    hak_heap_meet_cpu(heap, 6);
    EXPECT_EQ(hak_heap_take_new_cpus(heap, &met), 0); /* no look has found it: no call tries
                                                         again */

    machine_write(root, "cpu/online", "0-1,4-7");
    const struct hak_shard_map *after = look_at(root, "cpu:0-4,6-7");
    REQUIRE(after != NULL && after != before);
    EXPECT_EQ(after->count, 5);
    hak_heap_meet_cpu(heap, 6);
    EXPECT_EQ(hak_heap_take_new_cpus(heap, &met), 0);
    hak_heap_meet_cpu(heap, 4095); /* another shard map: the CPU may be found now */
    EXPECT_EQ(hak_heap_take_new_cpus(heap, &met), 1);
    EXPECT_EQ(look_at(root, "cpu:0-4,6-7") == after, 1);
    machine_close(root);
}

/* However often CPUs go and come back, domains of a machine that was there before are not built
 * again. */
static void plugging_piles_up_nothing(void)
{
    struct hak_heap *heap = world_start();
    char *root = machine_open("2socket-offline");
    REQUIRE(root != NULL);
    const struct hak_shard_map *few = look_at(root, "cpu");
    machine_write(root, "cpu/online", "0-7");
    const struct hak_shard_map *all = look_at(root, "cpu");
    REQUIRE(few != NULL && all != NULL);
    EXPECT(few->count == 5 && all->count == 8);
    const struct hak_shard_map *by_package = look_at(root, "package");
    unsigned built = placements_of(heap);
    for (unsigned turn = 0; turn < 20; turn++) {
        machine_write(root, "cpu/online", "0-1,4-5,7");
        EXPECT(look_at(root, "cpu") == few);
        EXPECT(hak_shard_map_at(hak_heap_map(heap), 7, 0)->index == 4);
        machine_write(root, "cpu/online", "0-7");
        EXPECT(look_at(root, "cpu") == all);
        EXPECT(hak_shard_map_at(hak_heap_map(heap), 7, 0)->index == 7);
    }
    EXPECT_EQ(placements_of(heap), built);
    /* Domains that were built for another request may be wrong by now, and are not reused
     * unchecked. */
    machine_write(root, "cpu/online", "0-1");
    look_at(root, "cpu");
    const struct hak_shard_map *one_package = look_at(root, "package");
    EXPECT(one_package != by_package && one_package->count == 1);
    EXPECT_EQ(placements_of(heap), built + 2);
    machine_close(root);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"shards follow the domains", placed_as_the_domains_say},
        {"threads get shards by turns", threads_by_turns},
        {"a refresh sees changes of the machine", refreshes},
        {"a new CPU is noticed", strangers_are_met},
        {"CPUs that come and go do not use up memory", plugging_piles_up_nothing},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
