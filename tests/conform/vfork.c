/* SPDX-License-Identifier: MIT */
/*
 * vfork.c - vfork as under glibc: the child shares memory and thread-local storage with its parent,
 * and may allocate and free there while other threads do.
 *
 * Each object holds its own address: one that two own at once is found.
 */
#define _GNU_SOURCE
#include "tests/lib/prng.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    OBJECTS = 64,
    OBJECT_SIZE = 64,
    CHURNERS = 3,
    CHILD_TURNS = 3000,
    SOMEBODY = 54321, /* a user id that nobody has */
    WARM_UP = 50,
    GROWTH_MOST = 4 << 20,
};

/* A build with delays takes a minute for as many as the plain one has in a second. */
static unsigned children(void)
{
    const char *quick = getenv("HAKMEM_CHECK_QUICK");
    return quick != NULL && *quick != '\0' ? 60 : 300;
}

static int over; /* tells the churners to end. Relaxed: it orders nothing else */

/* Nonzero if an object was changed. */
static int churn(unsigned turns, uint64_t seed)
{
    uintptr_t *objects[OBJECTS] = {0};
    struct prng prng = {seed};
    int wrong = 0;
    for (; turns != 0; turns--) {
        uintptr_t **place = &objects[prng_below(&prng, OBJECTS)];
        wrong |= *place && **place != (uintptr_t)*place;
        free(*place);
        *place = malloc(OBJECT_SIZE);
        if (!*place)
            return 1;
        **place = (uintptr_t)*place;
    }
    for (unsigned i = 0; i < OBJECTS; i++) {
        wrong |= objects[i] && *objects[i] != (uintptr_t)objects[i];
        free(objects[i]);
    }
    return wrong;
}

static void *churner_body(void *argument)
{
    unsigned *number = argument;
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED))
        EXPECT_EQ(churn(CHILD_TURNS, *number + 1), 0);
    return NULL;
}

static int status_of(pid_t child)
{
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

/* Waits for the child of a vfork, whose exit status is the result. */
static void expect_good_child(pid_t child)
{
    if (EXPECT(child > 0))
        EXPECT_EQ(status_of(child), 0);
}

static pthread_t churners[CHURNERS];
static unsigned churner_numbers[CHURNERS];

static void start_churners(void)
{
    __atomic_store_n(&over, 0, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < CHURNERS; i++) {
        churner_numbers[i] = i;
        EXPECT_EQ(pthread_create(&churners[i], NULL, churner_body, &churner_numbers[i]), 0);
    }
}

static void end_churners(void)
{
    __atomic_store_n(&over, 1, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < CHURNERS; i++)
        pthread_join(churners[i], NULL);
}

static void vfork_and_churn(unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        pid_t child = vfork();
        if (child == 0)
            _exit(churn(CHILD_TURNS, i + 100));
        expect_good_child(child);
        EXPECT_EQ(churn(OBJECTS, i), 0);
    }
}

static void test_child_allocates(void)
{
    start_churners();
    vfork_and_churn(children());
    end_churners();
}

/* A child's malloc and free leave nothing behind, nor do vfork and its return. */
static void test_flat(void)
{
    vfork_and_churn(WARM_UP);
    size_t before = process_resident();
    vfork_and_churn(children());
    size_t after = process_resident();
    EXPECT_LE(after, before + GROWTH_MOST);
}

static void *parent_body(void *argument)
{
    vfork_and_churn(children() / CHURNERS);
    return argument;
}

static void test_all_at_once(void)
{
    threads_run(2 * CHURNERS, parent_body, NULL, 0);
}

/* The inner child ends first; the outer one goes on, still without a registration of its own. */
static void test_nested(void)
{
    start_churners();
    for (unsigned i = 0; i < children(); i++) {
        pid_t child = vfork();
        if (child == 0) {
            volatile int wrong = churn(CHILD_TURNS / 3, 7);
            pid_t inner = vfork();
            if (inner == 0)
                _exit(churn(CHILD_TURNS / 3, 8));
            wrong |= inner < 0 || status_of(inner) != 0;
            _exit(wrong | churn(CHILD_TURNS / 3, 9));
        }
        expect_good_child(child);
    }
    end_churners();
}

/* The child frees objects of the parent, and the parent objects of the child. */
static void test_exec(void)
{
    for (unsigned i = 0; i < WARM_UP; i++) {
        char *volatile ours = malloc(OBJECT_SIZE);
        char *volatile theirs = NULL;
        pid_t child = vfork();
        if (child == 0) {
            free(ours);
            theirs = malloc(OBJECT_SIZE);
            execl("/bin/sh", "sh", "-c", "exit 42", (char *)NULL);
            _exit(1);
        }
        REQUIRE(child > 0);
        EXPECT_EQ(WEXITSTATUS(status_of(child)), 42);
        EXPECT(theirs != NULL);
        free(theirs);
    }
}

static unsigned ticks; /* written by the handler */

static void count_tick(int signal_number)
{
    (void)signal_number;
    ticks++;
}

static void test_signals(void)
{
    struct sigaction action = {.sa_handler = count_tick, .sa_flags = SA_RESTART}, old;
    const struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
    REQUIRE(sigaction(SIGALRM, &action, &old) == 0);
    ticks = 0;
    EXPECT_EQ(setitimer(ITIMER_REAL, &often, NULL), 0);
    test_child_allocates();
    EXPECT_EQ(setitimer(ITIMER_REAL, &never, NULL), 0);
    EXPECT_EQ(sigaction(SIGALRM, &old, NULL), 0);
    EXPECT_GE(ticks, 1);
}

/* In a process of its own, which becomes an ordinary user that may start no further process. */
static int refused_verdict(void)
{
    static const struct rlimit none = {0, 0};
    void *object = malloc(OBJECT_SIZE);
    if (setgroups(0, NULL) != 0 || setresuid(SOMEBODY, SOMEBODY, SOMEBODY) != 0)
        return 77;
    if (setrlimit(RLIMIT_NPROC, &none) != 0)
        return 77;
    errno = 0;
    pid_t child = vfork();
    if (child == 0)
        _exit(0);
    if (child > 0) {
        status_of(child);
        return 77;
    }
    if (child != -1 || errno != EAGAIN)
        return 1;
    free(object);
    return churn(CHILD_TURNS, 3) ? 2 : 0;
}

static void test_refused(void)
{
    pid_t child = process_fork();
    REQUIRE(child >= 0);
    if (child == 0)
        _exit(refused_verdict());
    int verdict = process_wait(child, 20);
    if (verdict == 77)
        tap_skip("processes cannot be refused here");
    else
        EXPECT_EQ(verdict, 0);
}

/* Locals that the compiler keeps in registers are the parent's own again. */
static void test_registers(void)
{
    volatile long seed = 3;
    long a = seed * 5, b = seed * 7, c = seed * 11, d = seed * 13;
    pid_t child = vfork();
    if (child == 0) {
        char *filler = malloc(OBJECT_SIZE); /* calls, over what the parent left on the stack */
        free(filler);
        _exit(churn(OBJECTS, 5));
    }
    expect_good_child(child);
    EXPECT_EQ(a + b + c + d, seed * 36);
}

static void test_whose(void)
{
    EXPECT(tap_is_reference() || tap_is_ours((const void *)vfork));
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"vfork is the library's", test_whose},
        {"the child allocates and frees beside other threads", test_child_allocates},
        {"memory is flat over many children", test_flat},
        {"threads that vfork at once", test_all_at_once},
        {"a child that calls vfork itself", test_nested},
        {"the child executes another program", test_exec},
        {"signals arrive meanwhile", test_signals},
        {"vfork fails with errno set, and malloc works on", test_refused},
        {"the parent finds its registers", test_registers},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
