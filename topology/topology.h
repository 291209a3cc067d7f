/* SPDX-License-Identifier: MIT */
/* The machine: CPUs, their L3s, packages and NUMA nodes, and distances. One thread builds it
 * (topology/discover.h); then it is immutable and any thread reads it.
 *
 * CPUs are named by the kernel's ids, which may be sparse. Nodes, L3s and packages have dense
 * indexes 0, 1, 2 ... in the order of their ids or of their lowest CPU; a node's entry holds the
 * kernel's id. An L3 never spans nodes or packages: if the hardware's does, its part on each node
 * counts as one.
 *
 * The structure is large but sparse: a machine of a few CPUs touches one page. */
#ifndef HAK_TOPOLOGY_TOPOLOGY_H
#define HAK_TOPOLOGY_TOPOLOGY_H

#include <stdint.h>

#include "topology/cpu_set.h"

enum {
    HAK_TOPOLOGY_MAX_CPUS = HAK_CPU_SET_MAX, /* higher ids are served, but not described */
    HAK_TOPOLOGY_MAX_NODES = 256,
    HAK_TOPOLOGY_UNKNOWN = 0xffff, /* an unknown index */
    HAK_TOPOLOGY_LOCAL_DISTANCE = 10,
    HAK_TOPOLOGY_REMOTE_DISTANCE = 20
};

enum hak_cpu_state {
    HAK_CPU_POSSIBLE = 1, /* may come online */
    HAK_CPU_ONLINE = 2,   /* is online: only these have known places */
    HAK_CPU_ALLOWED = 4,  /* is online, and the process may run there */
};

struct hak_topology_cpu {
    uint16_t node;    /* index; an online CPU always has one */
    uint16_t l3;      /* index; without an L3: that of its package on the node */
    uint16_t package; /* index */
    uint16_t core;    /* lowest id of the core's CPUs; its own if cores are not read */
    uint16_t state;   /* flags of enum hak_cpu_state; 0: no such CPU */
};

struct hak_topology_node {
    uint16_t id;         /* the kernel's */
    uint16_t has_memory; /* 0: its CPUs allocate elsewhere */
    uint16_t cpus;       /* online CPUs; 0: memory only */
};

struct hak_topology {
    const char *source; /* "sysfs", "affinity", ... */
    unsigned imagined;  /* 1: not this machine, so its node ids mean nothing to the kernel and
                           memory is never bound by them; the way of discovery sets it */
    int refused;        /* 0, or -errno: why the first way failed */
    unsigned cpu_ids;   /* one above the highest possible id, at least 1 */
    unsigned possible;  /* CPUs */
    unsigned online;
    unsigned allowed;  /* at least 1 */
    unsigned nodes;    /* at least 1 */
    unsigned l3s;      /* at least 1 */
    unsigned packages; /* at least 1 */
    struct hak_topology_node node[HAK_TOPOLOGY_MAX_NODES];
    struct hak_topology_cpu cpu[HAK_TOPOLOGY_MAX_CPUS];
    uint8_t distance[HAK_TOPOLOGY_MAX_NODES][HAK_TOPOLOGY_MAX_NODES]; /* 0: unknown */
};

/* How much to read; more detail costs more files. */
enum hak_topology_detail {
    HAK_DETAIL_DOMAINS, /* nodes, L3s, packages */
    HAK_DETAIL_CORES,   /* also which CPUs share a core */
};

/* Zeroed memory to build a topology in, or NULL. */
struct hak_topology *hak_topology_map(void);
void hak_topology_unmap(const struct hak_topology *topology);

/* For builders, first: adds the CPUs to a fresh description, with places UNKNOWN. An online CPU
 * counts as possible and as allowed. */
void hak_topology_begin(struct hak_topology *topology, const struct hak_cpu_set *possible,
                        const struct hak_cpu_set *online);

/* For builders, last. Before: each online CPU has as node an index below `nodes`, and as L3 and
 * package a label: the lowest id of the CPUs that share it; or UNKNOWN. After: gaps filled, indexes
 * dense, all counted. 0, -EINVAL when no CPU is online, or -ENOMEM. */
int hak_topology_finish(struct hak_topology *topology);

/* The firmware's distance (10 is local), else a default. Indexes of nodes. */
unsigned hak_topology_distance(const struct hak_topology *topology, unsigned from, unsigned to);

/* The nearest node with memory: the node itself if it has any. Indexes of nodes. */
unsigned hak_topology_memory_node(const struct hak_topology *topology, unsigned node);

#endif
