/* SPDX-License-Identifier: MIT */
/* os/cpu.c: the CPU is the one that we are pinned to, from rseq or without it. */
#define _GNU_SOURCE
#include "os/cpu.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

static void *pin_to_each(void *argument)
{
    cpu_set_t allowed;
    (void)argument;
    if (!EXPECT_EQ(sched_getaffinity(0, sizeof(allowed), &allowed), 0))
        return NULL;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed))
            continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (sched_setaffinity(0, sizeof(one), &one) != 0)
            continue;
        EXPECT_EQ(hak_os_cpu(), cpu);
        EXPECT_EQ(hak_os_cpu_slow(), cpu);
    }
    return NULL;
}

static void follows(void)
{
    errno = 77;
    threads_run(1, pin_to_each, NULL, 0); /* in a thread: its affinity ends with it */
    hak_os_cpu();
    tap_note("rseq.cpu_id %s", hak_os_rseq_cpu_id != 0 ? "is read" : "is not registered");
}

static void affinity(void)
{
    uint64_t mask[1024];
    cpu_set_t allowed;
    REQUIRE(hak_os_affinity(mask, sizeof(mask)) == 0);
    REQUIRE(sched_getaffinity(0, sizeof(allowed), &allowed) == 0);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
        EXPECT_EQ(mask[cpu / 64] >> (cpu % 64) & 1, CPU_ISSET(cpu, &allowed) != 0);
    EXPECT_EQ(mask[1023], 0);
}

static void keeps_errno(void)
{
    errno = 77;
    hak_os_cpu_slow();
    EXPECT(hak_os_affinity(NULL, 1) < 0);
    EXPECT_EQ(errno, 77);
}

static void thread_id(void)
{
    EXPECT_EQ(hak_os_thread_id(), getpid());
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"the CPU is the one that the thread is pinned to", follows},
        {"the affinity is the C library's", affinity},
        {"errno is kept", keeps_errno},
        {"the main thread's id is the process'", thread_id},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
