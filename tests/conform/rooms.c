/* SPDX-License-Identifier: MIT */
/* rooms.c - malloc in unusual places: in threads that are cancelled, on stacks that are small or
 * change, in handlers, while the process ends, without files, at limits.
 *
 * Each place is a child process, since most of them end. It allocates in each tier; its exit status
 * tells whether that succeeded. */
#define _GNU_SOURCE
#include "tests/lib/process.h"
#include "tests/lib/tap.h"

#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

enum {
    KIB = 1024,
    CROWD = 6,
    FIBERS = 8,
    FIBER_STACK = 64 * KIB,
    OBJECTS = 200,
    SECONDS = 120, /* seconds for a child; each takes less than one on a free machine */
    NOBODY = 65534,
};

static const size_t sizes[] = {16, 200, 1500, 9000, 30 * KIB, 100 * KIB, 700 * KIB, 3000 * KIB};
static int is_over; /* the crowd ends */
static pthread_t crowd[CROWD];

/* Takes, resizes and gives back an object of each tier; 0, or 1 if its contents were lost. */
static int visit_tiers(void)
{
    for (size_t i = 0; i < TAP_COUNT(sizes); i++) {
        unsigned char *object = malloc(sizes[i]);
        if (object == NULL)
            return 1;
        object[0] = (unsigned char)i;
        object[sizes[i] - 1] = 1;
        unsigned char *moved = realloc(object, sizes[i] * 3 / 2);
        if (moved == NULL || moved[0] != i || moved[sizes[i] - 1] != 1)
            return 1;
        free(moved);
        free(memalign(4096, sizes[i]));
    }
    return 0;
}

static void visit_often(unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        if (visit_tiers() != 0)
            _exit(2);
}

static void *one_of_crowd(void *argument)
{
    (void)argument;
    void *objects[64] = {0};
    /* relaxed: a flag that orders nothing else */
    for (unsigned i = 0; !__atomic_load_n(&is_over, __ATOMIC_RELAXED); i++) {
        free(objects[i % 64]);
        objects[i % 64] = malloc(16 + i * 37 % 5000);
        if (i % 256 == 0)
            visit_often(1);
    }
    for (unsigned i = 0; i < 64; i++)
        free(objects[i]);
    return NULL;
}

static void crowd_comes(void)
{
    for (unsigned i = 0; i < CROWD; i++)
        if (pthread_create(&crowd[i], NULL, one_of_crowd, NULL) != 0)
            _exit(3);
}

static void crowd_goes(void)
{
    __atomic_store_n(&is_over, 1, __ATOMIC_RELAXED); /* relaxed: as above */
    for (unsigned i = 0; i < CROWD; i++)
        pthread_join(crowd[i], NULL);
}

/* True in the child that runs the case; in the test after the child has ended. */
static bool is_inside(void)
{
    pid_t child = process_fork();
    if (child == 0)
        return true;
    EXPECT_EQ(process_wait(child, SECONDS), 0);
    return false;
}

/* ------------------------------------------------------------------ threads that end */
static void *goes_on(void *argument)
{
    (void)argument;
    usleep(20000);
    visit_often(20);
    exit(0);
}

static void main_ends_first(void)
{
    if (!is_inside())
        return;
    pthread_t last;
    crowd_comes();
    if (pthread_create(&last, NULL, goes_on, NULL) != 0)
        _exit(3);
    pthread_exit(NULL);
}

static __attribute__((noreturn)) void *allocates_for_ever(void *argument)
{
    (void)argument;
    for (;;) {
        visit_often(1);
        pthread_testcancel();
    }
}

static void cancelled_at_work(void)
{
    if (!is_inside())
        return;
    for (unsigned i = 0; i < 50; i++) {
        pthread_t thread;
        void *result;
        if (pthread_create(&thread, NULL, allocates_for_ever, NULL) != 0)
            _exit(3);
        usleep(i % 10 * 100);
        pthread_cancel(thread);
        pthread_join(thread, &result);
        if (result != PTHREAD_CANCELED)
            _exit(4);
    }
    _exit(0);
}

static void *cancelled_before(void *is_through)
{
    pthread_cancel(pthread_self());
    visit_often(5);
    malloc_trim(0);
    *(int *)is_through = 1;
    pthread_testcancel();
    return NULL;
}

/* malloc is no cancellation point: it does not act on a pending cancellation. */
static void cancellation_waits(void)
{
    if (!is_inside())
        return;
    int is_through = 0;
    pthread_t thread;
    void *result;
    if (pthread_create(&thread, NULL, cancelled_before, &is_through) != 0)
        _exit(3);
    pthread_join(thread, &result);
    if (!is_through || result != PTHREAD_CANCELED)
        _exit(4);
    _exit(0);
}

/* ------------------------------------------------------------------ stacks */
static ucontext_t home;
static ucontext_t fibers[FIBERS];
static void *objects[OBJECTS];

static void fiber(int self)
{
    for (unsigned i = 0; i < 500; i++) {
        void **object = &objects[(i * 31 + (unsigned)self * 7) % OBJECTS];
        free(*object);
        *object = malloc(16 + i * 53 % 3000);
        if (i % 100 == 0)
            visit_often(1);
        swapcontext(&fibers[self], &fibers[(self + 1) % FIBERS]);
    }
    setcontext(&home);
}

static void stacks_change(void)
{
    if (!is_inside())
        return;
    for (int i = 0; i < FIBERS; i++) {
        getcontext(&fibers[i]);
        fibers[i].uc_stack.ss_sp = malloc(FIBER_STACK);
        fibers[i].uc_stack.ss_size = FIBER_STACK;
        makecontext(&fibers[i], (void (*)(void))(uintptr_t)fiber, 1, i);
    }
    crowd_comes();
    swapcontext(&home, &fibers[0]);
    crowd_goes();
    _exit(0);
}

static void *on_smallest_stack(void *argument)
{
    visit_often(20);
    malloc_trim(0);
    mallinfo2();
    pid_t child = fork();
    if (child == 0) {
        visit_often(1);
        _exit(0);
    }
    if (process_wait(child, SECONDS) != 0)
        _exit(4);
    return argument;
}

static void smallest_stacks(void)
{
    if (!is_inside())
        return;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, (size_t)PTHREAD_STACK_MIN);
    for (unsigned i = 0; i < CROWD; i++)
        if (pthread_create(&crowd[i], &attributes, on_smallest_stack, NULL) != 0)
            _exit(3);
    for (unsigned i = 0; i < CROWD; i++)
        pthread_join(crowd[i], NULL);
    _exit(0);
}

/* ------------------------------------------------------------------ handlers */
static volatile sig_atomic_t handled;
static sigjmp_buf back;

static void count(int signal)
{
    (void)signal;
    handled++;
}

static void allocate_and_jump(int signal)
{
    (void)signal;
    void *object = malloc(3000);
    if (object == NULL)
        _exit(4);
    free(object);
    siglongjmp(back, 1);
}

static void handle(int signal, void (*handler)(int), size_t stack_size)
{
    stack_t stack = {.ss_size = stack_size};
    stack.ss_sp =
        mmap(NULL, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sigaction action = {.sa_handler = handler,
                               .sa_flags = SA_ONSTACK | SA_RESTART | SA_NODEFER};
    if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, NULL) != 0 ||
        sigaction(signal, &action, NULL) != 0)
        _exit(3);
}

static void signals_on_their_stack(void)
{
    if (!is_inside())
        return;
    const struct itimerval often = {{0, 200}, {0, 200}};
    handle(SIGALRM, count, 16 * KIB);
    setitimer(ITIMER_REAL, &often, NULL);
    crowd_comes();
    visit_often(200);
    while (handled < 10)
        visit_often(1);
    crowd_goes();
    _exit(0);
}

/* The program causes the fault and the abort, outside of malloc: its handlers may allocate. */
static void faults_and_aborts(void)
{
    if (!is_inside())
        return;
    volatile char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    handle(SIGSEGV, allocate_and_jump, 64 * KIB);
    handle(SIGABRT, allocate_and_jump, 64 * KIB);
    crowd_comes();
    for (volatile unsigned i = 0; i < 200; i++) {
        if (sigsetjmp(back, 1) != 0)
            continue;
        if (i % 10 == 0)
            abort();
        *page = 1;
        _exit(4);
    }
    crowd_goes();
    visit_often(10);
    _exit(0);
}

/* ------------------------------------------------------------------ the end of the process */
static void at_the_end(void)
{
    visit_often(20);
}

static void exit_among_others(void)
{
    if (!is_inside())
        return;
    if (atexit(at_the_end) != 0)
        _exit(3);
    crowd_comes();
    usleep(20000);
    exit(0);
}

static void quick_exit_among_others(void)
{
    if (!is_inside())
        return;
    if (at_quick_exit(at_the_end) != 0)
        _exit(3);
    crowd_comes();
    usleep(20000);
    quick_exit(0);
}

static void *execute(void *argument)
{
    usleep(20000);
    execl("/bin/true", "true", (char *)NULL);
    return argument;
}

static void exec_among_others(void)
{
    if (!is_inside())
        return;
    pthread_t thread;
    crowd_comes();
    if (pthread_create(&thread, NULL, execute, NULL) != 0)
        _exit(3);
    pthread_join(thread, NULL);
    _exit(4);
}

/* ------------------------------------------------------------------ limits */
static void crowd_for_a_while(void)
{
    crowd_comes();
    usleep(50000);
    crowd_goes();
    visit_often(20);
    malloc_trim(0);
    pid_t child = fork();
    if (child == 0) {
        visit_often(1);
        _exit(0);
    }
    if (process_wait(child, SECONDS) != 0)
        _exit(4);
}

/* The kernel ends a thread's first stack at 64 KiB, and no file can be opened. */
static void nothing_allowed(void)
{
    if (!is_inside())
        return;
    static const int resources[] = {RLIMIT_CORE,    RLIMIT_FSIZE, RLIMIT_NOFILE,
                                    RLIMIT_MEMLOCK, RLIMIT_NICE,  RLIMIT_SIGPENDING};
    const struct rlimit none = {0, 0};
    const struct rlimit stack = {64 * KIB, 64 * KIB};
    for (size_t i = 0; i < TAP_COUNT(resources); i++)
        setrlimit(resources[i], &none);
    setrlimit(RLIMIT_STACK, &stack);
    crowd_for_a_while();
    _exit(0);
}

static void no_files(void)
{
    char empty[] = "/tmp/rooms-XXXXXX";
    bool is_there = mkdtemp(empty) != NULL;
    if (!is_inside()) {
        if (is_there)
            EXPECT_EQ(rmdir(empty), 0);
        return;
    }
    closefrom(0);
    /* A user may not: then it is the closed files alone. */
    if (is_there && chroot(empty) == 0 && (chdir("/") != 0 || setuid(NOBODY) != 0))
        _exit(3);
    crowd_for_a_while();
    _exit(0);
}

static const struct tap_case cases[] = {
    {"the first thread may end before the others", main_ends_first},
    {"a thread may be cancelled between its calls", cancelled_at_work},
    {"malloc is no cancellation point", cancellation_waits},
    {"contexts may change stacks between calls", stacks_change},
    {"the smallest stack that a thread may have is enough", smallest_stacks},
    {"signals on stacks of their own may interrupt", signals_on_their_stack},
    {"handlers of faults and of abort may allocate", faults_and_aborts},
    {"exit runs handlers that allocate while other threads allocate", exit_among_others},
    {"quick_exit does the same", quick_exit_among_others},
    {"exec runs while other threads allocate", exec_among_others},
    {"a process lives with limits of 0 on all but memory", nothing_allowed},
    {"a process lives without open files in an empty root", no_files},
};

int main(int argc, char **argv)
{
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
