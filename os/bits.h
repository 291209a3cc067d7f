/* SPDX-License-Identifier: MIT */
/* Arithmetic on words and addresses. An `alignment` is a power of two. */
#ifndef HAK_OS_BITS_H
#define HAK_OS_BITS_H

#include <stddef.h>
#include <stdint.h>

static inline size_t hak_greater(size_t a, size_t b)
{
    return a > b ? a : b;
}

static inline size_t hak_lesser(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* `bytes` less `taken`, at least 0. */
static inline size_t hak_minus(size_t bytes, size_t taken)
{
    return bytes - hak_lesser(bytes, taken);
}

static inline size_t hak_align_up(size_t value, size_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

static inline size_t hak_align_down(size_t value, size_t alignment)
{
    return value & ~(alignment - 1);
}

static inline int hak_is_power_of_two(size_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* Index of the lowest set bit; word must not be 0. */
static inline unsigned hak_lowest_bit(uint64_t word)
{
    return (unsigned)__builtin_ctzll(word);
}

/* Floor of the binary logarithm; word must not be 0. */
static inline unsigned hak_log2(uint64_t word)
{
    return 63u - (unsigned)__builtin_clzll(word);
}

static inline unsigned hak_bit_count(uint64_t word)
{
    return (unsigned)__builtin_popcountll(word);
}

#endif
