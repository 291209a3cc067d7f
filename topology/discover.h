/* SPDX-License-Identifier: MIT */
/* Finds out what the machine is, by the best way that works here. One thread. Opens files: hold no
 * lock. */
#ifndef HAK_TOPOLOGY_DISCOVER_H
#define HAK_TOPOLOGY_DISCOVER_H

#include "topology/topology.h"

enum hak_topology_way {
    HAK_WAY_AUTO,      /* sysfs, and without it the CPUs that we may use */
    HAK_WAY_SYSFS,     /* the same, by name */
    HAK_WAY_HWLOC,     /* this machine, as hwloc sees it */
    HAK_WAY_SYNTHETIC, /* a machine made up from hwloc's notation: "pack:2 numa:2 core:8 pu:2" */
    HAK_WAY_XML,       /* a machine that hwloc recorded in a file */
};

/* Which machine, and who is to tell. */
struct hak_discover_wish {
    enum hak_topology_way way;
    const char *text; /* the notation or the file's name, else NULL; the caller's */
};

/* Reads "auto", "sysfs", "hwloc", "synthetic:SPEC" or "xml:FILE"; the wish points into `text`. 0 or
 * -EINVAL (the wish is then untouched). */
int hak_discover_parse(const char *text, struct hak_discover_wish *wish);

struct hak_discover_request {
    const char *root; /* NULL: this machine; else a folder that holds the "sys" of another one, all
                         of whose online CPUs count as allowed */
    enum hak_topology_detail detail;
    const struct hak_cpu_set *also; /* CPUs that the process may use although the affinity of the
                                       calling thread leaves them out; NULL: none */
    struct hak_discover_wish wish; /* all but AUTO and SYSFS go through hwloc: see from_hwloc.h for
                                      what that demands of the caller */
};

/* A finished description in mapped memory (hak_topology_unmap), immutable from here on; NULL only
 * without memory. There is always an answer: at worst one node of the CPUs that are allowed. Its
 * `refused` tells why the way that was wished for did not give it. */
const struct hak_topology *hak_topology_discover(const struct hak_discover_request *request);

/* CPUs that the process may use, and the one node that its memory comes from: all that is needed
 * where they are few, and told without a file (but for one where a filter refuses get_mempolicy).
 * node -1: there are several, or that is not to be known. */
struct hak_discovered {
    struct hak_cpu_set cpus;
    int node;
};

/* 0, or -errno where not even the CPUs are told. */
int hak_topology_ask(struct hak_discovered *asked);

/* The description of such a machine: one node, one package, one L3. NULL without memory. */
const struct hak_topology *hak_topology_of(const struct hak_discovered *asked);

#endif
