/* SPDX-License-Identifier: MIT */
/* Binding memory to nodes, as far as that can be had. A ladder of three steps:
 *
 *     bound         the kernel is told before the first touch (mbind)
 *     first-touch   it will not be told; pages lie where the thread ran that touched them first,
 *                   and a shard's threads run on its node
 *     plain         there is nothing to choose: one node, a made-up machine, nobody asked
 *
 * Which step holds is found out once, at start, by one call on a page of its own, and costs nothing
 * thereafter: on a machine of one node no system call is ever made. Any thread. */
#ifndef HAK_TOPOLOGY_BIND_H
#define HAK_TOPOLOGY_BIND_H

#include <stddef.h>
#include <stdint.h>

#include "os/numa.h"
#include "topology/topology.h"

/* In the order of the list in api/options.def. */
enum hak_bind_policy {
    HAK_BIND_PREFERRED,    /* the shard's node; when it is full, the nearest */
    HAK_BIND_STRICT,       /* the shard's node or none at all: "bind" */
    HAK_BIND_INTERLEAVE,   /* all nodes in turn */
    HAK_BIND_NONE,
};

enum hak_bind_step {
    HAK_BIND_STEP_PLAIN,
    HAK_BIND_STEP_FIRST_TOUCH,
    HAK_BIND_STEP_BOUND,
};

/* What became of memory. */
enum hak_bind_result {
    HAK_BIND_LEFT,       /* nothing was asked of the kernel */
    HAK_BIND_DONE,
    HAK_BIND_SPILLED,    /* the node is full: it lies, or will lie, on the nearest */
    HAK_BIND_REFUSED,    /* it will lie where it is touched */
    HAK_BIND_FULL,       /* STRICT: the node has no room; the memory must not be used */
};

struct hak_bind_state {
    enum hak_bind_policy policy;    /* asked for */
    enum hak_bind_step step;        /* in force */
    const char *why;                /* not the highest step; NULL on it */
};

/* Nodes that stand for none in particular. */
enum {
    HAK_NODE_ANY = -1,
    HAK_NODE_SPREAD = -2,    /* over several, as its owner has told the kernel */
};

/* Learns the machine and tries what the kernel allows. Before that, and without it, nothing is
 * bound. */
void hak_bind_start(const struct hak_topology *topology, enum hak_bind_policy policy);


struct hak_bind_state hak_bind_state(void);

/* The words for them: "preferred", "bind", ...; "bound", "first-touch", "plain". */
const char *hak_bind_policy_name(enum hak_bind_policy policy);
const char *hak_bind_step_name(enum hak_bind_step step);

/* Whether shards' memory is really bound to their nodes. */
int hak_bind_places_shards(void);

/* Whether memory of another node must not stand in for that of the own one. */
int hak_bind_is_strict(void);

/* Nodes of this machine that have memory; 0 while it is not known. */
unsigned hak_bind_memory_nodes(void);
int hak_bind_has_memory(int node);

/* Fresh, untouched memory of a shard on `node`: as the policy says. Both multiples of the kernel's
 * page size. Only its first page is touched (STRICT: all of them). */
enum hak_bind_result hak_bind_fresh(void *memory, size_t size, int node);

/* The same whatever the policy is, because the program asked for this node. What is there already
 * stays or moves. */
enum hak_bind_result hak_bind_to(void *memory, size_t size, int node, enum hak_os_pages pages);

/* Page by page over the nodes; NULL: all that have memory. */
enum hak_bind_result hak_bind_spread(void *memory, size_t size, const struct hak_os_nodes *nodes);

#endif
