/* SPDX-License-Identifier: MIT */
/* What the library needs to know about a CPU, apart from sequences (front/front_cpu.h) and vfork
 * (api/vfork.h). Each os/arch_NAME.h defines all of this for one CPU:
 *
 *   HAK_OS_ADDRESS_BITS              bits of the addresses that the kernel hands out unless the
 *                                    caller asks for higher ones
 *   HAK_OS_CALL_PUSHES               1 if a call writes the return address just below the caller's
 *                                    frame, so that a walk tells where it lies; else 0
 *   hak_syscall3, hak_syscall6       a system call without libc: a value or -errno
 *   hak_os_read_thread_word          the int at an offset from the thread pointer, loaded again
 *                                    each time (the kernel writes it)
 *   hak_os_pause                     tells the core that this is a spin loop
 *   hak_os_barrier_after_exchange    makes a seq_cst exchange just before it a full barrier for
 *                                    the loads that follow
 *   hak_os_start_task                clone(2) with CLONE_CHILD_CLEARTID at `cleared`: the child
 *                                    starts in `entry` on its own stack, with no frame to return
 *                                    to; the parent gets the child's id, or -errno
 *   hak_os_rseq_bad_release          prefix of the kernel release whose restartable sequences are
 *                                    broken on this CPU, or NULL
 *
 * CONTRIBUTING.md, "A CPU", tells how to add one. */
#ifndef HAK_OS_ARCH_H
#define HAK_OS_ARCH_H

#if !defined(__LP64__)
#error "the library packs 64-bit addresses with counts: 32-bit ABIs are not supported"
#elif defined(__x86_64__)
#include "os/arch_x86_64.h"
#elif defined(__aarch64__)
#include "os/arch_aarch64.h"
#else
#error "this CPU has no os/arch_NAME.h yet: see A CPU in CONTRIBUTING.md"
#endif

#endif
