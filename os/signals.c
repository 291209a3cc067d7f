/* SPDX-License-Identifier: MIT */
/* Signal masks by raw system calls. Any thread. The calls fail only under a system call filter; the
 * mask then stays as it is. */
#include "os/signals.h"

#include <signal.h>
#include <stddef.h>

#include "os/syscall.h"

/* 32 and 33, whatever libc reports as the first real-time signal. */
static const uint64_t OF_LIBC = UINT64_C(3) << 31;

static uint64_t change(int how, const uint64_t *mask)
{
    uint64_t old = 0;
    hak_syscall4(SYS_rt_sigprocmask, (uintptr_t)how, (uintptr_t)mask, (uintptr_t)&old, sizeof old);
    return old;
}

uint64_t hak_os_signals(void)
{
    return change(SIG_BLOCK, NULL);
}

void hak_os_set_signals(uint64_t mask)
{
    change(SIG_SETMASK, &mask);
}

uint64_t hak_os_block_signals(void)
{
    const uint64_t all = ~OF_LIBC;
    return change(SIG_BLOCK, &all);
}
