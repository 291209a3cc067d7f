/* SPDX-License-Identifier: MIT */
/*
 * calloc.c - calloc: zeroes whatever the memory was before, and refuses products that overflow.
 */
#define _GNU_SOURCE
#include "tests/conform/sizes.h"
#include "tests/lib/tap.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

static void test_fresh_is_zero(void)
{
    for (unsigned i = 0; i < SIZES_COUNT; i++) {
        unsigned char *object = calloc(1, sizes_of_tiers[i]);
        REQUIRE(object != NULL);
        EXPECT_EQ(bytes_nonzero(object, sizes_of_tiers[i]), 0);
        EXPECT(is_aligned(object, sizes_of_tiers[i] >= 16 ? 16 : 8));
        free(object);
    }
}

/* Fills objects of one size to the brim, frees them in an order of its own, and asks for as many
 * by calloc: whichever cache, bitmap or run they come from, they must be zero. */
static void dirty_then_calloc(size_t size, unsigned count)
{
    static void *objects[256];
    for (unsigned i = 0; i < count; i++) {
        objects[i] = malloc(size);
        REQUIRE(objects[i] != NULL);
        memset(objects[i], 0xa5, malloc_usable_size(objects[i]));
    }
    for (unsigned i = 0; i < count; i++)
        free(objects[i * 7 % count]);
    for (unsigned i = 0; i < count; i++) {
        objects[i] = calloc(1, size);
        REQUIRE(objects[i] != NULL);
        EXPECT_EQ(bytes_nonzero(objects[i], size), 0);
        memset(objects[i], 0x5a, size);
    }
    for (unsigned i = 0; i < count; i++)
        free(objects[i]);
}

static void test_dirty_is_zeroed(void)
{
    for (unsigned i = 0; i < SIZES_COUNT; i++) {
        size_t size = sizes_of_tiers[i];
        unsigned count = size <= 4096 ? 256 : size <= 128 * KIB ? 64 : size <= 2 * MIB ? 8 : 3;
        for (int round = 0; round < (size > 8 * MIB ? 1 : 3); round++)
            dirty_then_calloc(size, count);
    }
}

/* Runs that were cut from, or joined to, dirty ones of another size. */
static void test_dirty_of_another_size_is_zeroed(void)
{
    for (unsigned round = 0; round < 40; round++) {
        size_t dirty = (33 + round * 61) * KIB;
        size_t wanted = (35 + (round * 97) % 900) * KIB;
        char *left = malloc(dirty);
        char *right = malloc(dirty);
        REQUIRE(left != NULL && right != NULL);
        memset(left, 0xff, dirty);
        memset(right, 0xff, dirty);
        free(left);
        free(right);
        char *object = calloc(wanted / 64, 64);
        REQUIRE(object != NULL);
        EXPECT_EQ(bytes_nonzero(object, wanted / 64 * 64), 0);
        free(object);
    }
}

static void test_overflow_is_enomem(void)
{
    const size_t pairs[][2] = {
        {SIZE_MAX, 2},
        {2, SIZE_MAX},
        {SIZE_MAX / 2 + 1, 2},
        {(size_t)1 << 32, (size_t)1 << 32},
        {((size_t)1 << 32) + 1, (size_t)1 << 32},
        {SIZE_MAX, SIZE_MAX},
        {SIZE_MAX / 16 + 1, 16},
        {16, SIZE_MAX / 16 + 1},
        {SIZE_MAX / 16 + 2, 16},
        {1, SIZE_MAX},
        {1, (size_t)PTRDIFF_MAX + 1},
        {(size_t)1 << 31, (size_t)1 << 32},
    };
    for (unsigned i = 0; i < TAP_COUNT(pairs); i++) {
        errno = 0;
        void *object = calloc(pairs[i][0], pairs[i][1]);
        EXPECT(object == NULL);
        EXPECT_EQ(errno, ENOMEM);
        free(object);
    }
}

static void test_zero_is_unique(void)
{
    void *first = calloc(0, 16);
    void *second = calloc(16, 0);
    volatile size_t most = SIZE_MAX; /* a constant would be refused by the compiler */
    void *third = calloc(0, most);
    EXPECT(first && second && third);
    EXPECT(first != second && second != third && first != third);
    free(first);
    free(second);
    free(third);
}

static void test_product_is_usable(void)
{
    for (size_t count = 1; count < 300; count += 7) {
        for (size_t size = 1; size < 300; size += 11) {
            unsigned char *object = calloc(count, size);
            REQUIRE(object != NULL);
            EXPECT_GE(malloc_usable_size(object), count * size);
            EXPECT_EQ(bytes_nonzero(object, count * size), 0);
            memset(object, 0xee, count * size);
            free(object);
        }
    }
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"fresh memory is zero, from 1 byte to 64 MiB", test_fresh_is_zero},
        {"dirty memory used again is zeroed, from 1 byte to 64 MiB", test_dirty_is_zeroed},
        {"dirty runs cut or joined are zeroed", test_dirty_of_another_size_is_zeroed},
        {"a product that overflows is ENOMEM", test_overflow_is_enomem},
        {"a product of zero gives distinct objects", test_zero_is_unique},
        {"count times size bytes are usable and zero", test_product_is_usable},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
