/* SPDX-License-Identifier: MIT */
/* System calls without libc: the result is a value or -errno, errno itself is never touched, and no
 * cancellation point is entered. Any thread, also before libc is ready. Only os/ includes this. */
#ifndef HAK_OS_SYSCALL_H
#define HAK_OS_SYSCALL_H

#include <stdint.h>
#include <sys/syscall.h>

#if defined(__x86_64__) && defined(__LP64__)

/* Number in rax, arguments in rdi rsi rdx r10 r8 r9; the instruction spoils rcx and r11. */
static inline long hak_syscall6(long number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d,
                                uintptr_t e, uintptr_t f)
{
    register uintptr_t r10 __asm__("r10") = d;
    register uintptr_t r8 __asm__("r8") = e;
    register uintptr_t r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static inline long hak_syscall3(long number, uintptr_t a, uintptr_t b, uintptr_t c)
{
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return result;
}

#elif defined(__aarch64__) && defined(__LP64__)

/* Number in x8, arguments in x0 to x5, result in x0. */
static inline long hak_syscall6(long number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d,
                                uintptr_t e, uintptr_t f)
{
    register long x8 __asm__("x8") = number;
    register uintptr_t x0 __asm__("x0") = a;
    register uintptr_t x1 __asm__("x1") = b;
    register uintptr_t x2 __asm__("x2") = c;
    register uintptr_t x3 __asm__("x3") = d;
    register uintptr_t x4 __asm__("x4") = e;
    register uintptr_t x5 __asm__("x5") = f;
    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory", "cc");
    return (long)x0;
}

static inline long hak_syscall3(long number, uintptr_t a, uintptr_t b, uintptr_t c)
{
    register long x8 __asm__("x8") = number;
    register uintptr_t x0 __asm__("x0") = a;
    register uintptr_t x1 __asm__("x1") = b;
    register uintptr_t x2 __asm__("x2") = c;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory", "cc");
    return (long)x0;
}

#else

#include <errno.h>
#include <unistd.h>

/* Other machines go through libc, which reports by errno: kept as the caller had it. */
static inline long hak_syscall6(long number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d,
                                uintptr_t e, uintptr_t f)
{
    int saved = errno;
    long result = syscall(number, a, b, c, d, e, f);
    if (result == -1)
        result = -(long)errno;
    errno = saved;
    return result;
}

static inline long hak_syscall3(long number, uintptr_t a, uintptr_t b, uintptr_t c)
{
    return hak_syscall6(number, a, b, c, 0, 0, 0);
}

#endif

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

/* Whether a result is -errno: the kernel keeps the last page of values for errors, so that an
 * address above the middle of the space is none. */
static inline int hak_syscall_failed(long result)
{
    return (unsigned long)result > -4096ul;
}

#endif
