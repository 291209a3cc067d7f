/* SPDX-License-Identifier: MIT */
/* forks.c - forks at the worst moments: other libraries' handlers that wait for threads which
 * allocate, streams, handlers of signals, thousands of forks, five hundred threads. No process
 * hangs, none grows, and a child pays only for its own work.
 *
 * HAKMEM_STRESS_FORKS  how many forks must leave no trace (10000: ten minutes on a busy machine) */
#define _GNU_SOURCE
#include "tests/conform/sizes.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

#include <malloc.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>

enum {
    SECONDS = 120, /* after which a child counts as hanging */
    OBJECTS = 100,
};

static unsigned stop; /* relaxed: only the wish to stop */

static int is_stopped(void)
{
    return __atomic_load_n(&stop, __ATOMIC_RELAXED) != 0;
}

static void set_stop(unsigned value)
{
    __atomic_store_n(&stop, value, __ATOMIC_RELAXED);
}

/* More small objects of each size than a front holds, a run, a whale. Returns whether each written
 * byte is there. */
static int use_every_tier(unsigned seed)
{
    static const size_t sizes[] = {24, 700, 5000, 30000, 100000, 3000000, 20000000};
    unsigned char *objects[OBJECTS];
    int good = 1;
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned count = sizes[i] < 10000 ? OBJECTS : 2;
        for (unsigned j = 0; j < count; j++) {
            objects[j] = j % 3 == 0 ? calloc(1, sizes[i]) : malloc(sizes[i]);
            if (objects[j] == NULL)
                return 0;
            objects[j][0] = objects[j][sizes[i] - 1] = (unsigned char)(seed + j);
        }
        for (unsigned j = 0; j < count; j++) {
            good &= objects[j][0] == (unsigned char)(seed + j);
            good &= objects[j][sizes[i] - 1] == (unsigned char)(seed + j);
            if (j % 2 == 0)
                objects[j] = realloc(objects[j], sizes[i] * 2);
            if (objects[j] == NULL)
                return 0;
            good &= objects[j][0] == (unsigned char)(seed + j);
            free(objects[j]);
        }
    }
    return good;
}

static void *use_until_stopped(void *unused)
{
    while (!is_stopped())
        EXPECT(use_every_tier(7));
    return unused;
}

/* ---- handlers that wait for others ---------------------------------------------------------- */

static pthread_t waited_for;
static pthread_mutex_t foreign =
    PTHREAD_MUTEX_INITIALIZER; /* that a worker holds as it allocates */
static unsigned joins, handlers_work;

static void *end_when_told(void *unused)
{
    void *objects[64];
    for (unsigned i = 0; i < 64; i++) /* lie at hand, and go to the heap at its end */
        objects[i] = malloc(200);
    while (!is_stopped())
        free(malloc(100));
    for (unsigned i = 0; i < 64; i++)
        free(objects[i]);
    return use_every_tier(1) ? unused : NULL;
}

/* Runs after the library's own handler, since it is registered earlier: by a constructor, which
 * runs before the first allocation of a second thread, and in most modes before any. */
static void join_it(void)
{
    if (!joins)
        return;
    joins = 0;
    set_stop(1);
    pthread_join(waited_for, NULL);
}

static void use_heap(void)
{
    if (!handlers_work)
        return;
    pthread_mutex_lock(&foreign);
    if (!use_every_tier(2))
        _exit(9);
}

static void end_use(void)
{
    if (!handlers_work)
        return;
    if (!use_every_tier(3))
        _exit(9);
    pthread_mutex_unlock(&foreign);
}

__attribute__((constructor(101))) static void register_early(void)
{
    /* Prepare handlers run the other way round: those of early registration last. */
    pthread_atfork(join_it, NULL, NULL);
    pthread_atfork(use_heap, end_use, end_use);
}

static int child_lives(pid_t child)
{
    if (child == 0)
        _exit(use_every_tier(4) ? 0 : 1);
    return child > 0 && process_wait(child, SECONDS) == 0;
}

static int body_of_joins(void)
{
    int good = 1;
    for (unsigned i = 0; i < 20; i++) {
        set_stop(0);
        if (pthread_create(&waited_for, NULL, end_when_told, NULL) != 0)
            return 1;
        joins = 1;
        good &= child_lives(process_fork());
    }
    return !good;
}

static void *hold_foreign_lock(void *unused)
{
    while (!is_stopped()) {
        pthread_mutex_lock(&foreign);
        EXPECT(use_every_tier(5));
        pthread_mutex_unlock(&foreign);
    }
    return unused;
}

static int body_of_foreign_lock(void)
{
    pthread_t threads[2];
    int good = 1;
    set_stop(0);
    for (unsigned i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, hold_foreign_lock, NULL) != 0)
            return 1;
    handlers_work = 1;
    for (unsigned i = 0; i < 20; i++)
        good &= child_lives(process_fork());
    set_stop(1);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    handlers_work = 0;
    return !good;
}

/* Runs a body in a process of its own; kills and reports one that hangs. */
static void run_apart(int (*body)(void))
{
    fflush(stdout);
    pid_t child = process_fork();
    REQUIRE(child >= 0);
    if (child == 0)
        _exit(body());
    EXPECT_EQ(process_wait(child, SECONDS), 0);
}

static void handlers_may_join(void)
{
    run_apart(body_of_joins);
}

static void handlers_may_wait_for_locks(void)
{
    run_apart(body_of_foreign_lock);
}

/* ---- streams -------------------------------------------------------------------------------- */

static char stream_name[] = "/tmp/hakmem-streams-XXXXXX";
static unsigned forks_done;

static void *fork_until_stopped(void *unused)
{
    while (!is_stopped()) {
        pid_t child = process_fork();
        if (child == 0)
            _exit(0);
        EXPECT_EQ(process_wait(child, SECONDS), 0);
        if (__atomic_add_fetch(&forks_done, 1, __ATOMIC_RELAXED) >= 400)
            set_stop(1);
    }
    return unused;
}

static void *read_lines(void *unused)
{
    FILE *file = fopen(stream_name, "r");
    while (file != NULL && !is_stopped()) {
        char *line = NULL;
        size_t capacity = 0;
        rewind(file);
        EXPECT(getline(&line, &capacity, file) > 0);
        free(line);
    }
    if (file != NULL)
        fclose(file);
    return unused;
}

static void *flush_all(void *unused)
{
    while (!is_stopped())
        fflush(NULL);
    return unused;
}

static int body_of_streams(void)
{
    static void *(*const bodies[])(void *) = {fork_until_stopped, fork_until_stopped, read_lines,
                                              read_lines,         read_lines,         flush_all};
    pthread_t threads[6];
    char text[50000];
    int descriptor = mkstemp(stream_name);
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\n';
    if (descriptor < 0 || write(descriptor, text, sizeof text) != (ssize_t)sizeof text)
        return 1;
    set_stop(0);
    for (unsigned i = 0; i < 6; i++)
        if (pthread_create(&threads[i], NULL, bodies[i], NULL) != 0)
            return 1;
    for (unsigned i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    unlink(stream_name);
    return 0;
}

static void streams_go_on(void)
{
    if (tap_is_reference()) {
        tap_skip("glibc's own malloc is not in question");
        return;
    }
    run_apart(body_of_streams);
}

/* ---- signal handlers ------------------------------------------------------------------------ */

static unsigned handler_forks, bad_children, handler_forks_wanted;

static void fork_in_handler(int number)
{
    (void)number;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        __atomic_fetch_add(&bad_children, 1, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&handler_forks, 1, __ATOMIC_RELAXED) >= handler_forks_wanted)
        set_stop(1);
}

/* The same, and the child comes back from the handler into what was interrupted. */
static void return_from_handler(int number)
{
    (void)number;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGUSR1, SIG_IGN);
        handler_forks_wanted = 0; /* tells the body that it is one */
        set_stop(1);
        return;
    }
    if (process_wait(child, SECONDS) != 0)
        __atomic_fetch_add(&bad_children, 1, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&handler_forks, 1, __ATOMIC_RELAXED) >= handler_forks_wanted)
        set_stop(1);
}

static void *poke(void *threads)
{
    const struct timespec pause = {0, 300000};
    for (unsigned turn = 0; !is_stopped(); turn++) {
        nanosleep(&pause, NULL);
        pthread_kill(((pthread_t *)threads)[turn % 4], SIGUSR1);
    }
    return NULL;
}

static void *one_round_at_least(void *unused)
{
    do
        EXPECT(use_every_tier(6));
    while (!is_stopped());
    if (handler_forks_wanted == 0)
        _exit(use_every_tier(8) ? 0 : 1);
    return unused;
}

static int poke_workers(void (*handler)(int), unsigned forks)
{
    static pthread_t threads[4];
    pthread_t poker;
    handler_forks = bad_children = 0;
    handler_forks_wanted = forks;
    set_stop(0);
    signal(SIGUSR1, handler);
    for (unsigned i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, one_round_at_least, NULL) != 0)
            return 1;
    /* The poker ends before the workers, whose threads it signals. */
    if (pthread_create(&poker, NULL, poke, threads) != 0)
        return 1;
    pthread_join(poker, NULL);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    signal(SIGUSR1, SIG_IGN);
    return bad_children != 0;
}

static int body_of_handlers(void)
{
    return poke_workers(fork_in_handler, 400);
}

static int body_of_returning(void)
{
    return poke_workers(return_from_handler, 200);
}

static int body_of_one_thread(void)
{
    struct itimerval often = {{0, 2000}, {0, 2000}};
    handler_forks = bad_children = 0;
    handler_forks_wanted = 100;
    set_stop(0);
    signal(SIGPROF, fork_in_handler);
    setitimer(ITIMER_PROF, &often, NULL);
    while (!is_stopped())
        if (!use_every_tier(9))
            return 1;
    return bad_children != 0;
}

static void handlers_of_four_threads(void)
{
    if (tap_is_reference()) {
        tap_skip("glibc does not promise it");
        return;
    }
    run_apart(body_of_handlers);
}

static void handlers_that_return(void)
{
    if (tap_is_reference()) {
        tap_skip("glibc does not promise it");
        return;
    }
    run_apart(body_of_returning);
}

static void handlers_of_one_thread(void)
{
    run_apart(body_of_one_thread);
}

/* ---- memory --------------------------------------------------------------------------------- */

/* The time of a round decides how much is kept for the next allocation. */
static size_t resident_without_caches(void)
{
    malloc_trim(0);
    return process_resident();
}

/* Forks this often beside a thread that uses every tier; returns the resident memory at the end. 0:
 * a fork failed. */
static size_t resident_after(unsigned forks)
{
    pthread_t busy;
    void *kept[32] = {NULL};
    set_stop(0);
    if (pthread_create(&busy, NULL, use_until_stopped, NULL) != 0)
        return 0;
    for (unsigned i = 0; i < forks; i++) {
        int status;
        handlers_work = i % 50 == 0;
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        if (waitpid(child, &status, 0) != child || status != 0)
            return 0;
        free(kept[i % 32]);
        kept[i % 32] = malloc(i % 500 * 100);
    }
    set_stop(1);
    pthread_join(busy, NULL);
    for (unsigned i = 0; i < 32; i++)
        free(kept[i]);
    return resident_without_caches();
}

static int body_of_many(void)
{
    const char *wanted = getenv("HAKMEM_STRESS_FORKS");
    unsigned forks = wanted != NULL ? (unsigned)atoi(wanted) : 200;
    size_t first = resident_after(100);
    size_t then = resident_after(forks);
    tap_note("resident: %zu KiB after 100 forks, %zu KiB after %u more", first >> 10, then >> 10,
             forks);
    if (first == 0 || then == 0)
        return 2;
    return then > first + (4u << 20) ? 3 : 0;
}

static void many_forks(void)
{
    run_apart(body_of_many);
}

/* Holds one object at a time: children lose what a thread holds, whatever the allocator. */
static void *use_lightly(void *unused)
{
    static const size_t sizes[] = {24, 700, 5000, 30000, 100000};
    void *objects[OBJECTS];
    while (!is_stopped())
        for (unsigned i = 0; i < 5; i++) {
            unsigned count = sizes[i] < 1000 ? OBJECTS : 1;
            for (unsigned j = 0; j < count; j++)
                objects[j] = malloc(sizes[i]);
            for (unsigned j = 0; j < count; j++)
                free(objects[j]);
        }
    return unused;
}

/* Each generation starts threads, frees its parents' objects, and forks the next. */
static int body_of_generations(void)
{
    enum {
        GENERATIONS = 40,
        WARM = 15,
    };
    size_t after_warm = 0;
    void *old[OBJECTS];
    for (unsigned i = 0; i < OBJECTS; i++)
        old[i] = malloc(i * 500);
    for (unsigned generation = 0; generation < GENERATIONS; generation++) {
        pthread_t threads[3];
        set_stop(0);
        for (unsigned i = 0; i < 3; i++)
            if (pthread_create(&threads[i], NULL, use_lightly, NULL) != 0)
                return 1;
        if (!use_every_tier(generation))
            return 2;
        if (generation == WARM)
            after_warm = resident_without_caches();
        pid_t child = fork();
        if (child != 0) {
            set_stop(1);
            for (unsigned i = 0; i < 3; i++)
                pthread_join(threads[i], NULL);
            return child > 0 ? process_wait(child, SECONDS) : 3;
        }
        for (unsigned i = 0; i < OBJECTS; i++) {
            free(old[i]);
            old[i] = malloc(i * 500);
        }
    }
    size_t at_end = resident_without_caches();
    tap_note("resident: %zu KiB in generation %d, %zu KiB in %d", after_warm >> 10, WARM,
             at_end >> 10, GENERATIONS);
    return at_end > after_warm + ((size_t)10 << 20) ? 4 : 0;
}

static void generations(void)
{
    run_apart(body_of_generations);
}

/* ---- what a child pays ---------------------------------------------------------------------- */

static sem_t holds;

static void *hold_objects(void *unused)
{
    static const size_t sizes[] = {16, 48, 200, 1000, 4000, 20000};
    void *objects[6][20];
    for (unsigned i = 0; i < 6; i++)
        for (unsigned j = 0; j < 20; j++)
            objects[i][j] = malloc(sizes[i]);
    for (unsigned i = 0; i < 6; i++)
        for (unsigned j = 0; j < 20; j += 2)
            free(objects[i][j]);
    sem_post(&holds);
    while (!is_stopped())
        usleep(1000);
    for (unsigned i = 0; i < 6; i++)
        for (unsigned j = 1; j < 20; j += 2)
            free(objects[i][j]);
    return unused;
}

static long minor_faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

static long *told; /* shared with children */

/* Faults of a child that only makes a few allocations. */
static long faults_of_child(int allocates)
{
    *told = -1;
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < allocates; i++)
            free(malloc(100));
        *told = minor_faults();
        _exit(0);
    }
    EXPECT_EQ(process_wait(child, SECONDS), 0);
    EXPECT_GE(*told, 0);
    return *told;
}

static void children_of_500_threads(void)
{
    enum { HOLDERS = 500 };
    static pthread_t threads[HOLDERS];
    pthread_attr_t attributes;
    set_stop(0);
    sem_init(&holds, 0, 0);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 * 1024);
    free(malloc(100));
    told = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(told != MAP_FAILED);
    long before = faults_of_child(0);
    for (unsigned i = 0; i < HOLDERS; i++)
        REQUIRE(pthread_create(&threads[i], &attributes, hold_objects, NULL) == 0);
    for (unsigned i = 0; i < HOLDERS; i++)
        sem_wait(&holds);
    long after = faults_of_child(0);
    long working = faults_of_child(10);
    tap_note("faults of a child: %ld alone, %ld with %d threads, %ld if it allocates", before,
             after, HOLDERS, working);
    /* libc touches each thread's descriptor; touching the fronts would be a fault more for each. */
    EXPECT_LE(after, before + HOLDERS + 60);
    EXPECT_LE(working, before + HOLDERS + 150);
    set_stop(1);
    for (unsigned i = 0; i < HOLDERS; i++)
        pthread_join(threads[i], NULL);
}

/* Pages that a neighbour has kept from children (as for RDMA) are not touched. */
static char *spread[20000];

static void *spread_objects(void *unused)
{
    for (unsigned i = 0; i < 20000; i++)
        spread[i] = malloc(256);
    for (unsigned i = 0; i < 20000; i++)
        if (i % 16 != 0)
            free(spread[i]);
    sem_post(&holds);
    while (!is_stopped())
        usleep(1000);
    return unused;
}

static int body_of_dontfork(void)
{
    pthread_t thread;
    set_stop(0);
    sem_init(&holds, 0, 0);
    if (pthread_create(&thread, NULL, spread_objects, NULL) != 0)
        return 1;
    sem_wait(&holds);
    for (unsigned i = 16; i < 20000; i += 16)
        madvise((void *)((uintptr_t)spread[i] & ~(uintptr_t)4095), 4096, MADV_DONTFORK);
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(9);
    }
    return process_wait(child, SECONDS);
}

static void neighbours_keep_pages(void)
{
    run_apart(body_of_dontfork);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"fork handlers may join threads that allocate and end", handlers_may_join},
        {"fork handlers may wait for locks under which others allocate",
         handlers_may_wait_for_locks},
        {"forks, getline and fflush run side by side", streams_go_on},
        {"handlers of one thread fork", handlers_of_one_thread},
        {"handlers of four threads fork at once", handlers_of_four_threads},
        {"children return from such handlers", handlers_that_return},
        {"many forks do not grow the process", many_forks},
        {"forty generations of children work", generations},
        {"a child of 500 threads pays only for its own work", children_of_500_threads},
        {"pages kept from children are not touched before exec", neighbours_keep_pages},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
