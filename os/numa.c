/* SPDX-License-Identifier: MIT */
/* mbind, move_pages, get_mempolicy, set_mempolicy (see numa.h). Any thread; no state.
 *
 * <numaif.h> defines the constants. libnuma's functions wrap the same system calls, but linking
 * libnuma makes process start a third slower (docs/decisions/023-who-reads-the-machine.md). */
#define _GNU_SOURCE
#include "os/numa.h"

#include <errno.h>
#include <numaif.h>

#include "os/memory.h"
#include "os/syscall.h"

enum {
    /* The kernel subtracts one from the number of bits. */
    MASK_BITS = HAK_OS_NODES + 1,
    QUERY_NODE_OF_ADDRESS = MPOL_F_NODE | MPOL_F_ADDR,
    QUERY_ALLOWED = MPOL_F_MEMS_ALLOWED,
    ADVICE_POPULATE_WRITE = 23, /* since Linux 5.14 */
};

/* os/numa.h repeats the values for layers that do not include the kernel's headers. */
_Static_assert((int)HAK_OS_POLICY_DEFAULT == MPOL_DEFAULT &&
                   (int)HAK_OS_POLICY_PREFERRED == MPOL_PREFERRED &&
                   (int)HAK_OS_POLICY_BIND == MPOL_BIND &&
                   (int)HAK_OS_POLICY_INTERLEAVE == MPOL_INTERLEAVE,
               "policies are numbered as the kernel numbers them");
_Static_assert((int)HAK_OS_PAGES_MOVE == MPOL_MF_MOVE &&
                   (int)HAK_OS_PAGES_MUST_MOVE == (MPOL_MF_MOVE | MPOL_MF_STRICT),
               "and what becomes of pages that are there");

int hak_os_bind(void *address, size_t size, enum hak_os_policy policy,
                const struct hak_os_nodes *nodes, enum hak_os_pages pages)
{
    return (int)hak_syscall6(SYS_mbind, (uintptr_t)address, size, (uintptr_t)policy,
                             (uintptr_t)nodes, nodes != NULL ? MASK_BITS : 0, (uintptr_t)pages);
}

int hak_os_bind_home(void *address, size_t size, unsigned node)
{
    enum { CALL = 450 }; /* set_mempolicy_home_node has the same number on all CPUs */
    return (int)hak_syscall4(CALL, (uintptr_t)address, size, node, 0);
}

/* Faults the page in if it is absent. */
static int ask_policy(const void *address)
{
    int node = -1;
    long refused = hak_syscall5(SYS_get_mempolicy, (uintptr_t)&node, 0, 0, (uintptr_t)address,
                                QUERY_NODE_OF_ADDRESS);
    return refused ? (int)refused : node;
}

int hak_os_page_node(const void *address)
{
    uintptr_t page = (uintptr_t)address & ~(uintptr_t)(hak_os_page_size() - 1);
    int node = -ENOENT;
    long refused = hak_syscall6(SYS_move_pages, 0, 1, (uintptr_t)&page, 0, (uintptr_t)&node, 0);
    if (refused == 0)
        return node == -EFAULT ? -ENOENT : node; /* EFAULT: the shared zero page */
    return ask_policy(address);
}

int hak_os_move_pages(size_t count, void *const *pages, int node, int *status, int *nodes)
{
    for (size_t index = 0; index < count; index++)
        nodes[index] = node;
    long moved = hak_syscall6(SYS_move_pages, 0, count, (uintptr_t)pages, (uintptr_t)nodes,
                              (uintptr_t)status, HAK_OS_PAGES_MOVE);
    return moved < 0 ? (int)moved : 0; /* above 0: this many pages stayed; `status` tells which */
}

int hak_os_allowed_nodes(struct hak_os_nodes *nodes)
{
    *nodes = (struct hak_os_nodes){{0}};
    return (int)hak_syscall5(SYS_get_mempolicy, 0, (uintptr_t)nodes, MASK_BITS, 0, QUERY_ALLOWED);
}

int hak_os_populate(void *address, size_t size)
{
    int refused = (int)hak_syscall3(SYS_madvise, (uintptr_t)address, size, ADVICE_POPULATE_WRITE);
    if (refused != -EINVAL)
        return refused;
    size_t page = hak_os_page_size();
    for (size_t offset = 0; offset < size; offset += page)
        *((volatile char *)address + offset) = 0; /* the kernel does not know the advice */
    return 0;
}
