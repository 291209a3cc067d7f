/* SPDX-License-Identifier: MIT */
/*
 * memalign.c - aligned_alloc, posix_memalign, memalign, valloc, pvalloc: up to 1 GiB of alignment,
 * and the refusals.
 */
#define _GNU_SOURCE
#include "tests/conform/sizes.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

static void *by_posix_memalign(size_t alignment, size_t size)
{
    void *object = NULL;
    return posix_memalign(&object, alignment, size) == 0 ? object : NULL;
}

static void *(*const calls[])(size_t, size_t) = {aligned_alloc, memalign, by_posix_memalign};

static void check_aligned(void *(*call)(size_t, size_t), size_t alignment, size_t size)
{
    void *objects[4];
    for (unsigned i = 0; i < TAP_COUNT(objects); i++) {
        objects[i] = call(alignment, size);
        REQUIRE(objects[i] != NULL);
        EXPECT(is_aligned(objects[i], alignment));
        EXPECT_GE(malloc_usable_size(objects[i]), size);
        bytes_fill(objects[i], i, size);
    }
    for (unsigned i = 0; i < TAP_COUNT(objects); i++) {
        EXPECT_EQ(bytes_wrong(objects[i], i, size, size), 0);
        free(objects[i]);
    }
}

static void test_small_alignments(void)
{
    for (unsigned i = 0; i < TAP_COUNT(calls); i++) {
        for (size_t alignment = 8; alignment <= 64 * KIB; alignment *= 2) {
            for (size_t size = 1; size <= 200000; size = size * 3 + 5)
                check_aligned(calls[i], alignment, size);
        }
    }
}

static void test_large_alignments(void)
{
    const size_t sizes[] = {1, 4096, 70000, 3 * MIB};
    for (unsigned i = 0; i < TAP_COUNT(calls); i++) {
        for (size_t alignment = 128 * KIB; alignment <= 64 * MIB; alignment *= 2) {
            for (unsigned j = 0; j < TAP_COUNT(sizes); j++)
                check_aligned(calls[i], alignment, sizes[j]);
        }
    }
}

static void test_up_to_a_gib(void)
{
    if (process_address_space() < 3 * GIB) {
        tap_skip("to align to 1 GiB takes 2 GiB, and ulimit -v gives %zu MiB",
                 process_address_space() / MIB);
        return;
    }
    for (unsigned i = 0; i < TAP_COUNT(calls); i++) {
        for (size_t alignment = 128 * MIB; alignment <= GIB; alignment *= 2) {
            void *object = calls[i](alignment, 100000);
            REQUIRE(object != NULL);
            EXPECT(is_aligned(object, alignment));
            bytes_fill(object, i, 100000);
            EXPECT_EQ(bytes_wrong(object, i, 100000, 100000), 0);
            free(object);
        }
    }
}

/* Objects of an alignment between ordinary ones, so that both share slabs, caches and frees. */
static void test_mixed_with_ordinary(void)
{
    enum { COUNT = 600 };
    static void *objects[COUNT];
    static size_t sizes[COUNT];
    for (unsigned round = 0; round < 6; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            size_t alignment = (size_t)16 << (i % 9);
            sizes[i] = 1 + (i * 131 + round * 17) % 5000;
            objects[i] = i % 3 ? memalign(alignment, sizes[i]) : malloc(sizes[i]);
            REQUIRE(objects[i] != NULL);
            EXPECT(i % 3 == 0 || is_aligned(objects[i], alignment));
            bytes_fill(objects[i], i, sizes[i]);
        }
        for (unsigned i = 0; i < COUNT; i++) {
            EXPECT_EQ(bytes_wrong(objects[i], i, sizes[i], sizes[i]), 0);
            free(objects[i]);
        }
    }
}

static void test_posix_memalign_refuses(void)
{
    const size_t invalid[] = {0, 1, 2, 3, 4, 6, 7, 12, 24, 48, 100, 4097, SIZE_MAX, 3 * MIB};
    for (unsigned i = 0; i < TAP_COUNT(invalid); i++) {
        void *object = &object;
        errno = 4711;
        EXPECT_EQ(posix_memalign(&object, invalid[i], 64), EINVAL);
        EXPECT(object == &object);
        EXPECT_EQ(errno, 4711); /* the result tells; errno is left alone */
    }
    const size_t huge[] = {SIZE_MAX, (size_t)PTRDIFF_MAX + 1, SIZE_MAX - 4096, SIZE_MAX - 63};
    for (unsigned i = 0; i < TAP_COUNT(huge); i++) {
        void *object = &object;
        errno = 4711;
        EXPECT_EQ(posix_memalign(&object, 64, huge[i]), ENOMEM);
        EXPECT_EQ(errno, ENOMEM); /* beside the result, as glibc's does */
        EXPECT(object == &object);
        EXPECT_EQ(posix_memalign(&object, MIB, huge[i]), ENOMEM);
    }
}

/* glibc up to 2.37 rounds a wrong alignment up, later ones refuse it in aligned_alloc; both are
 * documented. What must not be: a pointer that is aligned to less than was asked. */
static void check_odd_alignment(void *(*call)(size_t, size_t), size_t alignment)
{
    size_t rounded = 1;
    while (rounded < alignment)
        rounded *= 2;
    errno = 0;
    void *object = call(alignment, 100);
    if (object)
        EXPECT(is_aligned(object, rounded));
    else
        EXPECT_EQ(errno, EINVAL);
    free(object);
}

static void test_odd_alignments(void)
{
    const size_t odd[] = {0, 1, 3, 5, 17, 24, 48, 100, 4097, 70000};
    for (unsigned i = 0; i < TAP_COUNT(odd); i++) {
        check_odd_alignment(aligned_alloc, odd[i]);
        check_odd_alignment(memalign, odd[i]);
    }
    errno = 0;
    volatile size_t most = SIZE_MAX; /* constants would be refused by the compiler */
    EXPECT(memalign(most, 100) == NULL);
    EXPECT(errno == EINVAL || errno == ENOMEM);
    errno = 0;
    EXPECT(aligned_alloc(most / 2 + 2, 100) == NULL);
    EXPECT(errno == EINVAL || errno == ENOMEM);
}

static void test_huge_sizes(void)
{
    const size_t huge[] = {SIZE_MAX, SIZE_MAX - 64, (size_t)PTRDIFF_MAX + 1, (size_t)1 << 62};
    const size_t alignments[] = {16, 64, 4096, 2 * MIB, GIB};
    for (unsigned i = 0; i < TAP_COUNT(huge); i++) {
        for (unsigned j = 0; j < TAP_COUNT(alignments); j++) {
            errno = 0;
            EXPECT(memalign(alignments[j], huge[i]) == NULL);
            EXPECT_EQ(errno, ENOMEM);
            errno = 0;
            EXPECT(aligned_alloc(alignments[j], huge[i] & ~(alignments[j] - 1)) == NULL);
            EXPECT_EQ(errno, ENOMEM);
        }
        errno = 0;
        EXPECT(valloc(huge[i]) == NULL);
        EXPECT_EQ(errno, ENOMEM);
        errno = 0;
        EXPECT(pvalloc(huge[i]) == NULL);
        EXPECT_EQ(errno, ENOMEM);
    }
}

static void test_page_calls(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t sizes[] = {1,        100,           page - 1,      page,
                            page + 1, 10 * page - 5, 70 * page + 1, 5 * MIB};
    for (unsigned i = 0; i < TAP_COUNT(sizes); i++) {
        void *plain = valloc(sizes[i]);
        REQUIRE(plain != NULL);
        EXPECT(is_aligned(plain, page));
        bytes_fill(plain, 1, sizes[i]);
        size_t rounded = (sizes[i] + page - 1) / page * page;
        void *padded = pvalloc(sizes[i]);
        REQUIRE(padded != NULL);
        EXPECT(is_aligned(padded, page));
        EXPECT_GE(malloc_usable_size(padded), rounded);
        bytes_fill(padded, 2, rounded);
        EXPECT_EQ(bytes_wrong(plain, 1, sizes[i], sizes[i]), 0);
        EXPECT_EQ(bytes_wrong(padded, 2, rounded, rounded), 0);
        free(plain);
        free(padded);
    }
}

static void test_zero_sizes(void)
{
    void *objects[] = {aligned_alloc(64, 0), memalign(64, 0),  by_posix_memalign(64, 0), valloc(0),
                       pvalloc(0),           memalign(MIB, 0), aligned_alloc(4096, 0)};
    for (unsigned i = 0; i < TAP_COUNT(objects); i++) {
        EXPECT(objects[i] != NULL);
        EXPECT(is_aligned(objects[i], 16));
        for (unsigned j = 0; j < i; j++)
            EXPECT(objects[i] != objects[j]);
    }
    for (unsigned i = 0; i < TAP_COUNT(objects); i++)
        free(objects[i]);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"alignments of 8 bytes to 64 KiB", test_small_alignments},
        {"alignments of 128 KiB to 64 MiB", test_large_alignments},
        {"alignments up to 1 GiB", test_up_to_a_gib},
        {"aligned objects among ordinary ones", test_mixed_with_ordinary},
        {"posix_memalign returns EINVAL and ENOMEM, the latter also in errno",
         test_posix_memalign_refuses},
        {"an alignment that is no power of two is refused or rounded up", test_odd_alignments},
        {"impossible sizes are ENOMEM", test_huge_sizes},
        {"valloc and pvalloc work in pages", test_page_calls},
        {"zero sizes give distinct aligned objects", test_zero_sizes},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
