/* SPDX-License-Identifier: MIT */
/*
 * dlopen.c - the library loaded late into a program that runs on libc's malloc, as ctypes does it:
 * both mallocs live side by side, also over fork, in old and new threads.
 */
#define _GNU_SOURCE
#include "tests/conform/sizes.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

struct family {
    void *handle;
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void (*free)(void *);
    size_t (*usable_size)(void *);
};

static struct family ours;
static pthread_barrier_t loaded; /* threads that are older than the library wait here */

static int load(struct family *family)
{
    family->handle = dlopen(getenv("HAKMEM_TEST_LIBRARY"), RTLD_NOW | RTLD_LOCAL);
    if (!family->handle) {
        tap_note("dlopen: %s", dlerror());
        return 0;
    }
    family->malloc = (void *(*)(size_t))dlsym(family->handle, "malloc");
    family->calloc = (void *(*)(size_t, size_t))dlsym(family->handle, "calloc");
    family->realloc = (void *(*)(void *, size_t))dlsym(family->handle, "realloc");
    family->aligned_alloc = (void *(*)(size_t, size_t))dlsym(family->handle, "aligned_alloc");
    family->free = (void (*)(void *))dlsym(family->handle, "free");
    family->usable_size = (size_t(*)(void *))dlsym(family->handle, "malloc_usable_size");
    return family->malloc && family->calloc && family->realloc && family->aligned_alloc &&
           family->free && family->usable_size && tap_is_ours((void *)family->malloc);
}

static void *use_both(void *unused)
{
    for (unsigned i = 0; i < SIZES_COUNT; i++) {
        size_t size = sizes_of_tiers[i];
        void *mine = ours.malloc(size);
        void *libcs = malloc(size);
        void *zeroed = ours.calloc(1, size);
        void *aligned = ours.aligned_alloc(256, size);
        if (!EXPECT(mine && libcs && zeroed && aligned))
            break;
        EXPECT_EQ(bytes_nonzero(zeroed, size), 0);
        EXPECT(is_aligned(aligned, 256));
        EXPECT_GE(ours.usable_size(mine), size);
        bytes_fill(mine, 1, size);
        bytes_fill(libcs, 2, size);
        bytes_fill(aligned, 3, size);
        mine = ours.realloc(mine, size + size / 2);
        if (!EXPECT(mine != NULL))
            break;
        EXPECT_EQ(bytes_wrong(mine, 1, size, size), 0);
        EXPECT_EQ(bytes_wrong(libcs, 2, size, size), 0);
        EXPECT_EQ(bytes_wrong(aligned, 3, size, size), 0);
        ours.free(mine);
        free(libcs);
        ours.free(zeroed);
        ours.free(aligned);
    }
    return unused;
}

static void *wait_then_use_both(void *unused)
{
    pthread_barrier_wait(&loaded);
    return use_both(unused);
}

static void test_threads_older_than_the_library(void)
{
    pthread_t threads[4];
    pthread_barrier_init(&loaded, NULL, TAP_COUNT(threads) + 1);
    for (unsigned i = 0; i < TAP_COUNT(threads); i++)
        REQUIRE(pthread_create(&threads[i], NULL, wait_then_use_both, NULL) == 0);
    int fine = load(&ours);
    if (!EXPECT(fine))
        _exit(1); /* the threads have no function to call */
    pthread_barrier_wait(&loaded);
    for (unsigned i = 0; i < TAP_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
}

static void test_side_by_side(void)
{
    REQUIRE(ours.malloc != NULL);
    use_both(NULL);
    threads_run(4, use_both, NULL, 0);
}

static void test_fork(void)
{
    REQUIRE(ours.malloc != NULL);
    char *object = ours.malloc(5000);
    REQUIRE(object != NULL);
    bytes_fill(object, 1, 5000);
    pid_t child = process_fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        use_both(NULL);
        _exit(bytes_wrong(object, 1, 5000, 5000) != 0);
    }
    EXPECT_EQ(process_wait(child, 30), 0);
    ours.free(object);
}

static void test_closed_and_loaded_again(void)
{
    REQUIRE(ours.handle != NULL);
    for (unsigned i = 0; i < 3; i++) {
        void *object = ours.malloc(100);
        REQUIRE(object != NULL);
        bytes_fill(object, i, 100);
        dlclose(ours.handle); /* objects live on, so the library stays */
        REQUIRE(load(&ours));
        EXPECT_EQ(bytes_wrong(object, i, 100, 100), 0);
        ours.free(object);
        use_both(NULL);
    }
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"loaded while older threads run", test_threads_older_than_the_library},
        {"its malloc and libc's live side by side", test_side_by_side},
        {"both survive fork", test_fork},
        {"dlclose and dlopen again", test_closed_and_loaded_again},
    };
    return tap_run(argc, argv, TAP_ELSEWHERE, cases, TAP_COUNT(cases));
}
