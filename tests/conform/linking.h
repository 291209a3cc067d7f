/* SPDX-License-Identifier: MIT */
/*
 * linking.h - what a program that was linked with the library, one way or another, checks.
 */
#ifndef HAK_TESTS_LINKING_H
#define HAK_TESTS_LINKING_H

#include "tests/conform/sizes.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

static inline void *linking_use_family(void *unused)
{
    for (unsigned i = 0; i < SIZES_COUNT; i++) {
        size_t size = sizes_of_tiers[i];
        void *posix = NULL;
        void *objects[] = {malloc(size),
                           calloc(1, size),
                           realloc(NULL, size),
                           memalign(64, size),
                           aligned_alloc(32, size),
                           valloc(size),
                           pvalloc(size),
                           reallocarray(NULL, 1, size)};
        EXPECT_EQ(posix_memalign(&posix, 128, size), 0);
        for (unsigned j = 0; j < TAP_COUNT(objects); j++) {
            if (!EXPECT(objects[j] != NULL))
                return NULL;
            EXPECT_GE(malloc_usable_size(objects[j]), size);
            bytes_fill(objects[j], j, size);
        }
        for (unsigned j = 0; j < TAP_COUNT(objects); j++) {
            EXPECT_EQ(bytes_wrong(objects[j], j, size, size), 0);
            free(objects[j]);
        }
        free(posix);
    }
    return unused;
}

static inline void linking_family(void)
{
    linking_use_family(NULL);
    threads_run(4, linking_use_family, NULL, 0);
}

static inline void linking_libc(void)
{
    char *text = NULL;
    EXPECT_EQ(asprintf(&text, "%s", "text"), 4);
    text = realloc(text, 100000);
    EXPECT(text && strcmp(text, "text") == 0);
    free(text);
    struct mallinfo2 info = mallinfo2();
    EXPECT_GE(info.arena + info.hblkhd, 1);
    EXPECT_EQ(mallopt(M_MMAP_THRESHOLD, 1 << 20), 1);
    malloc_trim(0);
}

static inline void linking_fork(void)
{
    pid_t child = process_fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        linking_family();
        _exit(0);
    }
    EXPECT_EQ(process_wait(child, 60), 0);
}

static const struct tap_case linking_cases[] = {
    {"the whole family works, in threads too", linking_family},
    {"libc works on it", linking_libc},
    {"fork works", linking_fork},
};

#endif
