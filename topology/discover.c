/* SPDX-License-Identifier: MIT */
/* The ways to learn a topology, best first; the first that succeeds wins. One thread. To add a way,
 * add a row here and a from_X.c. */
#include "topology/discover.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "os/bits.h"
#include "os/file.h"
#include "os/numa.h"
#include "topology/allowed.h"
#include "topology/from_hwloc.h"
#include "topology/from_sysfs.h"

static int from_sysfs(struct hak_topology *topology, const struct hak_discover_request *request)
{
    int root = hak_os_open_folder(request->root != NULL ? request->root : "/");
    if (root < 0)
        return root;
    int error = hak_topology_from_sysfs(topology, root, request->detail);
    hak_os_close(root);
    return error;
}

/* Without sysfs, as in a sandbox: one node of the allowed CPUs. */
static int from_affinity(struct hak_topology *topology, const struct hak_discover_request *request)
{
    struct hak_cpu_set set;
    if (hak_allowed_read(&set) != 0 || hak_cpu_set_count(&set) == 0)
        hak_cpu_set_add(&set, 0);
    if (request->also != NULL)
        hak_cpu_set_add_all(&set, request->also);
    hak_topology_begin(topology, &set, &set);
    return hak_topology_finish(topology);
}

/* Only on request: what hwloc knows beyond sysfs does not change a shard, and asking it costs
 * milliseconds and some thousand calls of malloc. */
static int from_hwloc(struct hak_topology *topology, const struct hak_discover_request *request)
{
    return hak_topology_from_hwloc(topology, &request->wish);
}

struct way {
    const char *name;
    unsigned only_for; /* the way asked for; 0: any */
    int (*describe)(struct hak_topology *topology, const struct hak_discover_request *request);
};

static const struct way ways[] = {
    {"hwloc", HAK_WAY_HWLOC, from_hwloc}, {"synthetic", HAK_WAY_SYNTHETIC, from_hwloc},
    {"xml", HAK_WAY_XML, from_hwloc},     {"sysfs", 0, from_sysfs},
    {"affinity", 0, from_affinity},
};

/* Affinity describes this machine's CPUs only. */
static void restrict_to_affinity(struct hak_topology *topology,
                                 const struct hak_discover_request *request)
{
    struct hak_cpu_set allowed;
    if (request->root != NULL || topology->imagined || hak_allowed_read(&allowed) != 0)
        return;
    if (request->also != NULL)
        hak_cpu_set_add_all(&allowed, request->also);
    hak_allowed_restrict(topology, &allowed);
}

const struct hak_topology *hak_topology_discover(const struct hak_discover_request *request)
{
    int refused = 0;
    for (size_t i = 0; i < HAK_ARRAY_LENGTH(ways); i++) {
        if (ways[i].only_for != 0 && ways[i].only_for != request->wish.way)
            continue;
        struct hak_topology *topology = hak_topology_map();
        if (topology == NULL)
            return NULL;
        int error = ways[i].describe(topology, request);
        if (error != 0) {
            refused = refused != 0 ? refused : error;
            hak_topology_unmap(topology); /* drop an incomplete description */
            continue;
        }
        topology->source = ways[i].name;
        topology->refused = refused;
        restrict_to_affinity(topology, request);
        return topology;
    }
    return NULL;
}

/* ---- without files -------------------------------------------------------------------------- */

/* -1: several. */
static int only_node_of(const struct hak_os_nodes *nodes)
{
    int only = -1;
    for (unsigned word = 0; word < HAK_OS_NODE_WORDS; word++) {
        uint64_t bits = nodes->word[word];
        if (bits == 0)
            continue;
        if (only >= 0 || (bits & (bits - 1)) != 0)
            return -1;
        only = (int)(word * 64 + hak_lowest_bit(bits));
    }
    return only;
}

static int only_node(void)
{
    struct hak_os_nodes nodes;
    if (hak_os_allowed_nodes(&nodes) == 0)
        return only_node_of(&nodes);
    int root = hak_os_open_folder("/");
    int node = hak_topology_only_node_of_sysfs(root);
    hak_os_close(root);
    return node;
}

int hak_topology_ask(struct hak_discovered *asked)
{
    int error = hak_allowed_read(&asked->cpus);
    if (error == 0 && hak_cpu_set_count(&asked->cpus) == 0)
        error = -ENOENT;
    asked->node = error == 0 ? only_node() : -1;
    return error;
}

const struct hak_topology *hak_topology_of(const struct hak_discovered *asked)
{
    struct hak_topology *topology = hak_topology_map();
    if (topology == NULL)
        return NULL;
    hak_topology_begin(topology, &asked->cpus, &asked->cpus);
    topology->nodes = 1;
    topology->node[0].id = (uint16_t)(asked->node >= 0 ? asked->node : 0);
    topology->source = "affinity";
    if (hak_topology_finish(topology) == 0)
        return topology;
    hak_topology_unmap(topology);
    return NULL;
}
