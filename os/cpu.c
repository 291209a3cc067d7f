/* SPDX-License-Identifier: MIT */
/* The kernel's answers: current CPU, thread id, allowed CPUs. Any thread, also before libc's
 * constructors have run. */
#define _GNU_SOURCE
#include "os/cpu.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "os/syscall.h"

/* glibc registers rseq since 2.35 and tells where; other libcs do not. */
#if __has_include(<sys/rseq.h>) && !defined(HAK_WITHOUT_RSEQ)
#include <sys/rseq.h>

static ptrdiff_t find_rseq_cpu_id(void)
{
    enum { OFFSET_OF_CPU_ID = 4 }; /* struct rseq: cpu_id_start, cpu_id, rseq_cs, ... */
    if (__rseq_size == 0)
        return 0; /* not registered: the area may hold anything */
    return __rseq_offset + OFFSET_OF_CPU_ID;
}
#else
static ptrdiff_t find_rseq_cpu_id(void)
{
    return 0;
}
#endif

HAK_EARLY ptrdiff_t hak_os_rseq_cpu_id;

HAK_COLD unsigned hak_os_cpu_slow(void)
{
    /* relaxed, both: all writers write the same value, and it publishes nothing. Where libc
     * registers nothing, the word stays unwritten: every slow call comes here and reads this
     * line. */
    ptrdiff_t found = find_rseq_cpu_id();
    if (found != 0 && __atomic_load_n(&hak_os_rseq_cpu_id, __ATOMIC_RELAXED) == 0)
        __atomic_store_n(&hak_os_rseq_cpu_id, found, __ATOMIC_RELAXED);
    if (found != 0 && hak_os_read_thread_word(found) >= 0)
        return (unsigned)hak_os_read_thread_word(found);
    int saved = errno; /* sched_getcpu() sets it where getcpu(2) is forbidden or missing */
    int cpu = sched_getcpu();
    errno = saved;
    return cpu < 0 ? 0 : (unsigned)cpu;
}

unsigned hak_os_thread_id(void)
{
    return (unsigned)hak_syscall0(SYS_gettid);
}

static int affinity_of(uintptr_t thread, uint64_t *mask, size_t size)
{
    long written = hak_syscall3(SYS_sched_getaffinity, thread, size, (uintptr_t)mask);
    if (written < 0)
        return (int)written;
    memset((char *)mask + written, 0, size - (size_t)written);
    return 0;
}

int hak_os_affinity(uint64_t *mask, size_t size)
{
    return affinity_of(0, mask, size);
}

int hak_os_first_affinity(uint64_t *mask, size_t size)
{
    return affinity_of((uintptr_t)hak_syscall1(SYS_getpid, 0), mask, size);
}
