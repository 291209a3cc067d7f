/* SPDX-License-Identifier: MIT */
/* fork.c - parent and child go on allocating after a fork, whatever the other threads were doing;
 * objects from before the fork belong to both. */
#define _GNU_SOURCE
#include "tests/conform/sizes.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

#include <malloc.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>

enum { OBJECTS = 400 };

static void *objects[OBJECTS];
static unsigned stop; /* set by the main thread, read by the busy ones */

extern char **environ;

static size_t size_of(unsigned i)
{
    return i % 40 == 0 ? 50000 * (i / 40 + 1) : 1 + (i * 211) % 9000;
}

static int use_all_tiers(unsigned rounds)
{
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < SIZES_COUNT && sizes_of_tiers[i] <= 4 * MIB; i++) {
            char *object = malloc(sizes_of_tiers[i]);
            if (!object)
                return 0;
            object[0] = object[sizes_of_tiers[i] - 1] = 1;
            free(object);
        }
    }
    return 1;
}

static void *stay_busy(void *unused)
{
    /* relaxed: nothing but the wish to stop is passed on */
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        use_all_tiers(1);
    return unused;
}

static void *use_all_body(void *unused)
{
    if (!use_all_tiers(2))
        _exit(3);
    return unused;
}

static int is_intact(void)
{
    for (unsigned i = 0; i < OBJECTS; i++) {
        if (bytes_wrong(objects[i], i, size_of(i), size_of(i)) != 0)
            return 0;
    }
    return 1;
}

/* All that a child may do: use the old objects, make new ones, start threads, fork again. */
static void live_as_child(void)
{
    if (!is_intact())
        _exit(1);
    for (unsigned i = 0; i < OBJECTS; i += 2)
        free(objects[i]);
    if (!use_all_tiers(3))
        _exit(2);
    pthread_t thread;
    if (pthread_create(&thread, NULL, use_all_body, NULL) != 0 || pthread_join(thread, NULL) != 0)
        _exit(4);
    pid_t grandchild = process_fork();
    if (grandchild == 0)
        _exit(use_all_tiers(1) ? 0 : 5);
    _exit(process_wait(grandchild, 10));
}

static void make_objects(void)
{
    for (unsigned i = 0; i < OBJECTS; i++) {
        objects[i] = malloc(size_of(i));
        REQUIRE(objects[i] != NULL);
        bytes_fill(objects[i], i, size_of(i));
    }
}

static void free_objects(void)
{
    EXPECT(is_intact());
    for (unsigned i = 0; i < OBJECTS; i++)
        free(objects[i]);
}

static void test_alone(void)
{
    make_objects();
    for (unsigned i = 0; i < 10; i++) {
        pid_t child = process_fork();
        REQUIRE(child >= 0);
        if (child == 0)
            live_as_child();
        if (!EXPECT_EQ(process_wait(child, 20), 0))
            break;
    }
    free_objects();
}

static void test_with_busy_threads(void)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    make_objects();
    stop = 0;
    for (unsigned i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, stay_busy, NULL) == 0);
    for (unsigned i = 0; i < 40; i++) {
        pid_t child = process_fork();
        REQUIRE(child >= 0);
        if (child == 0)
            live_as_child();
        if (!EXPECT_EQ(process_wait(child, 20), 0))
            break;
        EXPECT(use_all_tiers(1));
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED); /* relaxed: as in stay_busy */
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    free_objects();
}

static unsigned handler_calls;

static void allocate_in_handler(void)
{
    handler_calls++;
    if (!use_all_tiers(1))
        _exit(6);
}

/* Handlers registered after the library's own run before it in prepare, after it elsewhere; those
 * of a library that started earlier run the other way. Both may allocate. */
static void test_handlers_allocate(void)
{
    REQUIRE(pthread_atfork(allocate_in_handler, allocate_in_handler, allocate_in_handler) == 0);
    make_objects();
    pid_t child = process_fork();
    REQUIRE(child >= 0);
    if (child == 0)
        live_as_child();
    EXPECT_EQ(process_wait(child, 20), 0);
    EXPECT_EQ(handler_calls, 2);
    free_objects();
}

static void *begin_to_allocate(void *unused)
{
    free(malloc(100));
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE); /* pairs with the acquire in live_while_placing */
    return unused;
}

/* A process whose second thread makes the library place its shards forks again and again meanwhile.
 * Returns whether all children succeeded. */
static int live_while_placing(void)
{
    enum { CHILDREN = 40 };
    pid_t children[CHILDREN];
    unsigned count = 0;
    unsigned bad = 0;
    pthread_t thread;
    free(malloc(100));
    if (pthread_create(&thread, NULL, begin_to_allocate, NULL) != 0)
        return 0;
    while (count < CHILDREN && !__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
        pid_t child = process_fork();
        if (child == 0) {
            malloc_trim(0); /* waits until the shards are placed */
            _exit(use_all_tiers(1) ? 0 : 1);
        }
        children[count++] = child;
    }
    for (unsigned i = 0; i < count; i++)
        bad += children[i] < 0 || process_wait(children[i], 10) != 0;
    pthread_join(thread, NULL);
    return bad == 0;
}

static void test_while_placing(void)
{
    /* The mode in which this waits for the second thread. */
    for (unsigned i = 0; i < 120; i++) {
        pid_t child = process_fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            setenv("HAKMEM_SHARD", "auto", 1);
            execl("/proc/self/exe", "fork", "--placing", (char *)NULL);
            _exit(126);
        }
        if (!EXPECT_EQ(process_wait(child, 60), 0))
            break;
    }
}

static void test_spawn_and_popen(void)
{
    for (unsigned i = 0; i < 20; i++) {
        char *const arguments[] = {(char *)"true", NULL};
        pid_t child;
        REQUIRE(posix_spawnp(&child, "true", NULL, NULL, arguments, environ) == 0);
        EXPECT_EQ(process_wait(child, 20), 0);
        free(malloc(1000));
    }
    FILE *pipe = popen("echo a line", "r");
    REQUIRE(pipe != NULL);
    char *line = NULL;
    size_t capacity = 0;
    EXPECT_EQ(getline(&line, &capacity, pipe), 7);
    free(line);
    EXPECT_EQ(pclose(pipe), 0);
    EXPECT_EQ(system("exit 3") >> 8, 3);
    pid_t child = vfork();
    if (child == 0)
        _exit(0);
    EXPECT_EQ(process_wait(child, 20), 0);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--placing") == 0)
        return live_while_placing() ? 0 : 1;
    static const struct tap_case cases[] = {
        {"parent and child keep their objects and allocate", test_alone},
        {"a child of a busy parent allocates, starts threads, forks", test_with_busy_threads},
        {"a child of a parent that was placing shards places them itself", test_while_placing},
        {"spawn, popen, system, vfork", test_spawn_and_popen},
        {"fork handlers may allocate", test_handlers_allocate},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
