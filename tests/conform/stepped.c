/* SPDX-License-Identifier: MIT */
/*
 * stepped.c - malloc and free end under a debugger that steps, and under one that looks in after
 * every few instructions: each stop restarts the sequences of a CPU's front, so what waits for one
 * to succeed never ends.
 *
 * The child is traced by its parent, which counts the steps: a bound on work, not on time.
 */
#define _GNU_SOURCE
#include "tests/lib/process.h"
#include "tests/lib/tap.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STEPS_MOST = 100000, /* for all pairs of a size together */
    PAIRS = 4,
    FULL = 600, /* objects freed: more than all magazines of a class take */
    NOT_TRACED = 77,
};

static void *objects[FULL];

/* The instructions between two stops are stepped through. */
static void pairs_of(size_t size)
{
    raise(SIGSTOP);
    for (unsigned i = 0; i < PAIRS; i++) {
        void *object = malloc(size);
        if (!object)
            _exit(1);
        free(object);
    }
    raise(SIGSTOP);
}

/* A front that is full, and one that is empty. */
static void overflow_of(size_t size)
{
    for (unsigned i = 0; i < FULL; i++)
        objects[i] = malloc(size);
    for (unsigned i = 0; i < FULL - PAIRS; i++)
        free(objects[i]);
    raise(SIGSTOP);
    for (unsigned i = FULL - PAIRS; i < FULL; i++)
        free(objects[i]);
    raise(SIGSTOP);
}

static int wait_for_stop(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFSTOPPED(status) ? WSTOPSIG(status) : -1;
}

/* Steps until the child stops by itself. Returns the number of steps, at most STEPS_MOST; -1: it
 * ended. */
static long count_steps(pid_t child)
{
    for (long steps = 0; steps < STEPS_MOST; steps++) {
        if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) != 0)
            return -1;
        int stopped_by = wait_for_stop(child);
        if (stopped_by == SIGSTOP)
            return steps;
        if (stopped_by != SIGTRAP)
            return -1;
    }
    return STEPS_MOST;
}

static void expect_end(void (*body)(size_t), size_t size)
{
    pid_t child = process_fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(NOT_TRACED);
        body(size);
        body(size);
        _exit(0);
    }
    int status;
    if (wait_for_stop(child) != SIGSTOP) {
        tap_skip("a child cannot be traced here");
        return;
    }
    long steps = count_steps(child);
    tap_note("%ld steps for %zu bytes", steps, size);
    EXPECT_GE(steps, 1);
    EXPECT_LE(steps, STEPS_MOST - 1);
    if (steps >= 1 && steps < STEPS_MOST) {
        EXPECT_EQ(ptrace(PTRACE_DETACH, child, NULL, NULL), 0);
        kill(child, SIGCONT);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
}

static void test_pairs(void)
{
    static const size_t sizes[] = {16, 64, 1000, 3000, 20000};
    for (unsigned i = 0; i < TAP_COUNT(sizes); i++)
        expect_end(pairs_of, sizes[i]);
}

static void test_overflow(void)
{
    static const size_t sizes[] = {64, 1000};
    for (unsigned i = 0; i < TAP_COUNT(sizes); i++)
        expect_end(overflow_of, sizes[i]);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"malloc and free end when a debugger steps through them", test_pairs},
        {"frees into full magazines end, too", test_overflow},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
