/* SPDX-License-Identifier: MIT */
/* vfork, where fronts are kept per CPU. The child shares the parent's memory and thread-local
 * storage, but the kernel restarts no sequences of its (rseq(2): a new task that shares memory is
 * not registered), while the CPU number that it finds there is the parent's and stays. So while
 * there is a child the thread is served without a front: by the slabs, under their locks, which
 * hold between parent and child as between threads. That needs no memory and takes no lock: it
 * cannot be refused, and a handler that interrupted malloc may do it, too. With a front of its own
 * for all classes there is nothing to do: the parent stands still while its child uses its front.
 *
 * posix_spawn, system and popen do not come through here: no code of the program runs in their
 * children before exec. Nor does clone(CLONE_VM) of the program's own (docs/limits.md).
 *
 * The thread in question: the one that calls vfork. */
#include "config.h"

#include "api/vfork.h"

#include <errno.h>

#include "api/mine.h"
#include "front/front_cpu.h"

HAK_TLS unsigned char hak_thread_is_apart;

#if HAK_OVERRIDE_MALLOC && (defined(__x86_64__) || defined(__aarch64__))

/* What hak_vfork_end has to undo, or 0: not in a child that calls vfork itself, nor where the
 * thread's front is open in all classes. Fronts of CPUs may be opened at any moment. */
HAK_HIDDEN __attribute__((used)) long hak_vfork_begin(void)
{
    struct hak_front *front = hak_front_mine;
    if (hak_front_is_open(front, HAK_CLASS_LAST))
        return 0;
    hak_thread_is_apart = 1;
    hak_front_set(&hak_front_apart);
    return (long)front;
}

/* In the parent, with what the kernel said; what vfork returns. The child may have pinned the
 * thread, which then has a front of its own. */
HAK_HIDDEN __attribute__((used)) int hak_vfork_end(long result, long begun)
{
    if (begun)
        hak_thread_is_apart = 0;
    if (begun && hak_front_mine == &hak_front_apart)
        hak_front_set((struct hak_front *)begun);
    if (result >= 0)
        return (int)result;
    errno = (int)-result;
    return -1;
}

/* The child returns first, and writes over the stack below its caller: what the parent needs then
 * stays in registers, which are each one's own. The object has no note that it bears with shadow
 * stacks, so a process linked with it has none. */
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
        "movq %rax, %rsi\n\t"            /* begun */
        "popq %rdx\n\t"                  /* the return address */
        ".cfi_adjust_cfa_offset -8\n\t"
        ".cfi_register %rip, %rdx\n\t"
        "movl $58, %eax\n\t"             /* SYS_vfork; it changes rax, rcx and r11 */
        "syscall\n\t"
        "pushq %rdx\n\t"
        ".cfi_adjust_cfa_offset 8\n\t"
        ".cfi_rel_offset %rip, 0\n\t"
        "testq %rax, %rax\n\t"
        "jz 1f\n\t"
        "movq %rax, %rdi\n\t"
        "jmp hak_vfork_end\n"            /* returns to our caller */
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
        "hint #34\n\t"                   /* bti c */
        "stp x29, x30, [sp, #-16]!\n\t"
        ".cfi_adjust_cfa_offset 16\n\t"
        ".cfi_rel_offset x29, 0\n\t"
        ".cfi_rel_offset x30, 8\n\t"
        "bl hak_vfork_begin\n\t"
        "ldp x29, x30, [sp], #16\n\t"
        ".cfi_adjust_cfa_offset -16\n\t"
        ".cfi_restore x29\n\t"
        ".cfi_restore x30\n\t"
        "mov x9, x0\n\t"                 /* begun */
        "mov x0, #0x4111\n\t"            /* CLONE_VM | CLONE_VFORK | SIGCHLD */
        "mov x1, #0\n\t"                 /* on the same stack */
        "mov x2, #0\n\t"
        "mov x3, #0\n\t"
        "mov x4, #0\n\t"
        "mov x8, #220\n\t"               /* SYS_clone; it changes x0 */
        "svc #0\n\t"
        "cbz x0, 1f\n\t"
        "mov x1, x9\n\t"
        "b hak_vfork_end\n"              /* returns to our caller */
        "1:\n\t"
        "ret\n\t"
        ".cfi_endproc\n\t"
        ".size vfork, . - vfork\n\t"
        ".size __vfork, . - __vfork\n\t"
        ".popsection\n");
#endif

#endif
