/* SPDX-License-Identifier: MIT */
/* topology/topology.c: gaps are filled, indexes are dense, whatever a builder left. */
#include "topology/topology.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/lib/tap.h"

static struct hak_topology *begin(const char *possible, const char *online)
{
    struct hak_cpu_set sets[2];
    struct hak_topology *topology = hak_topology_map();
    EXPECT_EQ(hak_cpu_set_parse(&sets[0], possible), 0);
    EXPECT_EQ(hak_cpu_set_parse(&sets[1], online), 0);
    if (topology == NULL)
        abort();
    hak_topology_begin(topology, &sets[0], &sets[1]);
    return topology;
}

static void unknown(void)
{
    struct hak_topology *topology = begin("0-9", "2-3,9");
    EXPECT_EQ(hak_topology_finish(topology), 0);
    EXPECT_EQ(topology->cpu_ids, 10);
    EXPECT_EQ(topology->possible, 10);
    EXPECT_EQ(topology->online, 3);
    EXPECT_EQ(topology->allowed, 3);
    EXPECT_EQ(topology->nodes, 1);
    EXPECT_EQ(topology->l3s, 1);
    EXPECT_EQ(topology->packages, 1);
    EXPECT_EQ(topology->node[0].cpus, 3);
    EXPECT_EQ(topology->node[0].has_memory, 1);
    EXPECT_EQ(topology->cpu[9].node, 0);
    EXPECT_EQ(topology->cpu[9].l3, 0);
    EXPECT_EQ(topology->cpu[0].node, HAK_TOPOLOGY_UNKNOWN);
    EXPECT_EQ(topology->cpu[0].state, HAK_CPU_POSSIBLE);
    EXPECT_EQ(topology->cpu[10].state, 0);
    hak_topology_unmap(topology);
}

static void nobody(void)
{
    struct hak_topology *topology = begin("0-3", "");
    EXPECT_EQ(hak_topology_finish(topology), -EINVAL);
    hak_topology_unmap(topology);
}

static void last_id(void)
{
    struct hak_topology *topology = begin("0-4095", "4095");
    EXPECT_EQ(hak_topology_finish(topology), 0);
    EXPECT_EQ(topology->cpu_ids, 4096);
    EXPECT_EQ(topology->online, 1);
    EXPECT_EQ(topology->cpu[4095].package, 0);
    hak_topology_unmap(topology);
}

/* Labels of any value and any contradiction: nodes beyond the count, an L3 in two packages. */
static void contradictions(void)
{
    srand(1);
    for (unsigned round = 0; round < 200; round++) {
        struct hak_topology *topology = begin("0-63", "0-63");
        topology->nodes = 1 + (unsigned)rand() % 4;
        for (unsigned cpu = 0; cpu < 64; cpu++) {
            topology->cpu[cpu].node = (uint16_t)(rand() % 6);
            topology->cpu[cpu].l3 = rand() % 4 ? (uint16_t)(rand() % 8) : HAK_TOPOLOGY_UNKNOWN;
            topology->cpu[cpu].package = rand() % 4 ? (uint16_t)rand() : HAK_TOPOLOGY_UNKNOWN;
        }
        EXPECT_EQ(hak_topology_finish(topology), 0);
        unsigned seen_l3s = 0;
        for (unsigned cpu = 0; cpu < 64; cpu++) {
            const struct hak_topology_cpu *at = &topology->cpu[cpu];
            EXPECT(at->node < topology->nodes && at->l3 < topology->l3s);
            EXPECT(at->package < topology->packages);
            EXPECT_LE(at->l3, seen_l3s); /* by order of appearance */
            seen_l3s += at->l3 == seen_l3s;
            for (unsigned other = 0; other < cpu; other++) {
                const struct hak_topology_cpu *near = &topology->cpu[other];
                if (near->l3 == at->l3)
                    EXPECT(near->node == at->node && near->package == at->package);
            }
        }
        EXPECT_EQ(seen_l3s, topology->l3s);
        hak_topology_unmap(topology);
    }
}

static void distances(void)
{
    struct hak_topology *topology = begin("0", "0");
    topology->nodes = 3;
    topology->node[1].has_memory = 1;
    topology->node[2].has_memory = 1;
    topology->distance[0][1] = 30;
    topology->distance[0][2] = 15;
    EXPECT_EQ(hak_topology_finish(topology), 0);
    EXPECT_EQ(hak_topology_distance(topology, 0, 1), 30);
    EXPECT_EQ(hak_topology_distance(topology, 1, 0), HAK_TOPOLOGY_REMOTE_DISTANCE);
    EXPECT_EQ(hak_topology_distance(topology, 1, 1), HAK_TOPOLOGY_LOCAL_DISTANCE);
    EXPECT_EQ(hak_topology_memory_node(topology, 0), 2);
    EXPECT_EQ(hak_topology_memory_node(topology, 1), 1);
    hak_topology_unmap(topology);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a machine that reports nothing is one node", unknown},
        {"a machine without CPUs is refused", nobody},
        {"the last id is described", last_id},
        {"contradictions leave a consistent description", contradictions},
        {"distances are read or guessed", distances},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
