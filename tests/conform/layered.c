/* SPDX-License-Identifier: MIT */
/* layered.c - a process with a layer before our malloc that passes calls on by __libc_malloc and
 * its relatives (layer.c), and direct calls of those names.
 *
 * The program executes itself again with the layer preloaded before the libraries that were
 * preloaded. */
#define _GNU_SOURCE
#include "tests/conform/sizes.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    COUNT = 1000,
    THREADS = 3,
};

static void require(int holds, int status)
{
    if (!holds)
        _exit(status);
}

static void use(void *object, size_t size, int status)
{
    require(object != NULL && malloc_usable_size(object) >= size, status);
    bytes_fill(object, 3, size);
}

static void *call_all(void *unused)
{
    for (unsigned i = 0; i < SIZES_COUNT && sizes_of_tiers[i] <= 8 * MIB; i++) {
        size_t size = sizes_of_tiers[i];
        void *objects[] = {malloc(size),        calloc(1, size), realloc(NULL, size),
                           memalign(256, size), valloc(size),    pvalloc(size)};
        for (unsigned which = 0; which < TAP_COUNT(objects); which++)
            use(objects[which], size, 10 + (int)which);
        objects[0] = realloc(objects[0], size * 2);
        require(objects[0] != NULL && bytes_wrong(objects[0], 3, size, size) == 0, 20);
        require((uintptr_t)objects[3] % 256 == 0, 21);
        for (unsigned which = 0; which < TAP_COUNT(objects); which++)
            free(objects[which]);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        char *text = strdup("a text"); /* libc's calls go through the layer, too */
        require(text != NULL, 22);
        free(text);
    }
    return unused;
}

static int live_layered(void)
{
    pthread_t threads[THREADS];
    const unsigned long *calls = dlsym(RTLD_DEFAULT, "layer_calls");
    require(calls != NULL, 3);
    for (unsigned i = 0; i < THREADS; i++)
        require(pthread_create(&threads[i], NULL, call_all, NULL) == 0, 4);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    require(*calls >= THREADS * COUNT, 5);
    require(malloc_usable_size(NULL) == 0, 6);
    return 0;
}

static void test_layer(void)
{
    const char *layer = getenv("HAKMEM_TEST_LAYER");
    REQUIRE(layer != NULL && access(layer, R_OK) == 0);
    pid_t child = process_fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        char *const arguments[] = {(char *)"layered", (char *)"inside", NULL};
        char preload[4096];
        const char *ours = getenv("LD_PRELOAD");
        snprintf(preload, sizeof(preload), "%s:%s", layer, ours ? ours : "");
        setenv("LD_PRELOAD", preload, 1);
        execv("/proc/self/exe", arguments);
        _exit(76);
    }
    EXPECT_EQ(process_wait(child, 60), 0);
}

/* The library that is named first must be of the malloc under test. */
static void test_names(void)
{
    static const char *const names[] = {
        "__libc_malloc",   "__libc_free",    "__libc_calloc",  "__libc_realloc",
        "__libc_memalign", "__libc_valloc",  "__libc_pvalloc", "__libc_reallocarray",
        "__libc_mallinfo", "__libc_mallopt",
    };
    if (tap_is_reference()) {
        tap_skip("the names are glibc's own");
        return;
    }
    for (unsigned i = 0; i < TAP_COUNT(names); i++) {
        const void *function = dlsym(RTLD_DEFAULT, names[i]);
        if (!EXPECT(function != NULL && tap_is_ours(function)))
            tap_note("%s", names[i]);
    }
    errno = 0;
    void *(*allocate)(size_t) = (void *(*)(size_t))dlsym(RTLD_DEFAULT, "__libc_malloc");
    EXPECT(allocate(SIZE_MAX / 2) == NULL && errno == ENOMEM);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "inside") == 0)
        return live_layered();
    static const struct tap_case cases[] = {
        {"glibc's own names of the malloc family belong to the library", test_names},
        {"a preloaded layer reaches the library by these names", test_layer},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
