/* SPDX-License-Identifier: MIT */
/*
 * usable.c - malloc_usable_size: every byte it promises is the object's own.
 */
#define _GNU_SOURCE
#include "tests/conform/sizes.h"
#include "tests/lib/prng.h"
#include "tests/lib/tap.h"
#include "tests/lib/weak.h"

#include <malloc.h>
#include <stdlib.h>

static void test_null_is_zero(void)
{
    EXPECT_EQ(malloc_usable_size(NULL), 0);
}

static void test_at_least_what_was_asked(void)
{
    for (unsigned i = 0; i < SIZES_COUNT; i++) {
        void *objects[] = {malloc(sizes_of_tiers[i]), calloc(1, sizes_of_tiers[i]),
                           realloc(NULL, sizes_of_tiers[i]), memalign(256, sizes_of_tiers[i])};
        for (unsigned j = 0; j < TAP_COUNT(objects); j++) {
            REQUIRE(objects[j] != NULL);
            EXPECT_GE(malloc_usable_size(objects[j]), sizes_of_tiers[i]);
            EXPECT_EQ(malloc_usable_size(objects[j]), malloc_usable_size(objects[j]));
        }
        for (unsigned j = 0; j < TAP_COUNT(objects); j++)
            free(objects[j]);
    }
}

/* Writes every byte that it promises. */
static void test_good_size(void)
{
    if (tap_is_reference()) {
        tap_skip("glibc has no such function");
        return;
    }
    for (unsigned i = 0; i < SIZES_COUNT; i++) {
        size_t good = hakmem_good_size(sizes_of_tiers[i]);
        void *object = malloc(sizes_of_tiers[i]);
        REQUIRE(object != NULL);
        EXPECT_GE(good, sizes_of_tiers[i]);
        EXPECT_GE(malloc_usable_size(object), good);
        EXPECT_GE(hakmem_good_size(good), good);
        free(object);
    }
    void *empty = malloc(0);
    EXPECT_EQ(malloc_usable_size(empty), hakmem_good_size(0));
    free(empty);
    EXPECT_EQ(hakmem_good_size(SIZE_MAX), 0);
    EXPECT_EQ(hakmem_good_size((size_t)PTRDIFF_MAX + 1), 0);
}

/* Fills many objects to the last usable byte: if it promised too much, neighbours would clash. */
static void test_all_of_it_can_be_written(void)
{
    enum { COUNT = 3000 };
    static void *objects[COUNT];
    static size_t usable[COUNT];
    struct prng prng = {7};
    for (unsigned i = 0; i < COUNT; i++) {
        size_t size = prng_size(&prng, i % 100 ? 13 : 20);
        objects[i] = i % 5 ? malloc(size) : memalign((size_t)64 << (i % 4), size);
        REQUIRE(objects[i] != NULL);
        usable[i] = malloc_usable_size(objects[i]);
        bytes_fill(objects[i], i, usable[i]);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        EXPECT_EQ(malloc_usable_size(objects[i]), usable[i]);
        EXPECT_EQ(bytes_wrong(objects[i], i, usable[i], usable[i]), 0);
        free(objects[i]);
    }
}

static void test_realloc_keeps_the_asked_part(void)
{
    for (unsigned i = 0; i < SIZES_COUNT; i++) {
        size_t size = sizes_of_tiers[i];
        void *object = malloc(size);
        REQUIRE(object != NULL);
        size_t usable = malloc_usable_size(object);
        bytes_fill(object, i, usable);
        object = realloc(object, usable); /* within what it has: nothing may be lost */
        REQUIRE(object != NULL);
        EXPECT_EQ(bytes_wrong(object, i, usable, usable), 0);
        EXPECT_GE(malloc_usable_size(object), usable);
        free(object);
    }
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"the usable size of NULL is 0", test_null_is_zero},
        {"the usable size is at least the requested one, and does not change",
         test_at_least_what_was_asked},
        {"hakmem_good_size predicts it", test_good_size},
        {"every usable byte is the object's own", test_all_of_it_can_be_written},
        {"a realloc to the usable size keeps all of it", test_realloc_keeps_the_asked_part},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
