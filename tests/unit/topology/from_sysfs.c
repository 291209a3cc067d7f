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

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"recorded machines are understood", recorded},
        {"a folder without sysfs is refused", absent},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
