/* SPDX-License-Identifier: MIT */
/* System calls without libc: the result is a value or -errno; they never touch errno and are no
 * cancellation points. Any thread, also before libc is ready. Only os/ includes this. The CPU's
 * file has the instruction itself (os/arch.h). */
#ifndef HAK_OS_SYSCALL_H
#define HAK_OS_SYSCALL_H

#include <stdint.h>
#include <sys/syscall.h>

#include "os/arch.h"

static inline long hak_syscall0(long number)
{
    return hak_syscall3(number, 0, 0, 0);
}

static inline long hak_syscall1(long number, uintptr_t a)
{
    return hak_syscall3(number, a, 0, 0);
}

static inline long hak_syscall2(long number, uintptr_t a, uintptr_t b)
{
    return hak_syscall3(number, a, b, 0);
}

static inline long hak_syscall4(long number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d)
{
    return hak_syscall6(number, a, b, c, d, 0, 0);
}

static inline long hak_syscall5(long number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d,
                                uintptr_t e)
{
    return hak_syscall6(number, a, b, c, d, e, 0);
}

/* Whether a result is -errno: the kernel reserves only the last page of values for errors, so other
 * high addresses are valid results. */
static inline int hak_syscall_failed(long result)
{
    return (unsigned long)result > -4096ul;
}

#endif
