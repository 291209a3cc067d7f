/* SPDX-License-Identifier: MIT */
/* x86-64 (see arch.h). */
#ifndef HAK_OS_ARCH_X86_64_H
#define HAK_OS_ARCH_X86_64_H

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

enum { HAK_OS_ADDRESS_BITS = 47, HAK_OS_CALL_PUSHES = 1 };

/* Number in rax, arguments in rdi rsi rdx r10 r8 r9; the instruction clobbers rcx and r11. */
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

static inline int hak_os_read_thread_word(ptrdiff_t offset)
{
    int value;
    __asm__ volatile("movl %%fs:(%1), %0" : "=r"(value) : "r"(offset));
    return value;
}

static inline void hak_os_pause(void)
{
    __builtin_ia32_pause();
}

/* Each locked instruction is a full barrier; only the compiler must be told. */
static inline void hak_os_barrier_after_exchange(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* The child wakes with another stack and must not return through this frame. */
static inline long hak_os_start_task(unsigned long flags, void *stack_top, uint32_t *cleared,
                                     void (*entry)(void))
{
    long result;
    register uint32_t *r10 __asm__("r10") = cleared;
    register uintptr_t tls __asm__("r8") = 0;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "call *%[entry]\n"
                     "1:"
                     : "=a"(result)
                     : "a"(SYS_clone), "D"(flags), "S"(stack_top), "d"(0), "r"(r10),
                       "r"(tls), [entry] "b"(entry)
                     : "rcx", "r11", "memory", "cc");
    return result;
}

static inline const char *hak_os_rseq_bad_release(void)
{
    return NULL;
}

#endif
