/* SPDX-License-Identifier: MIT */
/*
 * prng.h - random numbers for tests: small, the same on every machine, one state per thread.
 */
#ifndef HAK_TESTS_PRNG_H
#define HAK_TESTS_PRNG_H

#include <stddef.h>
#include <stdint.h>

struct prng {
    uint64_t state; /* a counter; the numbers are its hashes, so any seed is a good one */
};

/* A bijection of 64 bits in which every input bit moves every output bit (Stafford's mix 13). */
static inline uint64_t prng_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline uint64_t prng_next(struct prng *prng)
{
    prng->state += 0x9e3779b97f4a7c15u;
    return prng_mix(prng->state);
}

/* A number in [0, bound); bound is not 0. */
static inline uint64_t prng_below(struct prng *prng, uint64_t bound)
{
    return prng_next(prng) % bound;
}

/* A size in [1, 2^limit_bits], each power of two as likely as the next. */
static inline size_t prng_size(struct prng *prng, unsigned limit_bits)
{
    uint64_t top = (uint64_t)1 << prng_below(prng, limit_bits);
    return (size_t)(top + prng_below(prng, top) + 1);
}

#endif
