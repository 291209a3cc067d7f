/* SPDX-License-Identifier: MIT */
/*
 * sizes.h - the sizes at which an allocator changes its mind, and bytes that tell objects apart.
 *
 * The list crosses every class border of the small sizes, the borders of the tiers (1 KiB, 32 KiB),
 * pages and regions (64 KiB, 2 MiB), and ends at 64 MiB, where memory comes straight from the
 * kernel. No knowledge of ours beyond that: the tests see only the public calls.
 */
#ifndef HAK_TESTS_SIZES_H
#define HAK_TESTS_SIZES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * 1024)
#define GIB ((size_t)1024 * 1024 * 1024)

/* clang-format off: a table */
static const size_t sizes_of_tiers[] = {
    1,
    7,
    8,
    9,
    15,
    16,
    17,
    24,
    32,
    33,
    63,
    64,
    65,
    100,
    127,
    128,
    129,
    144,
    145,
    255,
    256,
    257,
    511,
    512,
    513,
    1000,
    1023,
    1024,
    1025,
    1500,
    2048,
    2049,
    4095,
    4096,
    4097,
    8 * KIB,
    10000,
    16 * KIB,
    16 * KIB + 1,
    32 * KIB - 1,
    32 * KIB,
    32 * KIB + 1,
    40000,
    64 * KIB,
    64 * KIB + 1,
    100000,
    128 * KIB,
    128 * KIB + 1,
    256 * KIB,
    500000,
    512 * KIB,
    MIB - 1,
    MIB,
    MIB + 1,
    2 * MIB - 1,
    2 * MIB,
    2 * MIB + 1,
    3 * MIB,
    4 * MIB,
    4 * MIB + 1,
    8 * MIB,
    16 * MIB + 1,
    32 * MIB,
    64 * MIB,
};
/* clang-format on */

enum { SIZES_COUNT = sizeof(sizes_of_tiers) / sizeof(sizes_of_tiers[0]) };

/* The byte that belongs at `offset` of the object `tag`. Neighbouring tags and offsets differ, and
 * so do offsets a page apart: a copy that is late by a page is seen. */
static inline unsigned char bytes_at(unsigned tag, size_t offset)
{
    return (unsigned char)(tag * 29 + offset + (offset >> 8) * 7 + (offset >> 12) * 13 + 1);
}

/* How far apart the bytes looked at are: every byte of small objects, fewer of large ones, with a
 * step that is no multiple of a cache line so that it visits all places in a line. */
static inline size_t bytes_step(size_t size)
{
    return size <= 64 * KIB ? 1 : 61;
}

static inline void bytes_fill(void *object, unsigned tag, size_t size)
{
    unsigned char *bytes = (unsigned char *)object;
    for (size_t i = 0; i < size; i += bytes_step(size))
        bytes[i] = bytes_at(tag, i);
    if (size > 0)
        bytes[size - 1] = bytes_at(tag, size - 1);
}

/* The number of places among the first `kept` bytes that do not hold what bytes_fill(object, tag,
 * size) wrote there. */
static inline size_t bytes_wrong(const void *object, unsigned tag, size_t size, size_t kept)
{
    const unsigned char *bytes = (const unsigned char *)object;
    size_t wrong = 0;
    for (size_t i = 0; i < kept && i < size; i += bytes_step(size))
        wrong += bytes[i] != bytes_at(tag, i);
    if (size > 0 && kept >= size)
        wrong += bytes[size - 1] != bytes_at(tag, size - 1);
    return wrong;
}

/* The number of bytes of [object, object + size) that are not zero. */
static inline size_t bytes_nonzero(const void *object, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)object;
    if (size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0))
        return 0;
    size_t wrong = 0;
    for (size_t i = 0; i < size; i++)
        wrong += bytes[i] != 0;
    return wrong;
}

static inline int is_aligned(const void *object, size_t alignment)
{
    return ((uintptr_t)object & (alignment - 1)) == 0;
}

#endif
