/* SPDX-License-Identifier: MIT */
/* topology/from_sysfs.c: each recorded machine (tests/topologies/NAME.sysfs) is understood as its
 * NAME.expect says. */
#define _GNU_SOURCE
#include "topology/from_sysfs.h"

#include <errno.h>

#include "os/file.h"
#include "tests/lib/described.h"
#include "tests/lib/machine.h"
#include "tests/lib/tap.h"

static void compare(const char *name)
{
    char *root = machine_open(name);
    struct hak_topology *topology = hak_topology_map();
    REQUIRE(root != NULL && topology != NULL);
    int folder = hak_os_open_folder(root);
    EXPECT_EQ(hak_topology_from_sysfs(topology, folder, HAK_DETAIL_CORES), 0);
    hak_os_close(folder);
    machine_close(root);
    described_compare(name, topology);
    hak_topology_unmap(topology);
}

static void recorded(void)
{
    EXPECT_GE(described_for_each(".sysfs", compare), 9);
}

static void absent(void)
{
    struct hak_topology *topology = hak_topology_map();
    REQUIRE(topology != NULL);
    int folder = hak_os_open_folder("/proc/self");
    EXPECT_EQ(hak_topology_from_sysfs(topology, folder, HAK_DETAIL_DOMAINS), -ENOENT);
    hak_os_close(folder);
    hak_topology_unmap(topology);
}

static int only_node_of(const char *name)
{
    char *root = machine_open(name);
    if (!EXPECT(root != NULL))
        return -2;
    int folder = hak_os_open_folder(root);
    int node = hak_topology_only_node_of_sysfs(folder);
    hak_os_close(folder);
    machine_close(root);
    return node;
}

static void only_node(void)
{
    EXPECT_EQ(only_node_of("1node-4l3"), 0);
    EXPECT_EQ(only_node_of("2node-1l3"), -1);
    EXPECT_EQ(only_node_of("2node-sparse-ids"), -1);
    int folder = hak_os_open_folder("/proc/self");
    EXPECT_EQ(hak_topology_only_node_of_sysfs(folder), 0); /* a kernel that knows of no nodes */
    hak_os_close(folder);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"recorded machines are understood", recorded},
        {"a folder without sysfs is refused", absent},
        {"one file tells whether there is one node", only_node},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
