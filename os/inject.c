/* SPDX-License-Identifier: MIT */
/* The delays of a build with injection: most calls do nothing, some spin, some yield, a few sleep.
 * Any thread. All threads share one counter, and its order of increments adds to the disorder. */
#include "os/inject.h"

#include <stdint.h>

#include "os/clock.h"
#include "os/cpu.h"
#include "os/syscall.h"

enum {
    YIELD_ONE_IN = 64,
    SLEEP_ONE_IN = 1024,
    SPIN_MAX = 512,
    SLEEP_NS = 50 * 1000,
};

static uint64_t calls;

void hak_inject_delay(void)
{
    /* relaxed: a source of numbers */
    uint64_t number = __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
    number *= UINT64_C(0x9e3779b97f4a7c15); /* Fibonacci hashing: the high bits are well mixed */
    unsigned mixed = (unsigned)(number >> 40);
    if (mixed % SLEEP_ONE_IN == 0)
        hak_os_sleep_ns(SLEEP_NS);
    else if (mixed % YIELD_ONE_IN == 0)
        hak_syscall0(SYS_sched_yield);
    else if (mixed % 4 == 0)
        for (unsigned spin = mixed % SPIN_MAX; spin != 0; spin--)
            hak_os_pause();
}
