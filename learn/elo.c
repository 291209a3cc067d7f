/* SPDX-License-Identifier: MIT */
/* Elo ratings in the caller's array. Elo's curve needs a power of ten. libm's would be a dependency
 * of malloc and may set errno, so it is computed here from bits and a short series. */
#include "learn/elo.h"

#include <stdint.h>

enum {
    DIFFERENCE_MAX = 2000, /* points; beyond, a match is decided */
    EXPONENT_BIAS = 1023,  /* of a double: 2^0 has this exponent */
    EXPONENT_SHIFT = 52,
};

static const double log2_of_10 = 3.32192809488736235;
static const double ln_of_2 = 0.693147180559945309;

/* 2^power, -1000 < power < 1000, to a relative 6e-9: the integer part becomes the exponent of a
 * double, the rest, within 1/2, goes through the series of e^x. */
static double power_of_2(double power)
{
    uint64_t exponent = (uint64_t)(power + EXPONENT_BIAS + 0.5);
    double x = (power + EXPONENT_BIAS - (double)exponent) * ln_of_2;
    double series = 1 + x / 7;
    for (unsigned term = 6; term > 0; term--)
        series = 1 + x / term * series;
    union {
        uint64_t bits;
        double value;
    } whole = {exponent << EXPONENT_SHIFT};
    return whole.value * series;
}

double hak_elo_expected(double own, double other)
{
    double difference = other - own;
    if (difference > DIFFERENCE_MAX)
        difference = DIFFERENCE_MAX;
    if (difference < -DIFFERENCE_MAX)
        difference = -DIFFERENCE_MAX;
    return 1 / (1 + power_of_2(difference * (log2_of_10 / 400)));
}

double hak_elo_score(double own_cost, double other_cost)
{
    double sum = own_cost + other_cost;
    return sum > 0 ? other_cost / sum : 0.5;
}

void hak_elo_play(double *ratings, const double *costs, unsigned count, double k)
{
    if (count < 2 || count > HAK_ELO_PLAYERS)
        return;
    double change[HAK_ELO_PLAYERS];
    double stake = k / (count - 1);
    for (unsigned own = 0; own < count; own++) {
        change[own] = 0;
        for (unsigned other = 0; other < own; other++) {
            double score = hak_elo_score(costs[own], costs[other]);
            double gain = stake * (score - hak_elo_expected(ratings[own], ratings[other]));
            change[own] += gain;
            change[other] -= gain;
        }
    }
    for (unsigned player = 0; player < count; player++)
        ratings[player] += change[player];
}

void hak_elo_pull(double *ratings, unsigned count, double share)
{
    double sum = 0;
    for (unsigned player = 0; player < count; player++)
        sum += ratings[player];
    double mean = sum / count;
    for (unsigned player = 0; player < count; player++)
        ratings[player] += share * (mean - ratings[player]);
}

unsigned hak_elo_best(const double *ratings, unsigned count)
{
    unsigned best = 0;
    for (unsigned player = 1; player < count; player++)
        if (ratings[player] > ratings[best])
            best = player;
    return best;
}
