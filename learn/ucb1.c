/* SPDX-License-Identifier: MIT */
/* Upper confidence bounds. The bound needs a logarithm and a square root. libm's would be a
 * dependency of malloc and may set errno, so they are computed here from bits. */
#include "learn/ucb1.h"

#include <float.h>
#include <stdint.h>

enum {
    EXPONENT_BIAS = 1023, /* of a double: 2^0 has this exponent */
    EXPONENT_SHIFT = 52,
    NEWTON_STEPS = 4,
};

static const double ln_of_2 = 0.693147180559945309;
static const double root_of_2 = 1.41421356237309505;
static const double plays_least = 1e-9; /* fewer count as 0: no denormals, no overflow */

union word {
    double value;
    uint64_t bits;
};

/* ln(x) to 4e-8, for 1 <= x: the exponent is the integer part of the binary logarithm; the
 * mantissa, within a factor of sqrt(2) of 1, goes through ln(m) = 2 artanh((m - 1) / (m + 1)). */
static double natural_log(double x)
{
    union word word = {x};
    int exponent = (int)(word.bits >> EXPONENT_SHIFT) - EXPONENT_BIAS;
    word.bits -= (uint64_t)exponent << EXPONENT_SHIFT;
    if (word.value > root_of_2) {
        word.value /= 2;
        exponent++;
    }
    double y = (word.value - 1) / (word.value + 1);
    double square = y * y;
    return exponent * ln_of_2 + 2 * y * (1 + square * (1. / 3 + square * (1. / 5 + square / 7)));
}

/* The square root of x >= 0. Half the exponent gives it to 7 %; each Newton step squares the error
 * and halves it, so four are exact. */
static double square_root(double x)
{
    union word word = {x};
    word.bits = (word.bits >> 1) + ((uint64_t)EXPONENT_BIAS << (EXPONENT_SHIFT - 1));
    double root = word.value;
    for (unsigned step = 0; step < NEWTON_STEPS; step++)
        root = (root + x / root) / 2;
    return root;
}

static double mean(const struct hak_ucb1 *ucb1, unsigned arm)
{
    return ucb1->plays[arm] > 0 ? ucb1->rewards[arm] / ucb1->plays[arm] : 0;
}

void hak_ucb1_start(struct hak_ucb1 *ucb1, unsigned arms)
{
    ucb1->arms = arms;
    for (unsigned arm = 0; arm < HAK_UCB1_ARMS; arm++) {
        ucb1->plays[arm] = 0;
        ucb1->rewards[arm] = 0;
    }
}

double hak_ucb1_bound(const struct hak_ucb1 *ucb1, unsigned arm)
{
    if (ucb1->plays[arm] <= 0)
        return DBL_MAX;
    double total = 0; /* at least 1, since the latest play counts 1 */
    for (unsigned other = 0; other < ucb1->arms; other++)
        total += ucb1->plays[other];
    return mean(ucb1, arm) + square_root(2 * natural_log(total) / ucb1->plays[arm]);
}

unsigned hak_ucb1_choose(const struct hak_ucb1 *ucb1)
{
    unsigned chosen = 0;
    double greatest = hak_ucb1_bound(ucb1, 0);
    for (unsigned arm = 1; arm < ucb1->arms; arm++) {
        double bound = hak_ucb1_bound(ucb1, arm);
        if (bound > greatest) {
            greatest = bound;
            chosen = arm;
        }
    }
    return chosen;
}

void hak_ucb1_reward(struct hak_ucb1 *ucb1, unsigned arm, double reward, double discount)
{
    for (unsigned other = 0; other < ucb1->arms; other++) {
        double left = ucb1->plays[other] * discount;
        int forgotten = left < plays_least;
        ucb1->plays[other] = forgotten ? 0 : left;
        ucb1->rewards[other] = forgotten ? 0 : ucb1->rewards[other] * discount;
    }
    double counted = reward > 0 ? reward : 0;
    ucb1->plays[arm] += 1;
    ucb1->rewards[arm] += counted < 1 ? counted : 1;
}
