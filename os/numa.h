/* SPDX-License-Identifier: MIT */
/* Where memory lies among the NUMA nodes: the kernel's calls, with masks of a fixed size. Raw
 * system calls: no library, no errno, nothing printed, so they may be made from inside malloc. All
 * return 0 (or what is said) or a negative errno value: EPERM where a sandbox forbids the call,
 * ENOSYS where the kernel lacks it, EINVAL for a node without memory or out of bounds. Any
 * thread. */
#ifndef HAK_OS_NUMA_H
#define HAK_OS_NUMA_H

#include <stddef.h>
#include <stdint.h>

enum {
    HAK_OS_NODES = 1024,    /* ids that a mask holds; the kernel has no more */
    HAK_OS_NODE_WORDS = HAK_OS_NODES / 64,
};

/* By the kernel's ids. */
struct hak_os_nodes {
    uint64_t word[HAK_OS_NODE_WORDS];
};

static inline void hak_os_nodes_add(struct hak_os_nodes *nodes, unsigned node)
{
    if (node < HAK_OS_NODES)
        nodes->word[node / 64] |= (uint64_t)1 << node % 64;
}

/* Values of the kernel's interface. */
enum hak_os_policy {
    HAK_OS_POLICY_DEFAULT = 0,       /* the node of the CPU that touches first */
    HAK_OS_POLICY_PREFERRED = 1,     /* one node; when it is full, the nearest that is not */
    HAK_OS_POLICY_BIND = 2,          /* these nodes, or the kernel ends somebody */
    HAK_OS_POLICY_INTERLEAVE = 3,    /* these nodes in turn, page by page */
};

enum hak_os_pages {
    HAK_OS_PAGES_LEAVE = 0,          /* what is there already stays where it is */
    HAK_OS_PAGES_MOVE = 1 << 1,      /* and what can be moved is */
    HAK_OS_PAGES_MUST_MOVE = 1 << 1 | 1,    /* -EIO when not all of it could be */
};

/* Says where the pages of [address, address + size) are to come from; both multiples of the page
 * size. Before they are touched it costs nothing. */
int hak_os_bind(void *address, size_t size, enum hak_os_policy policy,
                const struct hak_os_nodes *nodes, enum hak_os_pages pages);

/* The node of the page at the address; -ENOENT when no page is there yet. Touches nothing, unless
 * only get_mempolicy is allowed here. */
int hak_os_page_node(const void *address);

/* Moves `count` pages to a node; each one's node, or -errno, goes to `status`. `nodes` is room for
 * `count` numbers. */
int hak_os_move_pages(size_t count, void *const *pages, int node, int *status, int *nodes);

/* The nodes that the calling thread's memory may come from: its cpuset's. A kernel without nodes
 * says -ENOSYS, and so may a filter. */
int hak_os_allowed_nodes(struct hak_os_nodes *nodes);

/* Makes all pages of a mapping present. -ENOMEM where the kernel has none. */
int hak_os_populate(void *address, size_t size);

#endif
