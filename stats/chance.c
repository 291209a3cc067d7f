/* SPDX-License-Identifier: MIT */
/* Logarithm, exponential and random numbers for sampling: see the header. */
#include "stats/chance.h"

#include <string.h>

#include "os/compiler.h"

static const double LN_2 = 0.693147180559945309417;
static const double SQRT_2 = 1.41421356237309504880;
static const double STEPS = 0x1p53; /* of a random number in [0, 1) */

enum {
    MANTISSA_BITS = 52,
    EXPONENT_BIAS = 1023,
};

static const double FAR = 40;     /* exp(-40) is negligible beside 1 */
static const double NEAR = 0.125; /* up to here a short series serves */

/* Of the series of artanh, the last term first: divisions would take longer than all the rest. */
static const double odd[] = {1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3, 1};

double hak_chance_ln(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> MANTISSA_BITS) - EXPONENT_BIAS;
    bits = (bits & ((UINT64_C(1) << MANTISSA_BITS) - 1)) | (uint64_t)EXPONENT_BIAS << MANTISSA_BITS;
    double mantissa;
    memcpy(&mantissa, &bits, sizeof mantissa);
    if (mantissa > SQRT_2) {
        mantissa /= 2;
        exponent++;
    }
    /* ln m = 2 artanh((m - 1) / (m + 1)), whose argument is at most 0.172 */
    double z = (mantissa - 1) / (mantissa + 1);
    double square = z * z;
    double sum = 0;
    for (unsigned i = 0; i < HAK_ARRAY_LENGTH(odd); i++)
        sum = sum * square + odd[i];
    return 2 * z * sum + exponent * LN_2;
}

/* Of x - x^2/2! + x^3/3! - ... = x (1 - x/2 (1 - x/3 (1 - ...))), from the inside out. */
static const double parts[] = {1.0 / 9, 1.0 / 8, 1.0 / 7, 1.0 / 6, 1.0 / 5, 1.0 / 4, 1.0 / 3, 0.5};

/* 1 - exp(-x) = 2 y - y^2 for y = 1 - exp(-x/2): halves x until a short series is exact enough. */
double hak_chance_of(size_t bytes, double rate)
{
    double x = (double)bytes / rate;
    if (x > FAR)
        return 1;
    unsigned halvings = 0;
    double small = x;
    for (; small > NEAR; small /= 2)
        halvings++;
    double chance = 1;
    for (unsigned i = 0; i < HAK_ARRAY_LENGTH(parts); i++)
        chance = 1 - small * parts[i] * chance;
    chance *= small;
    for (unsigned i = 0; i < halvings; i++)
        chance = chance * (2 - chance);
    return chance;
}

uint64_t *hak_chance_scatter(uint64_t *state)
{
    uint64_t x = *state * UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    x ^= x >> 31;
    *state = x != 0 ? x : 1;
    return state;
}

uint64_t hak_chance_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}

double hak_chance_bytes(uint64_t *state, double rate)
{
    double uniform = ((double)(hak_chance_random(state) >> 11) + 1) / STEPS; /* (0, 1] */
    return -hak_chance_ln(uniform) * rate;
}
