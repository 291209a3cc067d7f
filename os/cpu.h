/* SPDX-License-Identifier: MIT */
/* The CPU that the calling thread runs on. A hint: it may be stale before it is returned, so it
 * decides where to look, never who owns. Any thread. */
#ifndef HAK_OS_CPU_H
#define HAK_OS_CPU_H

#include <stddef.h>
#include <stdint.h>

#include "os/arch.h"
#include "os/compiler.h"

/* Distance from the thread pointer to rseq.cpu_id as libc registered it; 0 until it is known, for
 * good where libc registers nothing. Written by hak_os_cpu_slow alone, always the same value. */
extern ptrdiff_t hak_os_rseq_cpu_id;

/* Asks the kernel, and learns hak_os_rseq_cpu_id on the way. */
unsigned hak_os_cpu_slow(void);

/* Number of the CPU as the kernel counts (ids may be sparse); from glibc's rseq area where that
 * is registered (two loads), else getcpu(2) (through the vDSO via libc). 0 if all that fails. */
static inline unsigned hak_os_cpu(void)
{
    /* relaxed: a constant once it is set, and no other memory hangs on it */
    ptrdiff_t offset = __atomic_load_n(&hak_os_rseq_cpu_id, __ATOMIC_RELAXED);
    if (hak_likely(offset != 0)) {
        /* negative: this thread is not registered (yet, any more, or was refused) */
        int cpu = hak_os_read_thread_word(offset);
        if (hak_likely(cpu >= 0))
            return (unsigned)cpu;
    }
    return hak_os_cpu_slow();
}

/* Kernel's id of the calling thread. */
unsigned hak_os_thread_id(void);

/* The CPUs that the calling thread may run on (its affinity within its cpuset), bit n of the mask
 * for CPU n, low word first; the whole mask is written. `size` is bytes, a multiple of 8.
 * 0, or -EINVAL when the kernel knows more CPUs than the mask has bits. */
int hak_os_affinity(uint64_t *mask, size_t size);

/* The same of the process's first thread, as long as that lives. */
int hak_os_first_affinity(uint64_t *mask, size_t size);

#endif
