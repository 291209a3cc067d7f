/* SPDX-License-Identifier: MIT */
/* Discovers the machine, by the best way that works here. One thread. Opens files: hold no lock. */
#ifndef HAK_TOPOLOGY_DISCOVER_H
#define HAK_TOPOLOGY_DISCOVER_H

#include "topology/topology.h"
#include "topology/wish.h"

struct hak_discover_request {
    const char *root; /* NULL: this machine; else a folder with the "sys" of another machine, where
                         all online CPUs count as allowed */
    enum hak_topology_detail detail;
    const struct hak_cpu_set *also; /* CPUs that the process may use but the calling thread's
                                       affinity excludes; NULL: none */
    struct hak_wish wish;           /* all but AUTO and SYSFS use hwloc: from_hwloc.h says what the
                                       caller must ensure */
};

/* Returns a finished, immutable description in mapped memory (hak_topology_unmap); NULL only
 * without memory. At worst it is one node of the allowed CPUs. Its `refused` tells why the way
 * asked for failed. */
const struct hak_topology *hak_topology_discover(const struct hak_discover_request *request);

/* The CPUs that the process may use, and the one node that its memory comes from: all that is
 * needed where they are few. It opens no file (one where a filter refuses get_mempolicy). node -1:
 * several, or unknown. */
struct hak_discovered {
    struct hak_cpu_set cpus;
    int node;
};

/* 0, or -errno if even the CPUs are unknown. */
int hak_topology_ask(struct hak_discovered *asked);

/* The description of such a machine: one node, one package, one L3. NULL without memory. */
const struct hak_topology *hak_topology_of(const struct hak_discovered *asked);

#endif
