/* SPDX-License-Identifier: MIT */
/* Binding memory to nodes, as far as the kernel allows. A ladder of three steps:
 *
 *     bound         mbind before the first touch
 *     first-touch   mbind is refused; a page lies on the node of the thread that touches it first,
 *                   and a shard's threads run on its node
 *     plain         nothing to choose: one node, an imagined machine, or not started
 *
 * One call at start, on a page of its own, finds the step. Afterwards a machine of one node pays
 * nothing: no system call is made. Any thread. */
#ifndef HAK_TOPOLOGY_BIND_H
#define HAK_TOPOLOGY_BIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/numa.h"
#include "topology/topology.h"

/* In the order of the list in api/options.def. */
enum hak_bind_policy {
    HAK_BIND_PREFERRED,  /* the shard's node; when it is full, the nearest */
    HAK_BIND_STRICT,     /* the shard's node only: "bind" */
    HAK_BIND_INTERLEAVE, /* page by page from all nodes */
    HAK_BIND_NONE,
};

enum hak_bind_step {
    HAK_BIND_STEP_PLAIN,
    HAK_BIND_STEP_FIRST_TOUCH,
    HAK_BIND_STEP_BOUND,
};

/* The outcome for memory. */
enum hak_bind_result {
    HAK_BIND_LEFT, /* the kernel was not asked */
    HAK_BIND_DONE,
    HAK_BIND_SPILLED, /* the node is full: the memory lies on the nearest */
    HAK_BIND_REFUSED, /* it will lie where it is touched first */
    HAK_BIND_FULL,    /* STRICT: the node has no room; the memory must not be used */
};

struct hak_bind_state {
    enum hak_bind_policy policy; /* asked for */
    enum hak_bind_step step;     /* in force */
    const char *why;             /* reason for a lower step; NULL on the highest */
};

/* Values that name no single node. */
enum {
    HAK_NODE_ANY = -1,
    HAK_NODE_SPREAD = -2, /* over several nodes, as the memory's owner told the kernel */
};

/* Learns the machine and tests what the kernel allows. Before it runs, nothing is bound. Nodes that
 * have memory and no CPUs are slower or scarcer (CXL, HBM): memory does not spill there before all
 * others are full, nor is it interleaved over them, unless they are in `asked`, or the program
 * names them. The others are near. */
void hak_bind_start(const struct hak_topology *topology, enum hak_bind_policy policy,
                    const struct hak_cpu_set *asked);

struct hak_bind_state hak_bind_state(void);

/* Their names: "preferred", "bind", ...; "bound", "first-touch", "plain". */
const char *hak_bind_policy_name(enum hak_bind_policy policy);
const char *hak_bind_step_name(enum hak_bind_step step);

/* Whether shards' memory is bound to their nodes. */
int hak_bind_places_shards(void);

/* Whether a shard may not use memory of another node. */
int hak_bind_is_strict(void);

/* Nodes of this machine that have memory; 0 while unknown. */
unsigned hak_bind_memory_nodes(void);
int hak_bind_has_memory(int node);

/* Whether a node is near. */
bool hak_bind_is_near(int node);

/* Binds untouched memory of a shard on `node` by the policy. Address and size are multiples of the
 * kernel's page size. Touches only the first page (STRICT: all). */
enum hak_bind_result hak_bind_fresh(void *memory, size_t size, int node);

/* Binds to `node` whatever the policy, because the program asked for it. `pages` says whether
 * present pages stay or move. */
enum hak_bind_result hak_bind_to(void *memory, size_t size, int node, enum hak_os_pages pages);

/* How memory lies among several nodes. */
enum hak_bind_manner {
    HAK_BIND_MANNER_PREFER,     /* there, the own node first; when they are full, others */
    HAK_BIND_MANNER_ONLY,       /* there, or nowhere */
    HAK_BIND_MANNER_INTERLEAVE, /* page by page over all of them */
    HAK_BIND_MANNER_WEIGHTED,   /* by the weights that the administrator set; equal ones before
                                   Linux 6.9 */
};

/* Binds untouched memory to these nodes whatever the policy, because the program asked for it.
 * `node`: the one to begin with, if it is one of them. FULL: of ONLY alone. An older kernel prefers
 * one node instead of several. */
enum hak_bind_result hak_bind_among(void *memory, size_t size, const struct hak_os_nodes *nodes,
                                    enum hak_bind_manner manner, int node);

/* Interleaves page by page over the nodes; NULL: all near ones. */
enum hak_bind_result hak_bind_spread(void *memory, size_t size, const struct hak_os_nodes *nodes);

#endif
