/* SPDX-License-Identifier: MIT */
/* topology/discover.c: there is an answer on this machine, on a recorded one, and on none. */
#define _GNU_SOURCE
#include "topology/discover.h"

#include <errno.h>
#include <sched.h>

#include "tests/lib/machine.h"
#include "tests/lib/tap.h"

static void here(void)
{
    cpu_set_t wanted;
    REQUIRE(sched_getaffinity(0, sizeof(wanted), &wanted) == 0);
    struct hak_discover_request request = {.detail = HAK_DETAIL_CORES};
    const struct hak_topology *topology = hak_topology_discover(&request);
    REQUIRE(topology != NULL);
    tap_note("%s: %u CPUs, %u nodes, %u L3s", topology->source, topology->online, topology->nodes,
             topology->l3s);
    EXPECT_EQ(topology->allowed, CPU_COUNT(&wanted));
    EXPECT_GE(topology->cpu_ids, topology->possible);
    EXPECT_GE(topology->possible, topology->online);
    hak_topology_unmap(topology);
}

static void recorded(void)
{
    char *root = machine_open("2node-2socket-interleaved");
    REQUIRE(root != NULL);
    struct hak_discover_request request = {.root = root};
    const struct hak_topology *topology = hak_topology_discover(&request);
    machine_close(root);
    REQUIRE(topology != NULL);
    EXPECT(strcmp(topology->source, "sysfs") == 0);
    EXPECT_EQ(topology->nodes, 2);
    EXPECT_EQ(topology->allowed, 8);
    EXPECT_EQ(topology->cpu[4].core, 4); /* cores were not asked for */
    hak_topology_unmap(topology);
}

static void nowhere(void)
{
    struct hak_discover_request request = {.root = "/nowhere"};
    const struct hak_topology *topology = hak_topology_discover(&request);
    REQUIRE(topology != NULL);
    EXPECT(strcmp(topology->source, "affinity") == 0);
    EXPECT_EQ(topology->nodes, 1);
    EXPECT_GE(topology->allowed, 1);
    hak_topology_unmap(topology);
}

/* A request that cannot be granted is reported, and there is an answer nevertheless. */
static void wishes(void)
{
    struct hak_discover_request request = {.wish = {HAK_WAY_XML, "/nonexistent"}};
    const struct hak_topology *topology = hak_topology_discover(&request);
    REQUIRE(topology != NULL);
    EXPECT(topology->refused != 0);
    EXPECT_EQ(topology->imagined, 0);
    hak_topology_unmap(topology);
    request.wish = (struct hak_wish){HAK_WAY_SYNTHETIC, "numa:3 pu:2"};
    topology = hak_topology_discover(&request);
    REQUIRE(topology != NULL);
    if (topology->refused == 0) {
        EXPECT(strcmp(topology->source, "synthetic") == 0);
        EXPECT_EQ(topology->imagined, 1);
        EXPECT_EQ(topology->nodes, 3);
        EXPECT_EQ(topology->allowed, 6); /* whatever this thread may use */
    }
    hak_topology_unmap(topology);
}

/* The kernel's answers agree with sysfs, as far as they go. */
static void asked_here(void)
{
    struct hak_discovered asked;
    REQUIRE(hak_topology_ask(&asked) == 0);
    struct hak_discover_request request = {.detail = HAK_DETAIL_DOMAINS};
    const struct hak_topology *read = hak_topology_discover(&request);
    REQUIRE(read != NULL);
    EXPECT_EQ(hak_cpu_set_count(&asked.cpus), read->allowed);
    if (read->nodes == 1)
        EXPECT_EQ(asked.node, read->node[0].id);
    hak_topology_unmap(read);
}

static void asked(void)
{
    struct hak_discovered asked = {.node = 3};
    hak_cpu_set_add(&asked.cpus, 2);
    hak_cpu_set_add(&asked.cpus, 70);
    const struct hak_topology *topology = hak_topology_of(&asked);
    REQUIRE(topology != NULL);
    EXPECT_EQ(topology->allowed, 2);
    EXPECT_EQ(topology->cpu_ids, 71);
    EXPECT_EQ(topology->nodes, 1);
    EXPECT_EQ(topology->node[0].id, 3);
    EXPECT_EQ(topology->node[0].has_memory, 1);
    EXPECT_EQ(topology->l3s, 1);
    EXPECT_EQ(topology->packages, 1);
    EXPECT_EQ(topology->imagined, 0);
    hak_topology_unmap(topology);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"this machine is described", here},
        {"a folder is a machine", recorded},
        {"without sysfs there is one node", nowhere},
        {"a request for a way is granted, or its error is reported", wishes},
        {"the kernel tells CPUs and the only node without files", asked_here},
        {"these make one node, one package, one L3", asked},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
