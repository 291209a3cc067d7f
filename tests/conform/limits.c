/* SPDX-License-Identifier: MIT */
/* limits.c - a process that starts with little: of address space, of CPUs, of stack, of files.
 *
 * The program executes itself again under each limit, with the word `inside`, so that the library
 * meets the limit from its first call on. */
#define _GNU_SOURCE
#include "tests/conform/sizes.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static void *use_all_tiers(void *unused)
{
    for (unsigned i = 0; i < SIZES_COUNT && sizes_of_tiers[i] <= 8 * MIB; i++) {
        void *object = malloc(sizes_of_tiers[i]);
        if (!object)
            _exit(1);
        bytes_fill(object, i, sizes_of_tiers[i]);
        object = realloc(object, sizes_of_tiers[i] * 2);
        if (!object || bytes_wrong(object, i, sizes_of_tiers[i], sizes_of_tiers[i]) != 0)
            _exit(2);
        free(object);
    }
    return unused;
}

/* The program executed again. Its status is the result. */
static int live_inside(const char *limit)
{
    use_all_tiers(NULL);
    pthread_t threads[3];
    for (unsigned i = 0; i < TAP_COUNT(threads); i++) {
        if (pthread_create(&threads[i], NULL, use_all_tiers, NULL) != 0)
            return 3;
    }
    for (unsigned i = 0; i < TAP_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    if (strcmp(limit, "space") != 0 && strcmp(limit, "data") != 0)
        return 0;
    static void *objects[4096];
    unsigned count = 0;
    errno = 0;
    while (count < TAP_COUNT(objects) && (objects[count] = malloc(MIB)) != NULL)
        memset(objects[count++], 1, 100);
    if (count == TAP_COUNT(objects) || count < 32 || errno != ENOMEM)
        return 4;
    for (unsigned i = 0; i < count; i++)
        free(objects[i]);
    use_all_tiers(NULL);
    return 0;
}

static void restart(const char *limit)
{
    char *const arguments[] = {(char *)"limits", (char *)"inside", (char *)limit, NULL};
    closefrom(3); /* what make or a shell left open would count */
    execv("/proc/self/exe", arguments);
    _exit(77);
}

static void limit_resource(int resource, rlim_t amount, const char *limit)
{
    pid_t child = process_fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        struct rlimit value = {amount, amount};
        if (setrlimit((__rlimit_resource_t)resource, &value) != 0)
            _exit(77);
        restart(limit);
    }
    int status = process_wait(child, 60);
    if (status == 77)
        tap_skip("the limit cannot be set here");
    else
        EXPECT_EQ(status, 0);
}

/* 640 MiB: three threads' stacks and their memory fit; reservations of gigabytes do not. */
static void test_little_address_space(void)
{
    limit_resource(RLIMIT_AS, 640 * MIB, "space");
}

/* Counts private and writable memory, touched or not. */
static void test_little_data(void)
{
    limit_resource(RLIMIT_DATA, 512 * MIB, "data");
}

static void test_few_files(void)
{
    limit_resource(RLIMIT_NOFILE, 4, "files"); /* what the loader needs, and hardly more */
}

static void test_no_locked_memory(void)
{
    limit_resource(RLIMIT_MEMLOCK, 0, "lock");
}

static void test_each_cpu_alone(void)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
        tap_skip("the kernel refuses sched_getaffinity here");
        return;
    }
    unsigned tried = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE && tried < 4; cpu++) {
        if (!CPU_ISSET(cpu, &allowed))
            continue;
        tried++;
        pid_t child = process_fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            if (sched_setaffinity(0, sizeof(one), &one) != 0)
                _exit(77);
            restart("cpu");
        }
        int status = process_wait(child, 60);
        if (status == 77) {
            tap_skip("the kernel refuses sched_setaffinity here");
            return;
        }
        EXPECT_EQ(status, 0);
    }
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "inside") == 0)
        return live_inside(argv[2]);
    static const struct tap_case cases[] = {
        {"with 640 MiB of address space it runs, ends with ENOMEM and recovers",
         test_little_address_space},
        {"with 512 MiB of data it runs, ends with ENOMEM and recovers", test_little_data},
        {"the program runs with four open files", test_few_files},
        {"the program runs without the right to lock memory", test_no_locked_memory},
        {"the program runs bound to any one CPU", test_each_cpu_alone},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
