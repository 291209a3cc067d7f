/* SPDX-License-Identifier: MIT */
/* A barrier that one thread pays for: between two plain accesses of any other thread of the process
 * it stands as a full barrier would, and costs that thread nothing when no one calls it. Any
 * thread. */
#ifndef HAK_OS_FENCE_H
#define HAK_OS_FENCE_H

#include <stdbool.h>

/* When it returns 0, each other thread has passed a full barrier since the call began: by
 * membarrier(2). -errno: none (Linux before 4.14, or a filter forbids it). */
int hak_os_fence_all(void);

/* Whether it will: asks without interrupting other CPUs. */
bool hak_os_fence_is_possible(void);

#endif
