/* SPDX-License-Identifier: MIT */
/* vfork with fronts per CPU. The child shares the parent's memory and thread-local storage. But the
 * kernel does not restart its sequences (rseq(2): a new task that shares memory is not registered),
 * and the CPU number in the thread-local storage stays the parent's. So while there is a child,
 * both are served without a front, by the slabs: their locks work between parent and child as
 * between threads. The switch needs no memory and takes no lock, so it always succeeds, even in a
 * signal handler that interrupted malloc. A thread with its own front for all classes needs no
 * switch: the parent waits while its child uses the front.
 *
 * posix_spawn, system and popen do not call this vfork: their children run no code of the program
 * before exec. A program's own clone(CLONE_VM) does not call it either (docs/limits.md).
 *
 * Only the thread that calls vfork runs this code. */
#include "config.h"

#include "api/vfork.h"

#include <errno.h>

#include "api/mine.h"
#include "front/front_cpu.h"

HAK_TLS unsigned char hak_thread_is_apart;

#if HAK_OVERRIDE_MALLOC && (defined(__x86_64__) || defined(__aarch64__))

/* Returns what hak_vfork_end must restore; 0 in a child that calls vfork itself, and if the
 * thread's front is open in all classes. It switches even if CPUs have no fronts: they may get some
 * at any time. */
HAK_HIDDEN __attribute__((used)) long hak_vfork_begin(void)
{
    struct hak_front *front = hak_front_mine;
    if (hak_front_is_open(front, HAK_CLASS_LAST))
        return 0;
    hak_thread_is_apart = 1;
    hak_mine_set(&hak_front_apart);
    return (long)front;
}

/* Runs in the parent, with the kernel's result; returns the value of vfork. The child may have
 * pinned the thread, which then has a front of its own. */
HAK_HIDDEN __attribute__((used)) int hak_vfork_end(long result, long begun)
{
    if (begun)
        hak_thread_is_apart = 0;
    if (begun && hak_front_mine == &hak_front_apart)
        hak_mine_set((struct hak_front *)begun);
    if (result >= 0)
        return (int)result;
    errno = (int)-result;
    return -1;
}

/* The child returns first and overwrites the stack below its caller's frame. So the parent keeps
 * what it needs in registers: each has its own. No note in this object file says that it supports
 * shadow stacks, so a process that links it has none. */
#if defined(__x86_64__)
__asm__(".pushsection .text, \"ax\", @progbits\n"
        ".globl vfork, __vfork\n"
        ".type vfork, @function\n"
        ".type __vfork, @function\n"
        ".balign 16\n"
        "vfork:\n"
        "__vfork:\n\t"
        ".cfi_startproc\n\t"
        "endbr64\n\t"
        "subq $8, %rsp\n\t"
        ".cfi_adjust_cfa_offset 8\n\t"
        "call hak_vfork_begin\n\t"
        "addq $8, %rsp\n\t"
        ".cfi_adjust_cfa_offset -8\n\t"
        "movq %rax, %rsi\n\t" /* begun */
        "popq %rdx\n\t"       /* the return address */
        ".cfi_adjust_cfa_offset -8\n\t"
        ".cfi_register %rip, %rdx\n\t"
        "movl $58, %eax\n\t" /* SYS_vfork; it changes rax, rcx and r11 */
        "syscall\n\t"
        "pushq %rdx\n\t"
        ".cfi_adjust_cfa_offset 8\n\t"
        ".cfi_rel_offset %rip, 0\n\t"
        "testq %rax, %rax\n\t"
        "jz 1f\n\t"
        "movq %rax, %rdi\n\t"
        "jmp hak_vfork_end\n" /* returns to our caller */
        "1:\n\t"
        "ret\n\t"
        ".cfi_endproc\n\t"
        ".size vfork, . - vfork\n\t"
        ".size __vfork, . - __vfork\n\t"
        ".popsection\n");
#else
__asm__(".pushsection .text, \"ax\", @progbits\n"
        ".globl vfork, __vfork\n"
        ".type vfork, @function\n"
        ".type __vfork, @function\n"
        ".balign 16\n"
        "vfork:\n"
        "__vfork:\n\t"
        ".cfi_startproc\n\t"
        "hint #34\n\t" /* bti c */
        "stp x29, x30, [sp, #-16]!\n\t"
        ".cfi_adjust_cfa_offset 16\n\t"
        ".cfi_rel_offset x29, 0\n\t"
        ".cfi_rel_offset x30, 8\n\t"
        "bl hak_vfork_begin\n\t"
        "ldp x29, x30, [sp], #16\n\t"
        ".cfi_adjust_cfa_offset -16\n\t"
        ".cfi_restore x29\n\t"
        ".cfi_restore x30\n\t"
        "mov x9, x0\n\t"      /* begun */
        "mov x0, #0x4111\n\t" /* CLONE_VM | CLONE_VFORK | SIGCHLD */
        "mov x1, #0\n\t"      /* on the same stack */
        "mov x2, #0\n\t"
        "mov x3, #0\n\t"
        "mov x4, #0\n\t"
        "mov x8, #220\n\t" /* SYS_clone; it changes x0 */
        "svc #0\n\t"
        "cbz x0, 1f\n\t"
        "mov x1, x9\n\t"
        "b hak_vfork_end\n" /* returns to our caller */
        "1:\n\t"
        "ret\n\t"
        ".cfi_endproc\n\t"
        ".size vfork, . - vfork\n\t"
        ".size __vfork, . - __vfork\n\t"
        ".popsection\n");
#endif

#endif
