/* SPDX-License-Identifier: MIT */
/* os/rseq.c: the area is the thread's, the disturbance comes and goes, the fence returns. */
#define _GNU_SOURCE
#include "os/rseq.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/cpu.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

enum { CPU_ID = 4, ROUNDS = 20 };

static void found(void)
{
    ptrdiff_t offset = 0;
    int refused = hak_os_rseq_find(&offset);
    if (refused) {
        EXPECT(refused == -ENOSYS || refused == -EOPNOTSUPP);
        tap_skip("no restartable sequences here (%d)", refused);
        return;
    }
    EXPECT_EQ(offset + CPU_ID, hak_os_rseq_cpu_id);
    EXPECT(hak_os_read_thread_word(offset + CPU_ID) >= 0);
}

/* The flag is set in the end, though no sequence begins, and the affinity is as before.
 * tests/unit/front/front_cpu.c tests that a sequence is restarted meanwhile, tests/vm/inside.sh
 * that CPUs plugged in later are allowed. */
static void disturbed(void)
{
    cpu_set_t before, after;
    ptrdiff_t area;
    if (hak_os_rseq_find(&area) != 0) {
        tap_skip("no restartable sequences here");
        return;
    }
    REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t flag = 0;
        if (hak_os_disturb_begin(area, &flag) != 0) {
            tap_skip("no disturbance here");
            return;
        }
        /* Once for as long as it takes; else it is told that nobody waits for the flag. */
        while (round == 0 && __atomic_load_n(&flag, __ATOMIC_ACQUIRE) == 0)
            continue;
        hak_os_disturb_end();
        EXPECT_EQ(__atomic_load_n(&flag, __ATOMIC_ACQUIRE), 1);
    }
    REQUIRE(sched_getaffinity(0, sizeof after, &after) == 0);
    EXPECT(CPU_EQUAL(&before, &after));
}

/* Exit status of a child of that policy, bound to one CPU or not: the patience. */
static int patience_of(int policy, bool bound)
{
    pid_t child = process_fork();
    if (child == 0) {
        const struct sched_param param = {.sched_priority = policy == SCHED_FIFO};
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(sched_getcpu(), &one);
        if ((bound && sched_setaffinity(0, sizeof one, &one) != 0) ||
            sched_setscheduler(0, policy | SCHED_RESET_ON_FORK, &param) != 0)
            _exit(177);
        _exit((int)hak_os_disturb_patience_ms());
    }
    return child < 0 ? 177 : process_wait(child, 20);
}

/* Nothing interrupts a real-time thread alone on its CPU: it must not spin and wait for that. */
static void patient(void)
{
    EXPECT_GE(patience_of(SCHED_OTHER, true), 20);
    EXPECT_LE(patience_of(SCHED_OTHER, false), 100);
    int bound = patience_of(SCHED_FIFO, true);
    if (bound == 177) {
        tap_skip("no real-time policy may be had here");
        return;
    }
    EXPECT_EQ(bound, 0);
    if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
        EXPECT_LE(patience_of(SCHED_FIFO, false), 5);
}

static void fenced(void)
{
    cpu_set_t before, after;
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0) != 0) {
        EXPECT(hak_os_rseq_fence() < 0);
        tap_skip("no membarrier for sequences here");
        return;
    }
    REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
    for (unsigned round = 0; round < ROUNDS; round++)
        EXPECT_EQ(hak_os_rseq_fence(), 0);
    REQUIRE(sched_getaffinity(0, sizeof after, &after) == 0);
    EXPECT(CPU_EQUAL(&before, &after));
}

/* As a container's filter does. Whether it was set. */
static int refuse_membarrier(unsigned error)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {TAP_COUNT(steps), steps};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* A fence that reaches only the CPUs that the caller may run on is none. */
static void refused(void)
{
    static const unsigned errors[] = {EPERM, ENOSYS};
    for (unsigned index = 0; index < TAP_COUNT(errors); index++) {
        pid_t child = process_fork();
        REQUIRE(child >= 0);
        if (child == 0)
            _exit(!refuse_membarrier(errors[index]) ? 77 : hak_os_rseq_fence() < 0 ? 0 : 1);
        int status = process_wait(child, 20);
        if (status == 77)
            tap_skip("no filter may be set here");
        else
            EXPECT_EQ(status, 0);
    }
}

/* Blocks, and lets others run; while it spins an interrupt may come: later kernels check only
 * then. */
static bool is_cleared_soon(ptrdiff_t area)
{
    for (unsigned look = 0; look < 2000 && !hak_os_rseq_is_clear(area); look++) {
        usleep(look % 100 == 0 ? 1000 : 0);
        for (volatile unsigned turn = 0; turn < 100000 && !hak_os_rseq_is_clear(area); turn++)
            continue;
    }
    return hak_os_rseq_is_clear(area);
}

static void marked(void)
{
    static struct hak_os_rseq_mark mark;
    ptrdiff_t area;
    if (hak_os_rseq_find(&area) != 0) {
        tap_skip("no area is registered");
        return;
    }
    EXPECT(hak_os_rseq_make_mark(&mark));
    for (unsigned round = 0; round < 3; round++) {
        EXPECT(is_cleared_soon(area));
        bool stands = false; /* the kernel may be quicker than the look */
        for (unsigned try = 0; try < 100 && !stands; try++)
            stands = hak_os_rseq_leave_mark(area, &mark);
        EXPECT(stands);
        EXPECT(is_cleared_soon(area));
    }
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"the area is where libc registered it", found},
        {"a disturbance sets its flag, and leaves no trace", disturbed},
        {"a mark that is left is cleared by the kernel", marked},
        {"no wait is long for an interruption that may not come", patient},
        {"the fence returns, and leaves no trace", fenced},
        {"without membarrier there is no fence, and the call says so", refused},
    };
    return tap_run(argc, argv, TAP_ANY, cases, sizeof cases / sizeof cases[0]);
}
