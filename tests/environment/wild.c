/* SPDX-License-Identifier: MIT */
/* wild.c - pointers that no call ever returned: any 64 bits given to free and its relatives are
 * reported as misuse, and ignored if HAKMEM_MISUSE says so. The library follows none of them.
 *
 * The options are read at the start, so the program executes itself again. */
#define _GNU_SOURCE
#include "tests/lib/prng.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"
#include "tests/lib/weak.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

enum { RANDOM_COUNT = 20000 };

/* Hides the functions from the compiler, which knows libc's declarations. */
static void *wild(uint64_t bits)
{
    void *pointer = (void *)(uintptr_t)bits;
    __asm__("" : "+r"(pointer));
    return pointer;
}

/* 0 if all of the calls ignore the pointer and report it. */
static int touch(uint64_t bits)
{
    void *pointer = wild(bits);
    errno = 1234;
    free(pointer);
    int bad = errno != 1234;
    bad |= malloc_usable_size(pointer) != 0;
    errno = 0;
    bad |= realloc(pointer, 100) != NULL || errno != EINVAL;
    bad |= realloc(pointer, 1 << 20) != NULL;
    bad |= hakmem_shard_of(pointer) != -1;
    bad |= hakmem_move(pointer, 0) != -1;
    return bad;
}

/* Addresses that the kernel does not map by itself: beyond user space, or its lower half, less the
 * first pages of it (NULL has a meaning). */
static uint64_t unmapped(uint64_t bits)
{
    if (bits >> 48 == 0)
        bits &= ((uint64_t)1 << 44) - 1;
    return bits < 4096 ? bits + 4096 : bits;
}

static int touch_all(void)
{
    struct prng prng = {5};
    int bad = 0;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int64_t near = -16; near <= 16; near += 16) {
            bad |= touch(unmapped(((uint64_t)1 << bit) + (uint64_t)near));
            bad |= touch(unmapped(~((uint64_t)1 << bit) + (uint64_t)near));
        }
    }
    /* Addresses of live objects with bits set beyond user space: code that drops these bits would
     * find the objects. */
    static void *objects[4];
    static const size_t sizes[] = {24, 3000, 100000, 9 << 20};
    for (unsigned i = 0; i < 4; i++) {
        if (objects[i] == NULL)
            objects[i] = malloc(sizes[i]);
        for (unsigned bit = 48; bit < 64; bit++)
            bad |= touch((uint64_t)(uintptr_t)objects[i] | (uint64_t)1 << bit);
        bad |= malloc_usable_size(objects[i]) < sizes[i];
    }
    for (unsigned i = 0; i < RANDOM_COUNT; i++)
        bad |= touch(unmapped(prng_next(&prng) >> prng_below(&prng, 40) & ~(uint64_t)7));
    return bad;
}

/* The first call of a thread is a wild free. */
static void *thread_touch(void *unused)
{
    (void)unused;
    free(wild(UINT64_C(0xdeadbeefdeadbee0)));
    return touch_all() ? wild(1) : NULL;
}

static int live_on(void)
{
    free(wild(UINT64_C(0xffff800000001000)));
    int bad = touch_all();
    pthread_t thread;
    void *result = NULL;
    if (pthread_create(&thread, NULL, thread_touch, NULL) != 0)
        return 3;
    pthread_join(thread, &result);
    return bad || result != NULL;
}

static int run_inside(const char *misuse, const char *argument)
{
    pid_t child = process_fork();
    if (child < 0)
        return -1;
    if (child == 0) {
        char *const arguments[] = {(char *)"wild", (char *)"inside", (char *)argument, NULL};
        int nowhere = open("/dev/null", O_WRONLY);
        dup2(nowhere, STDERR_FILENO);
        setenv("HAKMEM_MISUSE", misuse, 1);
        execv("/proc/self/exe", arguments);
        _exit(77);
    }
    return process_wait(child, 60);
}

static int has_none(void)
{
    if (hakmem_shard_of != NULL)
        return 0;
    tap_skip("glibc follows them");
    return 1;
}

static void test_forgiven(void)
{
    if (has_none())
        return;
    EXPECT_EQ(run_inside("ignore", "all"), 0);
    EXPECT_EQ(run_inside("warn", "all"), 0);
}

static void test_told(void)
{
    static const char *const addresses[] = {
        "8",
        "1000",
        "400000000000",
        "7fffffffffff",
        "7ffffffffff0",
        "800000000000",
        "ffffffffffff",
        "1000000000000",
        "deadbeefdeadbee0",
        "8000000000000000",
        "ffff800000000000",
        "ffffffffffffffff",
    };
    if (has_none())
        return;
    for (unsigned i = 0; i < TAP_COUNT(addresses); i++)
        EXPECT_EQ(run_inside("abort", addresses[i]), 128 + SIGABRT);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "inside") == 0) {
        if (strcmp(argv[2], "all") == 0)
            return live_on();
        free(malloc(24)); /* the thread has a front: the fast path looks */
        free(wild(strtoull(argv[2], NULL, 16)));
        return 0;
    }
    static const struct tap_case cases[] = {
        {"free ignores any 64 bits with HAKMEM_MISUSE=ignore", test_forgiven},
        {"any 64 bits given to free end the program by default", test_told},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
