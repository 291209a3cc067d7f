/* SPDX-License-Identifier: MIT */
/* readers.c - liburcu is inside the library, and no situation may end the process: no memory for a
 * new thread, signals of timers, system calls that are forbidden after the start, a program that
 * uses liburcu by itself. */
#define _GNU_SOURCE
#include "tests/lib/process.h"
#include "tests/lib/tap.h"

#define _LGPL_SOURCE
#include <urcu-bp.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 60, OBJECTS = 20000 };

static pthread_barrier_t barrier;

static void in_a_child(int (*body)(void))
{
    pid_t child = fork();
    if (child == 0)
        _exit(body());
    EXPECT_EQ(process_wait(child, 60), 0);
}

/* ---- no memory for new threads -------------------------------------------------------------- */

static void *allocate_first(void *argument)
{
    pthread_barrier_wait(&barrier);
    void *object = malloc(100); /* or NULL, which is allowed */
    pthread_barrier_wait(&barrier);
    free(object);
    return argument;
}

static int no_mapping_left(void)
{
    pthread_t threads[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    free(malloc(100));
    for (unsigned i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, allocate_first, NULL) != 0)
            return 1;
    for (unsigned i = 0; mmap(NULL, 4096, i % 2 != 0 ? PROT_READ : PROT_NONE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
         i++)
        ;
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void first_malloc_without_mappings(void)
{
    in_a_child(no_mapping_left);
}

/* ---- timers that start threads --------------------------------------------------------------- */

static unsigned ticks;

static void tick(union sigval unused)
{
    (void)unused;
    free(malloc(100));
    __atomic_fetch_add(&ticks, 1, __ATOMIC_RELAXED); /* relaxed: a count */
}

static int tick_ten_times(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = tick};
    const struct itimerspec often = {{0, 10000000}, {0, 10000000}};
    const struct timespec pause = {0, 10000000};
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
        timer_settime(timer, 0, &often, NULL) != 0)
        return 1;
    for (unsigned i = 0; i < 1000 && __atomic_load_n(&ticks, __ATOMIC_RELAXED) < 10; i++)
        nanosleep(&pause, NULL);
    return __atomic_load_n(&ticks, __ATOMIC_RELAXED) >= 10 ? 0 : 2;
}

static void timers_tick(void)
{
    in_a_child(tick_ten_times);
}

/* ---- membarrier kills ------------------------------------------------------------------------ */

/* liburcu's grace periods use this command; fronts of CPUs use another, for rseq. */
static int forbid_membarrier(void)
{
    enum { PRIVATE_EXPEDITED = 8 };
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PRIVATE_EXPEDITED, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {TAP_COUNT(filter), filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void *churn(void *argument)
{
    static __thread void *objects[OBJECTS];
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < OBJECTS; i++)
            objects[i] = malloc(16 + i % 1000);
        for (unsigned i = 0; i < OBJECTS; i++)
            free(objects[i]);
        malloc_trim(0);
    }
    return argument;
}

static int trim_without_membarrier(void)
{
    pthread_t thread;
    if (!forbid_membarrier())
        return 77;
    churn(NULL);
    if (pthread_create(&thread, NULL, churn, NULL) != 0)
        return 1;
    churn(NULL);
    pthread_join(thread, NULL);
    return 0;
}

static void membarrier_forbidden(void)
{
    in_a_child(trim_without_membarrier);
}

/* ---- liburcu in the program's own hands ------------------------------------------------------ */

static void *hold_while_allocating(void *argument)
{
    for (unsigned round = 0; round < 50; round++) {
        rcu_read_lock();
        void *object = malloc(100);
        churn(NULL); /* trims inside the section, too */
        if (!rcu_read_ongoing())
            exit(3);
        free(object);
        rcu_read_unlock();
        if (rcu_read_ongoing())
            exit(4);
        if (round % 10 == 9)
            synchronize_rcu();
    }
    return argument;
}

static void *fork_in_between(void *argument)
{
    for (unsigned round = 0; round < 20; round++) {
        pid_t child = fork();
        if (child == 0) {
            rcu_read_lock();
            churn(NULL);
            rcu_read_unlock();
            synchronize_rcu();
            _exit(0);
        }
        if (process_wait(child, 20) != 0)
            exit(5);
    }
    return argument;
}

static int use_liburcu(void)
{
    pthread_t threads[2];
    pthread_atfork(urcu_bp_before_fork, urcu_bp_after_fork_parent, urcu_bp_after_fork_child);
    rcu_read_lock();
    free(malloc(100));
    rcu_read_unlock();
    if (pthread_create(&threads[0], NULL, hold_while_allocating, NULL) != 0 ||
        pthread_create(&threads[1], NULL, fork_in_between, NULL) != 0)
        return 1;
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    synchronize_rcu();
    return 0;
}

static void program_uses_liburcu(void)
{
    in_a_child(use_liburcu);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"threads make their first allocation when no mapping can be had",
         first_malloc_without_mappings},
        {"timers start threads", timers_tick},
        {"a process that forbids membarrier can trim", membarrier_forbidden},
        {"a program uses liburcu by itself, and forks", program_uses_liburcu},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
