/* SPDX-License-Identifier: MIT */
/* Two arms and their rewards. Under the lock of the cache that owns it. */
#include "learn/huge.h"

static const double HALF_REWARD_NS = 1000; /* a unit; between the arms' usual costs */
static const double DISCOUNT = 0.998;      /* about 500 samples are remembered */

void hak_huge_start(struct hak_huge *huge)
{
    hak_ucb1_start(&huge->ucb1, HAK_HUGE_ARMS);
}

enum hak_huge_arm hak_huge_choose(const struct hak_huge *huge)
{
    return (enum hak_huge_arm)hak_ucb1_choose(&huge->ucb1);
}

double hak_huge_cost(const struct hak_huge_sample *sample, const struct hak_cost *cost)
{
    double kept = cost->price * (double)cost->decay_ns * sample->unasked;
    return ((double)sample->ns + kept) / sample->units;
}

void hak_huge_saw(struct hak_huge *huge, enum hak_huge_arm arm,
                  const struct hak_huge_sample *sample, const struct hak_cost *cost)
{
    if (sample->units == 0)
        return;
    double spent = hak_huge_cost(sample, cost);
    hak_ucb1_reward(&huge->ucb1, arm, HALF_REWARD_NS / (HALF_REWARD_NS + spent), DISCOUNT);
}
