/* SPDX-License-Identifier: MIT */
/*
 * sized.c - C23's free_sized and free_aligned_sized. glibc has them from 2.42 on, so they are
 * looked up rather than declared.
 */
#define _GNU_SOURCE
#include "tests/conform/sizes.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>

static void (*free_by_size)(void *, size_t);
static void (*free_by_alignment_and_size)(void *, size_t, size_t);

/* Whether the case can run. Only a libc may lack them; a library of ours that does has failed. */
static int find_both(void)
{
    free_by_size = (void (*)(void *, size_t))dlsym(RTLD_DEFAULT, "free_sized");
    free_by_alignment_and_size =
        (void (*)(void *, size_t, size_t))dlsym(RTLD_DEFAULT, "free_aligned_sized");
    if (free_by_size && free_by_alignment_and_size)
        return 1;
    if (tap_is_reference())
        tap_skip("this C library has no free_sized");
    else
        EXPECT(free_by_size && free_by_alignment_and_size);
    return 0;
}

static void test_null(void)
{
    if (!find_both())
        return;
    free_by_size(NULL, 0);
    free_by_size(NULL, 100);
    free_by_alignment_and_size(NULL, 64, 100);
}

static void test_all_sizes(void)
{
    if (!find_both())
        return;
    for (unsigned i = 0; i < SIZES_COUNT; i++) {
        for (unsigned j = 0; j < 3; j++) {
            size_t size = sizes_of_tiers[i];
            void *object = j == 0 ? malloc(size) : j == 1 ? calloc(size, 1) : realloc(NULL, size);
            REQUIRE(object != NULL);
            bytes_fill(object, i, size);
            errno = 4711;
            free_by_size(object, size);
            EXPECT_EQ(errno, 4711);
        }
        for (size_t alignment = 16; alignment <= 2 * MIB; alignment *= 8) {
            size_t size = (sizes_of_tiers[i] + alignment - 1) & ~(alignment - 1);
            void *object = aligned_alloc(alignment, size);
            REQUIRE(object != NULL);
            bytes_fill(object, i, sizes_of_tiers[i]);
            errno = 4711;
            free_by_alignment_and_size(object, alignment, size);
            EXPECT_EQ(errno, 4711);
        }
    }
    void *empty = malloc(0);
    free_by_size(empty, 0);
}

static void test_memory_comes_back(void)
{
    if (!find_both())
        return;
    size_t before = process_resident();
    for (unsigned i = 0; i < 200000; i++) {
        size_t size = 1 + i % 30000;
        char *object = malloc(size);
        char *aligned = aligned_alloc(64, 6400);
        REQUIRE(object && aligned);
        object[0] = object[size - 1] = aligned[6399] = 1;
        free_by_size(object, size);
        free_by_alignment_and_size(aligned, 64, 6400);
    }
    EXPECT_LE(process_resident(), before + 64 * MIB); /* 4 GiB went by */
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"NULL may be freed", test_null},
        {"sized frees take objects of all sizes and alignments", test_all_sizes},
        {"memory freed by sized frees is used again", test_memory_comes_back},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
