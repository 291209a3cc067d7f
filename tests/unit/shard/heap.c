/* SPDX-License-Identifier: MIT */
/* shard/heap.c: which shard serves whom, sums that agree with the parts, and the report. */
#define _GNU_SOURCE
#include "shard/heap.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "stats/report.h"
#include "tests/lib/machine.h"
#include "tests/unit/shard/shaker.h"
#include "tests/unit/shard/world.h"
#include "topology/allowed.h"
#include "topology/discover.h"

enum { CLASS = 30, LARGE = 300 * 1024, WHALE = 20 * 1024 * 1024 };

static void one_shard_at_first(void)
{
    struct hak_heap *heap = world_start();
    REQUIRE(heap->placement != NULL);
    EXPECT_EQ(heap->placement->count, 1);
    for (unsigned sequence = 0; sequence < 5; sequence++)
        EXPECT(hak_heap_shard_here(heap, sequence) == heap->placement->shards[0]);
    EXPECT_EQ(heap->placement->shards[0]->id, 1);
}

static void placed_as_the_domains_say(void)
{
    static const struct world_machine machine = {12, 3, 6, "l3"};
    struct hak_heap *heap = world_start();
    struct hak_shard *first = heap->placement->shards[0];
    const struct hak_placement *placement = world_place(&machine);
    REQUIRE(placement != NULL);
    EXPECT(placement == heap->placement);
    EXPECT_EQ(placement->count, 4);
    EXPECT(placement->shards[0] == first); /* it has objects out */
    EXPECT_EQ(heap->nodes, 2);
    for (unsigned index = 0; index < placement->count; index++) {
        struct hak_shard *shard = placement->shards[index];
        EXPECT_EQ(shard->index, index);
        EXPECT(shard->placement == placement);
        EXPECT_EQ(shard->source.node, index / 2);
        EXPECT(shard->policy == heap->policy);
    }
    for (unsigned cpu = 0; cpu < 12; cpu++)
        EXPECT(hak_heap_shard_of_cpu(heap, cpu) == placement->shards[cpu / 3]);
    EXPECT(hak_heap_shard_of_cpu(heap, 4095) != NULL); /* a CPU nobody knows */
    EXPECT(hak_heap_shard_of_cpu(heap, UINT32_MAX) != NULL);
}

static void threads_by_turns(void)
{
    const struct hak_placement *placement = world_by_turns("5");
    REQUIRE(placement != NULL);
    for (unsigned sequence = 0; sequence < 20; sequence++)
        EXPECT(hak_heap_shard_here(hak_heap_default(), sequence) ==
               placement->shards[sequence % 5]);
}

/* ---- sums ------------------------------------------------------------------------------- */

static void *take_large(struct hak_shard *shard)
{
    return hak_large_take(&shard->large, LARGE, 4096, HAK_ZERO_NO, shard->policy);
}

static void totals_agree(void)
{
    struct hak_heap *heap = world_start();
    const struct hak_placement *placement = world_by_turns("3");
    REQUIRE(placement != NULL);
    struct hak_heap_totals none, full, after, trimmed;
    hak_heap_trim(heap);
    hak_heap_totals(heap, &none);
    EXPECT_EQ(none.in_use_slabs + none.in_use_large + none.in_use_whales + none.cached, 0);

    uint64_t words[3];
    void *runs[3];
    for (unsigned i = 0; i < 3; i++) {
        words[i] = world_chain(placement->shards[i], CLASS, 20);
        runs[i] = take_large(placement->shards[i]);
        REQUIRE(runs[i] != NULL);
        memset(runs[i], 1, LARGE);
    }
    void *whale = hak_whale_take(&heap->whales, &placement->shards[1]->source, WHALE, 4096,
                                 HAK_ZERO_NO, heap->policy);
    REQUIRE(whale != NULL);
    hak_heap_totals(heap, &full);
    EXPECT_EQ(full.in_use_slabs, 3 * hak_classes[CLASS].slab_pages * HAK_PAGE_SIZE);
    EXPECT_EQ(full.in_use_small, 3 * 20 * hak_classes[CLASS].size);
    EXPECT_EQ(full.in_use_large, 3 * hak_large_round(LARGE));
    EXPECT_EQ(full.in_use_whales, WHALE);
    EXPECT_EQ(full.cached, 0);
    EXPECT_GE(full.mapped, full.in_use_slabs + full.in_use_large + full.in_use_whales);

    for (unsigned i = 0; i < 3; i++) {
        hak_shard_give_to_slabs(CLASS, words[i]);
        EXPECT_EQ(hak_large_give(runs[i], heap->policy), 1);
    }
    EXPECT_EQ(hak_whale_give(&heap->whales, whale, heap->policy), 1);
    hak_heap_totals(heap, &after);
    EXPECT_EQ(after.in_use_small, 0);
    EXPECT_EQ(after.in_use_large + after.in_use_whales, 0);
    EXPECT_EQ(after.mapped, full.mapped);
    EXPECT_GE(after.cached, 3 * hak_large_round(LARGE));
    EXPECT_GE(hak_heap_trim(heap), after.cached);
    hak_heap_totals(heap, &trimmed);
    EXPECT_EQ(trimmed.in_use_slabs + trimmed.cached, 0);
    EXPECT_LE(trimmed.mapped, none.mapped);
    world_expect_nothing_lost();
}

/* A trim tells of every byte it gave back, if slabs kept for later are all that there was. */
static void trims_tell(void)
{
    struct hak_heap *heap = world_start();
    hak_heap_trim(heap);
    EXPECT_EQ(hak_heap_trim(heap), 0);
    hak_shard_give_to_slabs(CLASS, world_chain(heap->placement->shards[0], CLASS, 1));
    EXPECT_GE(hak_heap_trim(heap), hak_classes[CLASS].slab_pages * HAK_PAGE_SIZE);
}

static void ticks_reach_all(void)
{
    struct hak_heap *heap = world_start();
    const struct hak_placement *placement = world_by_turns("3");
    REQUIRE(placement != NULL);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t words[12];
        for (unsigned k = 0; k < TAP_COUNT(words); k++)
            words[k] = world_chain(placement->shards[i], HAK_CLASS_LAST, 4);
        for (unsigned k = 0; k < TAP_COUNT(words); k++)
            hak_shard_give_to_slabs(HAK_CLASS_LAST, words[k]);
        EXPECT_GE(placement->shards[i]->mid.space.dirty_bytes, 1);
    }
    uint64_t later = hak_os_now_ns() + 2 * heap->policy->decay_ns;
    hak_heap_tick(heap, later);
    for (unsigned i = 0; i < 3; i++)
        EXPECT_EQ(placement->shards[i]->mid.space.dirty_bytes, 0);
    uint64_t unmapped = world_sum(HAK_COUNTER_REGIONS_UNMAPPED);
    for (unsigned i = 0; i < 3; i++)
        hak_pool_purge(&placement->shards[i]->mid);
    hak_heap_reap(heap);
    EXPECT_GE(world_sum(HAK_COUNTER_REGIONS_UNMAPPED) - unmapped, 3);
    world_expect_nothing_lost();
}

/* ---- report ----------------------------------------------------------------------------- */

static unsigned occurrences(const char *text, const char *part)
{
    unsigned count = 0;
    for (; (text = strstr(text, part)) != NULL; text++)
        count++;
    return count;
}

static void report_tells(void)
{
    static char text[256 * 1024];
    static const struct world_machine machine = {8, 2, 8, "4"};
    static const struct hak_report_fact facts[] = {{"mode", "of the test"}, {"absent", NULL}};
    struct hak_heap *heap = world_start();
    REQUIRE(world_place(&machine) != NULL);
    struct hak_writer writer = hak_writer_to_buffer(text, sizeof text);
    hak_heap_report(heap, "a title", facts, TAP_COUNT(facts), &hak_report_json, &writer);
    hak_writer_flush(&writer);
    EXPECT_LE(writer.total, sizeof text - 1);
    EXPECT_EQ(occurrences(text, "a title"), 1);
    EXPECT_EQ(occurrences(text, "of the test"), 1);
    EXPECT_EQ(occurrences(text, "absent"), 0);
    EXPECT_EQ(occurrences(text, "slabs_made"), hak_shard_last_id() + 1); /* and the total */
    EXPECT_GE(occurrences(text, "0-1"), 1);
    EXPECT_GE(occurrences(text, "6-7"), 1);
    writer = hak_writer_to_buffer(text, sizeof text);
    hak_heap_report(heap, "a title", facts, TAP_COUNT(facts), &hak_report_text, &writer);
    hak_writer_flush(&writer);
    EXPECT_GE(writer.total, 100);
    EXPECT_EQ(occurrences(text, "a title"), 1);
}

/* A refresh that finds the machine as it was changes nothing; one of another machine places anew, and
 * so does the old machine thereafter. */
static void refreshes(void)
{
    static const struct world_machine machine = {2, 1, 1, "node"};
    struct hak_heap *heap = world_start();
    const struct hak_placement *before = world_place(&machine);
    REQUIRE(before != NULL);
    struct hak_topology *topology = world_topology(&machine);
    REQUIRE(topology != NULL);
    EXPECT_EQ(hak_heap_refresh(heap, topology, &before->request), 0);
    EXPECT(heap->placement == before);
    EXPECT_EQ(heap->placement->count, 2);
    struct hak_cpu_set set = {0};
    hak_cpu_set_add(&set, 0);
    hak_allowed_restrict(topology, &set);
    EXPECT_EQ(hak_heap_refresh(heap, topology, &before->request), 0);
    EXPECT_EQ(heap->placement->count, 1);
    hak_topology_unmap(topology);
    EXPECT(world_place(&machine) == heap->placement); /* found again, not built */
    EXPECT_EQ(heap->placement->count, 1);
}

/* ---- CPUs come and go -------------------------------------------------------------------- */

static unsigned placements_of(const struct hak_heap *heap)
{
    unsigned count = 0;
    for (const struct hak_placement *at = heap->placements; at != NULL; at = at->next)
        count++;
    return count;
}

/* Looks at the recorded machine as it is now, and places by the request. */
static const struct hak_placement *look_at(const char *root, const char *wish)
{
    const struct hak_discover_request discover = {.root = root};
    struct hak_domain_request request;
    EXPECT_EQ(hak_domains_parse(wish, &request), 0);
    const struct hak_topology *topology = hak_topology_discover(&discover);
    if (!EXPECT(topology != NULL))
        return NULL;
    EXPECT_EQ(hak_heap_refresh(hak_heap_default(), topology, &request), 0);
    hak_topology_unmap(topology);
    return hak_heap_default()->placement;
}

/* A CPU that was off when the machine was looked at is news, once; then it is known. */
static void strangers_are_met(void)
{
    struct hak_heap *heap = world_start();
    struct hak_cpu_set met;
    char *root = machine_open("2socket-offline");
    REQUIRE(root != NULL);
    const struct hak_placement *before = look_at(root, "cpu:0-4,6-7");
    REQUIRE(before != NULL);
    EXPECT_EQ(before->count, 4);
    for (unsigned cpu = 0; cpu < 8; cpu++)
        if (cpu != 2 && cpu != 3 && cpu != 6)
            hak_heap_meet_cpu(heap, cpu); /* 5 is known, though others serve it */
    hak_heap_meet_cpu(heap, HAK_TOPOLOGY_MAX_CPUS);
    hak_heap_meet_cpu(heap, UINT32_MAX);
    EXPECT_EQ(hak_heap_take_strangers(heap, &met), 0);
    hak_heap_meet_cpu(heap, 6);
    hak_heap_meet_cpu(heap, 4095);
    EXPECT_EQ(hak_heap_take_strangers(heap, &met), 1);
    EXPECT_EQ(hak_cpu_set_count(&met), 5 + 2);
    EXPECT(hak_cpu_set_has(&met, 5) && hak_cpu_set_has(&met, 6) && hak_cpu_set_has(&met, 4095));
    EXPECT_EQ(hak_heap_take_strangers(heap, &met), 0);
    hak_heap_meet_cpu(heap, 6);
    EXPECT_EQ(hak_heap_take_strangers(heap, &met), 0); /* no look has found it: nobody tries again */

    machine_write(root, "cpu/online", "0-1,4-7");
    const struct hak_placement *after = look_at(root, "cpu:0-4,6-7");
    REQUIRE(after != NULL && after != before);
    EXPECT_EQ(after->count, 5);
    hak_heap_meet_cpu(heap, 6);
    EXPECT_EQ(hak_heap_take_strangers(heap, &met), 0);
    hak_heap_meet_cpu(heap, 4095); /* another placement: it may be found now */
    EXPECT_EQ(hak_heap_take_strangers(heap, &met), 1);
    EXPECT_EQ(look_at(root, "cpu:0-4,6-7") == after, 1);
    machine_close(root);
}

/* However often CPUs go and come again, a machine that was there before is not built again. */
static void plugging_piles_up_nothing(void)
{
    struct hak_heap *heap = world_start();
    char *root = machine_open("2socket-offline");
    REQUIRE(root != NULL);
    const struct hak_placement *few = look_at(root, "cpu");
    machine_write(root, "cpu/online", "0-7");
    const struct hak_placement *all = look_at(root, "cpu");
    REQUIRE(few != NULL && all != NULL);
    EXPECT(few->count == 5 && all->count == 8);
    const struct hak_placement *by_package = look_at(root, "package");
    unsigned built = placements_of(heap);
    for (unsigned turn = 0; turn < 20; turn++) {
        machine_write(root, "cpu/online", "0-1,4-5,7");
        EXPECT(look_at(root, "cpu") == few);
        EXPECT(hak_heap_shard_of_cpu(heap, 7)->index == 4);
        machine_write(root, "cpu/online", "0-7");
        EXPECT(look_at(root, "cpu") == all);
        EXPECT(hak_heap_shard_of_cpu(heap, 7)->index == 7);
    }
    EXPECT_EQ(placements_of(heap), built);
    /* What was built for another request may be wrong by now, and is not taken unseen. */
    machine_write(root, "cpu/online", "0-1");
    look_at(root, "cpu");
    const struct hak_placement *one_package = look_at(root, "package");
    EXPECT(one_package != by_package && one_package->count == 1);
    EXPECT_EQ(placements_of(heap), built + 2);
    machine_close(root);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"one shard stands at first", one_shard_at_first},
        {"shards are placed as the domains say", placed_as_the_domains_say},
        {"threads get shards by turns", threads_by_turns},
        {"totals agree with what is taken", totals_agree},
        {"a trim tells what it gave back", trims_tell},
        {"ticks and reaping reach all shards", ticks_reach_all},
        {"the report tells of every shard", report_tells},
        {"a refresh sees what has changed", refreshes},
        {"a CPU that was plugged in is met", strangers_are_met},
        {"CPUs that come and go pile up nothing", plugging_piles_up_nothing},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
