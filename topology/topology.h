/* SPDX-License-Identifier: MIT */
/* What the machine is: CPUs, the L3s, packages and NUMA nodes that they belong to, distances.
 * Built once by one thread (topology/discover.h), immutable and read by any thread thereafter.
 *
 * CPUs are named by the kernel's ids, which may be sparse. Nodes, L3s and packages are named by
 * dense indexes 0, 1, 2 ... in the order of their ids or of their lowest CPU; the kernel's id of a
 * node stands in its entry. An L3 never spans nodes or packages: where the hardware's does, its
 * part on each node counts as one.
 *
 * The structure is large but mapped and grown into: a machine of a few CPUs touches one page. */
#ifndef HAK_TOPOLOGY_TOPOLOGY_H
#define HAK_TOPOLOGY_TOPOLOGY_H

#include <stdint.h>

#include "topology/cpu_set.h"

enum {
    HAK_TOPOLOGY_MAX_CPUS = HAK_CPU_SET_MAX, /* ids from here on are served, but not described */
    HAK_TOPOLOGY_MAX_NODES = 256,
    HAK_TOPOLOGY_UNKNOWN = 0xffff, /* an index that nobody could tell */
    HAK_TOPOLOGY_LOCAL_DISTANCE = 10,
    HAK_TOPOLOGY_REMOTE_DISTANCE = 20
};

enum hak_cpu_state {
    HAK_CPU_POSSIBLE = 1, /* may come up one day */
    HAK_CPU_ONLINE = 2,   /* is up: only these have their places told */
    HAK_CPU_ALLOWED = 4,  /* is up, and this process may run there */
};

struct hak_topology_cpu {
    uint16_t node;    /* index; an online CPU has one always */
    uint16_t l3;      /* index; without an L3: that of its package's CPUs on the node */
    uint16_t package; /* index */
    uint16_t core;    /* lowest id of the CPUs that share the core; its own if cores are not read */
    uint16_t state;   /* of enum hak_cpu_state, or-ed; 0: no such CPU */
};

struct hak_topology_node {
    uint16_t id;         /* the kernel's */
    uint16_t has_memory; /* 0: its CPUs must allocate elsewhere */
    uint16_t cpus;       /* online ones; 0: memory alone */
};

struct hak_topology {
    const char *source; /* "sysfs", "affinity", ... */
    unsigned imagined;  /* 1: not the machine that we run on, so its node ids mean nothing to the
                           kernel and memory is never bound by them; whoever discovers sets it */
    int refused;        /* 0, or -errno: why the way that was asked first could not tell */
    unsigned cpu_ids;   /* one above the highest possible id, at least 1 */
    unsigned possible;  /* CPUs */
    unsigned online;
    unsigned allowed;  /* at least 1 */
    unsigned nodes;    /* at least 1 */
    unsigned l3s;      /* at least 1 */
    unsigned packages; /* at least 1 */
    struct hak_topology_node node[HAK_TOPOLOGY_MAX_NODES];
    struct hak_topology_cpu cpu[HAK_TOPOLOGY_MAX_CPUS];
    uint8_t distance[HAK_TOPOLOGY_MAX_NODES][HAK_TOPOLOGY_MAX_NODES]; /* 0: not told */
};

/* How much must be known; more costs more files. */
enum hak_topology_detail {
    HAK_DETAIL_DOMAINS, /* nodes, L3s, packages */
    HAK_DETAIL_CORES,   /* also which CPUs share a core */
};

/* Mapped memory of zeroes to build one in, or NULL. */
struct hak_topology *hak_topology_map(void);
void hak_topology_unmap(const struct hak_topology *topology);

/* For builders, first: enters the CPUs into a fresh description, their places UNKNOWN. An online
 * CPU counts as possible, and as allowed. */
void hak_topology_begin(struct hak_topology *topology, const struct hak_cpu_set *possible,
                        const struct hak_cpu_set *online);

/* For builders, last. Before: each online CPU has for node an index below `nodes`; for L3 and
 * package a label, the lowest CPU id of those that share it; or UNKNOWN. After: gaps filled,
 * indexes dense, everything counted. 0, -EINVAL when no CPU is online, -ENOMEM. */
int hak_topology_finish(struct hak_topology *topology);

/* Distance as the firmware tells it (10 is local), else a guess. Indexes of nodes. */
unsigned hak_topology_distance(const struct hak_topology *topology, unsigned from, unsigned to);

/* The nearest node with memory: itself, if it has any. Indexes of nodes. */
unsigned hak_topology_memory_node(const struct hak_topology *topology, unsigned node);

#endif
