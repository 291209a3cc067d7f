/* SPDX-License-Identifier: MIT */
/* The barrier of all threads: see the header. The process registers once with the kernel. */
#include "os/fence.h"

#include <errno.h>
#include <linux/membarrier.h>

#include "os/syscall.h"

static long membarrier(int command)
{
    return hak_syscall3(SYS_membarrier, (unsigned long)command, 0, 0);
}

int hak_os_fence_all(void)
{
    long done = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
    if (done == -EPERM && membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0)
        done = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
    return (int)done;
}

bool hak_os_fence_is_possible(void)
{
    return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
}
