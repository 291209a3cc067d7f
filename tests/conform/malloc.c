/* SPDX-License-Identifier: MIT */
/*
 * malloc.c - malloc and free as glibc documents them: alignment, distinctness, failure, errno.
 */
#define _GNU_SOURCE
#include "tests/conform/sizes.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>

static void test_alignment(void)
{
    for (size_t size = 1; size <= 4096; size++) {
        void *object = malloc(size);
        REQUIRE(object != NULL);
        EXPECT(is_aligned(object, size >= 16 ? 16 : 8));
        free(object);
    }
    for (unsigned i = 0; i < SIZES_COUNT; i++) {
        void *objects[5];
        for (unsigned j = 0; j < TAP_COUNT(objects); j++) {
            objects[j] = malloc(sizes_of_tiers[i]);
            REQUIRE(objects[j] != NULL);
            EXPECT(is_aligned(objects[j], sizes_of_tiers[i] >= 16 ? 16 : 8));
        }
        for (unsigned j = 0; j < TAP_COUNT(objects); j++)
            free(objects[j]);
    }
}

static void test_contents_stay_apart(void)
{
    enum { ROUNDS = 3 };
    static void *objects[ROUNDS * SIZES_COUNT];
    for (unsigned i = 0; i < ROUNDS * SIZES_COUNT; i++) {
        size_t size = sizes_of_tiers[i % SIZES_COUNT];
        objects[i] = malloc(size);
        REQUIRE(objects[i] != NULL);
        bytes_fill(objects[i], i, size);
    }
    for (unsigned i = 0; i < ROUNDS * SIZES_COUNT; i++) {
        size_t size = sizes_of_tiers[i % SIZES_COUNT];
        EXPECT_EQ(bytes_wrong(objects[i], i, size, size), 0);
        free(objects[i]);
    }
}

static void test_many_small_stay_apart(void)
{
    enum { COUNT = 20000 };
    static unsigned char *objects[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        size_t size = 1 + i % 200;
        objects[i] = malloc(size);
        REQUIRE(objects[i] != NULL);
        bytes_fill(objects[i], i, size);
    }
    /* Frees every other object and allocates another size for it: the neighbours must not
     * change. */
    for (unsigned i = 0; i < COUNT; i += 2) {
        size_t size = 1 + (i * 7) % 300;
        free(objects[i]);
        objects[i] = malloc(size);
        REQUIRE(objects[i] != NULL);
        bytes_fill(objects[i], i, size);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        size_t size = i % 2 ? 1 + i % 200 : 1 + (i * 7) % 300;
        EXPECT_EQ(bytes_wrong(objects[i], i, size, size), 0);
        free(objects[i]);
    }
}

static void test_zero_size_is_unique(void)
{
    void *objects[100];
    for (unsigned i = 0; i < TAP_COUNT(objects); i++) {
        objects[i] = malloc(0);
        REQUIRE(objects[i] != NULL);
        EXPECT(is_aligned(objects[i], 8));
        for (unsigned j = 0; j < i; j++)
            EXPECT(objects[i] != objects[j]);
    }
    for (unsigned i = 0; i < TAP_COUNT(objects); i++)
        free(objects[i]);
}

static void test_too_much_is_enomem(void)
{
    const size_t sizes[] = {
        SIZE_MAX,         SIZE_MAX - 1,
        SIZE_MAX - 15,    SIZE_MAX - 4095,
        SIZE_MAX - 65536, SIZE_MAX - 2 * MIB,
        SIZE_MAX / 2 + 2, (size_t)PTRDIFF_MAX + 1,
        PTRDIFF_MAX,      (size_t)PTRDIFF_MAX - 4096,
        (size_t)1 << 62,  (size_t)1 << 48,
    };
    for (unsigned i = 0; i < TAP_COUNT(sizes); i++) {
        errno = 0;
        void *object = malloc(sizes[i]);
        EXPECT(object == NULL);
        EXPECT_EQ(errno, ENOMEM);
        free(object);
    }
    void *object = malloc(100);
    EXPECT(object != NULL);
    free(object);
}

static void test_free_keeps_errno(void)
{
    errno = 4711;
    free(NULL);
    EXPECT_EQ(errno, 4711);
    for (unsigned i = 0; i < SIZES_COUNT; i++) {
        void *objects[20];
        unsigned count = sizes_of_tiers[i] > MIB ? 4 : 20;
        for (unsigned j = 0; j < count; j++)
            objects[j] = malloc(sizes_of_tiers[i]);
        errno = 4711;
        for (unsigned j = 0; j < count; j++)
            free(objects[j]);
        EXPECT_EQ(errno, 4711);
    }
}

/* Not promised by POSIX, but programs rely on it: reading errno after a malloc that went well. */
static void test_success_keeps_errno(void)
{
    errno = 4711;
    for (unsigned i = 0; i < SIZES_COUNT; i++)
        free(malloc(sizes_of_tiers[i]));
    EXPECT_EQ(errno, 4711);
}

static void test_freed_memory_is_used_again(void)
{
    size_t before = process_resident();
    const size_t sizes[] = {32, 1000, 20000, 100000, MIB, 5 * MIB, 48 * MIB};
    for (unsigned i = 0; i < TAP_COUNT(sizes); i++) {
        /* 2 GiB of each size pass through: if they were not used again, the process would show
         * it. */
        unsigned rounds = (unsigned)(2 * GIB / sizes[i] > 200000 ? 200000 : 2 * GIB / sizes[i]);
        for (unsigned j = 0; j < rounds; j++) {
            char *object = malloc(sizes[i]);
            REQUIRE(object != NULL);
            object[0] = object[sizes[i] - 1] = 1;
            object[sizes[i] / 2] = 1;
            free(object);
        }
    }
    size_t after = process_resident();
    EXPECT_LE(after, before + 160 * MIB);
}

static void test_waste_is_small(void)
{
    for (size_t size = 1; size <= 32 * KIB; size += size < 2048 ? 1 : 37) {
        void *object = malloc(size);
        REQUIRE(object != NULL);
        size_t usable = malloc_usable_size(object);
        EXPECT_GE(usable, size);
        /* glibc's smallest is 24; ours cut in steps of 16 up to 128, then eight steps a doubling */
        size_t bound = size <= 128 ? size + 15 : size + size / 8;
        if (tap_is_reference())
            bound = size + size / 8 + 48; /* it leaves no remainder that is too small to be free */
        EXPECT_LE(usable, bound);
        free(object);
    }
}

/* In a child, because it lowers the limit for the rest of the process. */
static void exhaust(void)
{
    enum { COUNT = 4096 };
    static void *objects[COUNT];
    struct rlimit limit = {512 * MIB, 512 * MIB};
    void *early = malloc(100);
    if (setrlimit(RLIMIT_DATA, &limit) != 0 || !early)
        _exit(77);
    unsigned count = 0;
    errno = 0;
    while (count < COUNT && (objects[count] = malloc(MIB)) != NULL)
        memset(objects[count++], 1, 4096);
    if (count == COUNT || errno != ENOMEM)
        _exit(1);
    if (count < 64)
        _exit(3); /* not even an eighth of half a GiB of data could be had */
    for (unsigned i = 0; i < count; i++)
        free(objects[i]);
    void *again = malloc(MIB);
    if (!again)
        _exit(2);
    free(again);
    free(early);
    _exit(0);
}

static void test_recovers_from_exhaustion(void)
{
    pid_t child = process_fork();
    REQUIRE(child >= 0);
    if (child == 0)
        exhaust();
    int status = process_wait(child, 30);
    if (status == 77) {
        tap_skip("RLIMIT_DATA cannot be lowered here");
        return;
    }
    EXPECT_EQ(status, 0);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        /* first: memory that other cases left in caches would hide a failure */
        {"malloc fails with ENOMEM when memory ends, and recovers", test_recovers_from_exhaustion},
        {"objects are aligned to 16 from 16 bytes up", test_alignment},
        {"objects of all tiers keep their contents", test_contents_stay_apart},
        {"many small objects keep their contents", test_many_small_stay_apart},
        {"malloc(0) gives distinct objects", test_zero_size_is_unique},
        {"impossible sizes are ENOMEM", test_too_much_is_enomem},
        {"free keeps errno", test_free_keeps_errno},
        {"malloc that succeeds keeps errno", test_success_keeps_errno},
        {"freed memory is used again", test_freed_memory_is_used_again},
        {"at most an eighth of an object is waste", test_waste_is_small},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
