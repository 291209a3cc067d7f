/* SPDX-License-Identifier: MIT */
/*
 * realloc.c - realloc and reallocarray: the contents survive every way from size to size.
 */
#define _GNU_SOURCE
#include "tests/conform/sizes.h"
#include "tests/lib/prng.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void check_step(size_t from, size_t to)
{
    void *object = malloc(from);
    REQUIRE(object != NULL);
    bytes_fill(object, 3, from);
    object = realloc(object, to);
    REQUIRE(object != NULL);
    EXPECT(is_aligned(object, to >= 16 ? 16 : 8));
    EXPECT_GE(malloc_usable_size(object), to);
    EXPECT_EQ(bytes_wrong(object, 3, from, smaller(from, to)), 0);
    bytes_fill(object, 4, to);
    EXPECT_EQ(bytes_wrong(object, 4, to, to), 0);
    free(object);
}

static void test_every_tier_to_every_tier(void)
{
    static const size_t sizes[] = {1,       8,       24,       100,      512,          1024,
                                   1025,    4000,    16 * KIB, 32 * KIB, 32 * KIB + 1, 65 * KIB,
                                   MIB - 1, 2 * MIB, 5 * MIB,  64 * MIB};
    for (unsigned i = 0; i < TAP_COUNT(sizes); i++) {
        for (unsigned j = 0; j < TAP_COUNT(sizes); j++)
            check_step(sizes[i], sizes[j]);
    }
}

static void test_grow_and_shrink_through_all_sizes(void)
{
    void *object = NULL;
    size_t size = 0;
    for (unsigned i = 0; i < 2 * SIZES_COUNT; i++) {
        size_t next = sizes_of_tiers[i < SIZES_COUNT ? i : 2 * SIZES_COUNT - 1 - i];
        object = realloc(object, next);
        REQUIRE(object != NULL);
        EXPECT_EQ(bytes_wrong(object, i, size, smaller(size, next)), 0);
        size = next;
        bytes_fill(object, i + 1, size);
    }
    free(object);
}

static void test_random_walk_among_neighbours(void)
{
    enum { COUNT = 64 };
    static void *objects[COUNT];
    static size_t sizes[COUNT];
    static unsigned tags[COUNT];
    struct prng prng = {20260101};
    for (unsigned step = 0; step < 20000; step++) {
        unsigned i = (unsigned)prng_below(&prng, COUNT);
        size_t size = prng_size(&prng, step % 50 ? 14 : 21);
        objects[i] = realloc(objects[i], size);
        REQUIRE(objects[i] != NULL);
        EXPECT_EQ(bytes_wrong(objects[i], tags[i], sizes[i], smaller(sizes[i], size)), 0);
        sizes[i] = size;
        tags[i] = step;
        bytes_fill(objects[i], step, size);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        EXPECT_EQ(bytes_wrong(objects[i], tags[i], sizes[i], sizes[i]), 0);
        free(objects[i]);
    }
}

static void test_null_is_malloc(void)
{
    for (unsigned i = 0; i < SIZES_COUNT; i++) {
        void *object = realloc(NULL, sizes_of_tiers[i]);
        REQUIRE(object != NULL);
        bytes_fill(object, 1, sizes_of_tiers[i]);
        free(object);
    }
    void *empty = realloc(NULL, 0);
    EXPECT(empty != NULL);
    free(empty);
}

static void test_zero_is_free(void)
{
    size_t before = process_resident();
    for (unsigned i = 0; i < 3000; i++) {
        void *object = malloc(200 * KIB);
        REQUIRE(object != NULL);
        memset(object, 1, 200 * KIB);
        errno = 4711;
        EXPECT(realloc(object, 0) == NULL);
        EXPECT_EQ(errno, 4711);
    }
    EXPECT_LE(process_resident(), before + 64 * MIB); /* 600 MiB would be left otherwise */
}

static void test_failure_keeps_the_object(void)
{
    const size_t from[] = {10, 1000, 20000, 100000, 3 * MIB, 40 * MIB};
    const size_t impossible[] = {SIZE_MAX, (size_t)PTRDIFF_MAX + 1, SIZE_MAX - 4095,
                                 SIZE_MAX - 2 * MIB, (size_t)1 << 62};
    for (unsigned i = 0; i < TAP_COUNT(from); i++) {
        void *object = malloc(from[i]);
        REQUIRE(object != NULL);
        bytes_fill(object, i, from[i]);
        for (unsigned j = 0; j < TAP_COUNT(impossible); j++) {
            errno = 0;
            EXPECT(realloc(object, impossible[j]) == NULL);
            EXPECT_EQ(errno, ENOMEM);
        }
        EXPECT_EQ(bytes_wrong(object, i, from[i], from[i]), 0);
        free(object);
    }
}

static void test_reallocarray(void)
{
    const size_t pairs[][2] = {{SIZE_MAX, 2},           {(size_t)1 << 32, (size_t)1 << 32},
                               {SIZE_MAX / 16 + 1, 16}, {16, SIZE_MAX / 16 + 1},
                               {SIZE_MAX / 16 + 2, 16}, {1, (size_t)PTRDIFF_MAX + 1}};
    /* volatile: the compiler thinks that a reallocarray that fails frees, too */
    void *volatile object = reallocarray(NULL, 10, 10);
    REQUIRE(object != NULL);
    bytes_fill(object, 9, 100);
    for (unsigned i = 0; i < TAP_COUNT(pairs); i++) {
        errno = 0;
        EXPECT(reallocarray(object, pairs[i][0], pairs[i][1]) == NULL);
        EXPECT_EQ(errno, ENOMEM);
    }
    object = reallocarray(object, 1000, 100);
    REQUIRE(object != NULL);
    EXPECT_EQ(bytes_wrong(object, 9, 100, 100), 0);
    EXPECT_GE(malloc_usable_size(object), 100000);
    EXPECT(reallocarray(object, 0, 8) == NULL); /* as realloc(object, 0): freed */
    void *empty = reallocarray(NULL, 8, 0);
    EXPECT(empty != NULL);
    free(empty);
}

static void test_aligned_objects(void)
{
    const size_t alignments[] = {32, 64, 256, 4096, 65536, 2 * MIB, 16 * MIB};
    const size_t sizes[] = {1, 100, 5000, 40000, 300000, 5 * MIB};
    for (unsigned i = 0; i < TAP_COUNT(alignments); i++) {
        for (unsigned j = 0; j < TAP_COUNT(sizes); j++) {
            for (unsigned k = 0; k < TAP_COUNT(sizes); k++) {
                void *object = memalign(alignments[i], sizes[j]);
                REQUIRE(object != NULL);
                bytes_fill(object, j, sizes[j]);
                object = realloc(object, sizes[k]);
                REQUIRE(object != NULL);
                EXPECT_EQ(bytes_wrong(object, j, sizes[j], smaller(sizes[j], sizes[k])), 0);
                bytes_fill(object, k, sizes[k]);
                free(object);
            }
        }
    }
}

static void test_growth_costs_little(void)
{
    /* A buffer that grows by a page at a time up to 64 MiB: 16384 reallocs. Copying at each would
     * move 512 GiB and meet the time-out. */
    char *buffer = NULL;
    for (size_t size = 4096; size <= 64 * MIB; size += 4096) {
        buffer = realloc(buffer, size);
        REQUIRE(buffer != NULL);
        memcpy(buffer + size - 4096, &size, sizeof(size));
    }
    for (size_t size = 4096; size <= 64 * MIB; size += 4096)
        EXPECT_EQ(memcmp(buffer + size - 4096, &size, sizeof(size)), 0);
    free(buffer);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"contents go from every tier to every tier", test_every_tier_to_every_tier},
        {"contents survive growing and shrinking, 1 byte to 64 MiB",
         test_grow_and_shrink_through_all_sizes},
        {"contents survive a random walk among neighbours", test_random_walk_among_neighbours},
        {"realloc(NULL, n) is malloc(n)", test_null_is_malloc},
        {"realloc(p, 0) frees and returns NULL", test_zero_is_free},
        {"a realloc that fails keeps the object", test_failure_keeps_the_object},
        {"reallocarray refuses overflow and keeps contents", test_reallocarray},
        {"objects of memalign can be resized", test_aligned_objects},
        {"growing by pages to 64 MiB costs little", test_growth_costs_little},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
