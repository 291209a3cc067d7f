/* SPDX-License-Identifier: MIT */
/* placement.c - the placement functions of hakmem.h on any machine, in every mode: they return
 * memory that plain free takes, and set errno when they refuse. (tests/vm/ shows on machines of
 * several nodes where memory really lies.) */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/process.h"
#include "tests/lib/tap.h"
#include "tests/lib/weak.h"

static const size_t sizes[] = {0, 1, 1000, 30000, 40000, 5 * 1024 * 1024, 9 * 1024 * 1024};

static int has_none(void)
{
    if (hakmem_malloc_on_node != NULL)
        return 0;
    tap_skip("no hakmem here");
    return 1;
}

/* Uses memory and asks about it; then frees it. */
static void use(char *object, size_t size)
{
    if (!EXPECT(object != NULL))
        return;
    memset(object, 0x5a, size);
    EXPECT(size == 0 || (object[0] == 0x5a && object[size - 1] == 0x5a));
    EXPECT_GE(hakmem_shard_of(object), 0);
    EXPECT_LE(hakmem_shard_of(object), (int)hakmem_shard_count() - 1);
    int node = hakmem_node_of(object);
    EXPECT(node >= 0 || errno == ENOENT);
    if (size != 0 && hakmem_node_resident(object) < 0)
        EXPECT(errno == EPERM || errno == ENOSYS);
    free(object);
}

static void test_on_node_zero(void)
{
    if (has_none())
        return;
    for (unsigned i = 0; i < TAP_COUNT(sizes); i++)
        use(hakmem_malloc_on_node(sizes[i], 0), sizes[i]);
    static const int absent[] = {-1, -2, 1000, 100000};
    for (unsigned i = 0; i < TAP_COUNT(absent); i++) {
        errno = 0;
        EXPECT(hakmem_malloc_on_node(8, absent[i]) == NULL);
        EXPECT_EQ(errno, EINVAL);
    }
    errno = 0;
    EXPECT(hakmem_malloc_on_node(SIZE_MAX / 2 + 1, 0) == NULL && errno == ENOMEM);
}

static void test_on_each_shard(void)
{
    if (has_none())
        return;
    unsigned shards = hakmem_shard_count();
    for (unsigned shard = 0; shard < shards; shard++) {
        for (unsigned i = 0; i < TAP_COUNT(sizes); i++) {
            void *object = hakmem_malloc_on_shard(sizes[i], shard);
            EXPECT_EQ(hakmem_shard_of(object), shard);
            use(object, sizes[i]);
        }
        struct hakmem_shard_info info;
        EXPECT_EQ(hakmem_shard_info(shard, &info, sizeof info), 0);
        EXPECT_GE(info.bytes_mapped, 2 * 1024 * 1024);
    }
    struct hakmem_shard_info info;
    errno = 0;
    EXPECT(hakmem_malloc_on_shard(8, shards) == NULL && errno == EINVAL);
    EXPECT(hakmem_shard_info(shards, &info, sizeof info) == -1 && errno == EINVAL);
}

static void test_interleaved(void)
{
    if (has_none())
        return;
    for (unsigned i = 0; i < TAP_COUNT(sizes); i++) {
        use(hakmem_malloc_interleaved(sizes[i], 0), sizes[i]);
        use(hakmem_malloc_interleaved(sizes[i], 1), sizes[i]);
    }
}

enum { OBJECTS = 5000 };

static void *pinned(void *argument)
{
    void **objects = argument;
    unsigned last = hakmem_shard_count() - 1;
    EXPECT_EQ(hakmem_pin_thread(last), 0);
    /* Small objects may be free objects of a neighbour on the same node. */
    for (unsigned i = 0; i < OBJECTS; i++) {
        objects[i] = malloc(i % 7 == 0 ? 70000 : i % 700 + 1);
        if (i % 7 == 0)
            EXPECT_EQ(hakmem_shard_of(objects[i]), last);
    }
    for (unsigned i = 0; i < OBJECTS; i += 2)
        free(objects[i]);
    hakmem_unpin_thread();
    hakmem_unpin_thread(); /* does no harm */
    void *object = malloc(100);
    EXPECT(object != NULL);
    free(object);
    EXPECT_EQ(hakmem_pin_thread(0), 0);
    EXPECT(hakmem_pin_thread(last + 1) == -1 && errno == EINVAL);
    for (unsigned i = 1; i < OBJECTS; i += 2)
        free(objects[i]);
    return NULL;
}

static void test_pinned(void)
{
    static void *objects[2][OBJECTS];
    if (has_none())
        return;
    errno = 0;
    if (process_address_space() != (size_t)-1 && hakmem_pin_thread(0) == -1 && errno == ENOTSUP) {
        tap_skip("no caches, so no pinning, in the %zu MiB that ulimit -v gives",
                 process_address_space() >> 20);
        return;
    }
    hakmem_unpin_thread();
    for (unsigned round = 0; round < 3; round++) {
        pthread_t threads[2];
        for (unsigned i = 0; i < 2; i++)
            REQUIRE(pthread_create(&threads[i], NULL, pinned, objects[i]) == 0);
        for (unsigned i = 0; i < 2; i++)
            pthread_join(threads[i], NULL);
    }
}

static void test_moves(void)
{
    if (has_none())
        return;
    char *object = malloc(100000);
    memset(object, 1, 100000);
    int moved = hakmem_move(object, 0);
    EXPECT(moved == 0 || errno == EPERM || errno == ENOSYS);
    moved = hakmem_move_shard(0, 0);
    EXPECT(moved == 0 || errno == EPERM);
    EXPECT(object[0] == 1 && object[99999] == 1);
    errno = 0;
    EXPECT(hakmem_move(object, 999) == -1 && errno == EINVAL);
    EXPECT(hakmem_move_shard(hakmem_shard_count(), 0) == -1 && errno == EINVAL);
    int local;
    errno = 0;
    EXPECT(hakmem_shard_of(&local) == -1 && errno == EINVAL);
    errno = 0;
    EXPECT(hakmem_node_of(NULL) == -1 && errno == EINVAL);
    free(object);
}

/* ---- CPUs that come later: for the library, a wider affinity is the same as a new CPU
 * --------- */

static cpu_set_t all_cpus;

static int run_on(const cpu_set_t *cpus)
{
    return pthread_setaffinity_np(pthread_self(), sizeof *cpus, cpus) == 0;
}

static cpu_set_t nth_cpu(unsigned wanted)
{
    cpu_set_t one;
    unsigned cpu = 0;
    for (unsigned seen = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all_cpus) && seen++ == wanted)
            break;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return one;
}

/* More objects than any front holds. */
static void run_empty(void)
{
    void *objects[512];
    for (unsigned i = 0; i < TAP_COUNT(objects); i++)
        objects[i] = malloc(30000);
    for (unsigned i = 0; i < TAP_COUNT(objects); i++)
        free(objects[i]);
}

/* Slow calls for longer than the time between two looks at the clock. */
static void run_slowly(void)
{
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        run_empty();
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < 400);
}

static void *start_elsewhere(void *argument)
{
    const cpu_set_t one = nth_cpu(1);
    (void)argument;
    EXPECT(run_on(&one));
    run_empty(); /* until now its CPU's front may have served it */
    return NULL;
}

/* The shards of a process that was bound to its first CPU, by mode `cpu`: one. */
static int begin_with_one_cpu(void)
{
    const cpu_set_t first = nth_cpu(0);
    EXPECT(run_on(&first));
    EXPECT_EQ(hakmem_reshard("cpu"), 0);
    EXPECT_EQ(hakmem_topology_refresh(), 0);
    return EXPECT_EQ(hakmem_shard_count(), 1);
}

/* 1: skipped. Leaves the CPUs that the process may use in all_cpus. */
static int cannot_move(void)
{
    if (has_none())
        return 1;
    if (sched_getaffinity(0, sizeof all_cpus, &all_cpus) != 0 || CPU_COUNT(&all_cpus) < 2 ||
        !run_on(&all_cpus)) {
        tap_skip("threads cannot be moved between CPUs here");
        return 1;
    }
    return 0;
}

/* Files are opened only on request: neither a thread's start nor a trim reads the machine. */
static void test_new_cpus(void)
{
    pthread_t thread;
    if (cannot_move())
        return;
    const char *stated = getenv("HAKMEM_SHARD");
    char mode[64];
    snprintf(mode, sizeof mode, "%s", stated != NULL ? stated : "auto");
    begin_with_one_cpu();
    REQUIRE(pthread_create(&thread, NULL, start_elsewhere, NULL) == 0);
    pthread_join(thread, NULL);
    const cpu_set_t second = nth_cpu(1);
    EXPECT(run_on(&second));
    run_slowly();
    hakmem_trim();
    EXPECT_EQ(hakmem_shard_count(), 1);
    EXPECT(run_on(&all_cpus));
    EXPECT_EQ(hakmem_topology_refresh(), 0);
    EXPECT_EQ(hakmem_shard_count(), CPU_COUNT(&all_cpus));
    EXPECT_EQ(hakmem_reshard(mode), 0);
    EXPECT_EQ(hakmem_topology_refresh(), 0);
}

/* In a process with a background thread: 0 when the shards have followed. */
static int live_with_background(void)
{
    const struct timespec pause = {0, 10 * 1000 * 1000};
    if (sched_getaffinity(0, sizeof all_cpus, &all_cpus) != 0 || !begin_with_one_cpu())
        return 1;
    const cpu_set_t second = nth_cpu(1);
    if (!run_on(&second))
        return 2;
    run_slowly();
    for (unsigned wait = 0; wait < 1000 && hakmem_shard_count() < 2; wait++)
        nanosleep(&pause, NULL);
    return hakmem_shard_count() == 2 ? 0 : 3;
}

static void test_new_cpus_in_the_background(void)
{
    if (cannot_move())
        return;
    pid_t child = process_fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        char *const arguments[] = {(char *)"placement", (char *)"inside", NULL};
        setenv("HAKMEM_BACKGROUND", "1", 1);
        execv("/proc/self/exe", arguments);
        _exit(76);
    }
    EXPECT_EQ(process_wait(child, 60), 0);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "inside") == 0)
        return live_with_background();
    static const struct tap_case cases[] = {
        {"node 0 gives memory of every size, absent nodes EINVAL", test_on_node_zero},
        {"each shard gives its own memory of every size", test_on_each_shard},
        {"interleaved memory of every size", test_interleaved},
        {"a pinned thread allocates from its shard", test_pinned},
        {"moved objects keep their content", test_moves},
        {"new CPUs get shards on request", test_new_cpus},
        {"new CPUs get shards from the background thread", test_new_cpus_in_the_background},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
