/* SPDX-License-Identifier: MIT */
/* What the library must know of a CPU, but for sequences (front/front_cpu.h) and vfork
 * (api/vfork.h). os/arch_NAME.h, one for each CPU, defines all of this:
 *
 *   HAK_OS_ADDRESS_BITS              bits of the addresses that the kernel hands out to who asks
 *                                    for no higher ones
 *   hak_syscall3, hak_syscall6       a system call without libc: a value or -errno
 *   hak_os_read_thread_word          the int at an offset from the thread pointer, read afresh
 *                                    each time (the kernel writes it)
 *   hak_os_pause                     tells the core that this is a loop of waiting
 *   hak_os_barrier_after_exchange    makes a seq_cst exchange just before it a full barrier for
 *                                    the loads that follow
 *   hak_os_start_task                clone(2) with CLONE_CHILD_CLEARTID at `cleared`: the child
 *                                    begins in `entry` on its own stack, with no frame to return
 *                                    to; the parent gets its id, or -errno
 *   hak_os_rseq_bad_release          how the release of the kernel begins whose restartable
 *                                    sequences are broken on this CPU, or NULL
 *
 * A new CPU: "A CPU" in CONTRIBUTING.md. */
#ifndef HAK_OS_ARCH_H
#define HAK_OS_ARCH_H

#if !defined(__LP64__)
#error "addresses of 64 bits are packed with counts: 32-bit forms of a CPU are none of ours"
#elif defined(__x86_64__)
#include "os/arch_x86_64.h"
#elif defined(__aarch64__)
#include "os/arch_aarch64.h"
#else
#error "this CPU has no os/arch_NAME.h yet: see A CPU in CONTRIBUTING.md"
#endif

#endif
