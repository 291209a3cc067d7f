/* SPDX-License-Identifier: MIT */
/* NUMA policy calls, with masks of a fixed size. Raw system calls that use no library, set no errno
 * and print nothing, so malloc may make them. All return 0 (or what is documented) or a negative
 * errno value: EPERM where a sandbox forbids the call, ENOSYS where the kernel lacks it, EINVAL for
 * a node without memory or out of bounds. Any thread. */
#ifndef HAK_OS_NUMA_H
#define HAK_OS_NUMA_H

#include <stddef.h>
#include <stdint.h>

enum {
    HAK_OS_NODES = 1024, /* ids that a mask holds; the kernel has no more */
    HAK_OS_NODE_WORDS = HAK_OS_NODES / 64,
};

/* A set of nodes, by the kernel's ids. */
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
    HAK_OS_POLICY_DEFAULT = 0,        /* the node of the CPU that touches first */
    HAK_OS_POLICY_PREFERRED = 1,      /* one node; when it is full, the nearest that is not */
    HAK_OS_POLICY_BIND = 2,           /* these nodes only; the OOM killer may act */
    HAK_OS_POLICY_INTERLEAVE = 3,     /* page by page over these nodes */
    HAK_OS_POLICY_PREFERRED_MANY = 5, /* these nodes; when they are full, others; Linux 5.15 */
    HAK_OS_POLICY_WEIGHTED = 6,       /* page by page, by the weights of sysfs; Linux 6.9 */
};

enum hak_os_pages {
    HAK_OS_PAGES_LEAVE = 0,              /* present pages stay where they are */
    HAK_OS_PAGES_MOVE = 1 << 1,          /* present pages move if they can */
    HAK_OS_PAGES_MUST_MOVE = 1 << 1 | 1, /* -EIO unless all pages moved */
};

/* Sets the policy of the pages in [address, address + size); both multiples of the page size. It
 * costs nothing before they are touched. */
int hak_os_bind(void *address, size_t size, enum hak_os_policy policy,
                const struct hak_os_nodes *nodes, enum hak_os_pages pages);

/* Chooses, of several nodes in the range's policy, the one that comes first; the others follow by
 * their distance from it. Linux 5.17. */
int hak_os_bind_home(void *address, size_t size, unsigned node);

/* The node of the page at the address; -ENOENT if no page is present. Touches nothing, unless only
 * get_mempolicy is allowed here. */
int hak_os_page_node(const void *address);

/* Moves `count` pages to a node; `status` receives each page's node or -errno. `nodes` is scratch
 * room for `count` numbers. */
int hak_os_move_pages(size_t count, void *const *pages, int node, int *status, int *nodes);

/* The nodes that the calling thread may allocate from: its cpuset's. -ENOSYS from a kernel without
 * NUMA or from a filter. */
int hak_os_allowed_nodes(struct hak_os_nodes *nodes);

/* Makes all pages of a mapping present. -ENOMEM if the kernel has none. */
int hak_os_populate(void *address, size_t size);

#endif
