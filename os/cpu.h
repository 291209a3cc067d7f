/* SPDX-License-Identifier: MIT */
/* The CPU that the calling thread runs on. It is a hint that may be stale at once: use it to choose
 * where to look, never to decide who owns. Any thread. */
#ifndef HAK_OS_CPU_H
#define HAK_OS_CPU_H

#include <stddef.h>
#include <stdint.h>

#include "os/arch.h"
#include "os/compiler.h"

/* Offset of rseq.cpu_id from the thread pointer, as libc registered it; 0 until it is known, and
 * always 0 where libc registers nothing. Only hak_os_cpu_slow writes it, always the same value. */
extern ptrdiff_t hak_os_rseq_cpu_id;

/* Asks the kernel, and sets hak_os_rseq_cpu_id. */
unsigned hak_os_cpu_slow(void);

/* The kernel's number of the CPU (ids may be sparse): from glibc's rseq area where that is
 * registered (two loads), else by getcpu(2) (libc uses the vDSO). 0 if both fail. */
static inline unsigned hak_os_cpu(void)
{
    /* relaxed: constant once it is set, and it publishes no other memory */
    ptrdiff_t offset = __atomic_load_n(&hak_os_rseq_cpu_id, __ATOMIC_RELAXED);
    if (hak_likely(offset != 0)) {
        /* negative: this thread is not registered: not yet, no longer, or refused */
        int cpu = hak_os_read_thread_word(offset);
        if (hak_likely(cpu >= 0))
            return (unsigned)cpu;
    }
    return hak_os_cpu_slow();
}

/* The kernel's id of the calling thread. */
unsigned hak_os_thread_id(void);

/* The CPUs that the calling thread may run on (its affinity within its cpuset), bit n of the mask
 * for CPU n, low word first; the whole mask is written. `size` is bytes, a multiple of 8.
 * 0, or -EINVAL when the kernel knows more CPUs than the mask has bits. */
int hak_os_affinity(uint64_t *mask, size_t size);

/* The same for the process's first thread, while that lives. */
int hak_os_first_affinity(uint64_t *mask, size_t size);

#endif
