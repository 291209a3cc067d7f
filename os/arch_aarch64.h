/* SPDX-License-Identifier: MIT */
/* aarch64 (see arch.h). */
#ifndef HAK_OS_ARCH_AARCH64_H
#define HAK_OS_ARCH_AARCH64_H

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

enum { HAK_OS_ADDRESS_BITS = 48, HAK_OS_CALL_PUSHES = 0 };

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

static inline int hak_os_read_thread_word(ptrdiff_t offset)
{
    return *(const volatile int *)((const char *)__builtin_thread_pointer() + offset);
}

static inline void hak_os_pause(void)
{
    __asm__ volatile("isb" ::: "memory"); /* `yield` does nothing on most cores */
}

/* seq_cst: a later load may overtake the exchange's store, unless a full barrier stands between;
 * see hak_grace_enter. */
static inline void hak_os_barrier_after_exchange(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* The child wakes with another stack and must not return through this frame. */
static inline long hak_os_start_task(unsigned long flags, void *stack_top, uint32_t *cleared,
                                     void (*entry)(void))
{
    register long result __asm__("x0") = (long)flags;
    register void *stack __asm__("x1") = stack_top;
    register uintptr_t parent __asm__("x2") = 0;
    register uintptr_t tls __asm__("x3") = 0;
    register uint32_t *x4 __asm__("x4") = cleared;
    register long number __asm__("x8") = SYS_clone;
    register void (*x9)(void) __asm__("x9") = entry;
    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t"
                     "blr %[entry]\n"
                     "1:"
                     : "+r"(result)
                     : "r"(stack), "r"(parent), "r"(tls), "r"(x4), "r"(number), [entry] "r"(x9)
                     : "x30", "memory", "cc");
    return result;
}

/* Linux 6.19 on arm64 does not abort sequences on preemption within a CPU (reported to the kernel
 * mailing list in April 2026). */
static inline const char *hak_os_rseq_bad_release(void)
{
    return "6.19";
}

#endif
