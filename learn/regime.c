/* SPDX-License-Identifier: MIT */
/* learn, frozen, canary (see the header). A match is 50 ms with activity. */
#include "learn/regime.h"

enum {
    SETTLED_MATCHES = 30, /* same arm best for so long: freeze */
    FROZEN_MATCHES = 200, /* then canary */
    CANARY_MATCHES = 20,
    LOSS_MATCHES = 25, /* thaw after losing this many matches' usual cost */
    USUAL_SHARE = 32,
    USUAL_MOST = 2, /* caps a match at this many usual costs */
};

static const double MARGIN = 1.10; /* a smaller advantage of an arm is no loss */
static const double LEAST_LOSS_NS = 2000 * 1000;

const char *const hak_regime_names[] = {
    [HAK_REGIME_LEARN] = "learn",
    [HAK_REGIME_FROZEN] = "frozen",
    [HAK_REGIME_CANARY] = "canary",
};

static void enter(struct hak_regime *regime, enum hak_regime_state state)
{
    regime->state = state;
    regime->matches = 0;
    regime->settled = 0;
}

static void forget_losses(struct hak_regime *regime)
{
    for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++)
        regime->loss[arm] = 0;
}

/* Adds to the losses; true if one of them shows that the workload has changed. */
static int is_losing(struct hak_regime *regime, const double *costs, enum hak_arm in_force)
{
    double most = LEAST_LOSS_NS + LOSS_MATCHES * regime->usual;
    int losing = 0;
    for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++) {
        double loss = regime->loss[arm] + costs[in_force] - MARGIN * costs[arm];
        regime->loss[arm] = loss > 0 ? loss : 0;
        losing |= regime->loss[arm] > most;
    }
    return losing;
}

enum hak_regime_event hak_regime_match(struct hak_regime *regime, const double *costs,
                                       enum hak_arm in_force, enum hak_arm best)
{
    int losing = is_losing(regime, costs, in_force);
    /* A loss must not raise the usual cost. */
    double most = regime->usual != 0 ? USUAL_MOST * regime->usual : costs[in_force];
    double seen = costs[in_force] < most ? costs[in_force] : most;
    regime->usual += (seen - regime->usual) / (regime->usual != 0 ? USUAL_SHARE : 1);
    regime->matches++;
    regime->settled = best == regime->best ? regime->settled + 1 : 0;
    regime->best = best;
    if (losing && regime->state != HAK_REGIME_LEARN) {
        regime->usual = costs[in_force];
        enter(regime, HAK_REGIME_LEARN);
        forget_losses(regime);
        return HAK_REGIME_THAWS;
    }
    if (regime->state == HAK_REGIME_LEARN && regime->settled >= SETTLED_MATCHES) {
        enter(regime, HAK_REGIME_FROZEN);
        forget_losses(regime);
        return HAK_REGIME_FREEZES;
    }
    if (regime->state == HAK_REGIME_FROZEN && regime->matches >= FROZEN_MATCHES) {
        enter(regime, HAK_REGIME_CANARY);
        return HAK_REGIME_TRIES;
    }
    if (regime->state == HAK_REGIME_CANARY && regime->matches >= CANARY_MATCHES) {
        enter(regime, HAK_REGIME_FROZEN);
        return HAK_REGIME_FREEZES;
    }
    return HAK_REGIME_STAYS;
}
