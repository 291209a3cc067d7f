/* SPDX-License-Identifier: MIT */
/* Whether what was learned still holds, for one size bucket or call site.
 *
 *     learn ---- the same arm was best for a while ---> frozen <---- enough was seen ----.
 *       ^                                                  |                             |
 *       |                                                  `---- now and then ------> canary
 *       `------ thaw: another arm would have been cheaper, and ever more so ------ from either
 *
 * learn moves ratings in large steps. frozen moves them in small steps and never tries another arm.
 * canary tries the runner-up on a small share. Cumulative sums of what was paid above each other
 * arm detect a change of the workload (Page, "Continuous inspection schemes", Biometrika 1954); a
 * loss that is recovered, as in bursts, cancels out. Pure arithmetic, under the caller's lock. */
#ifndef HAK_LEARN_REGIME_H
#define HAK_LEARN_REGIME_H

#include <stdint.h>

#include "learn/settings.h"

enum hak_regime_state { HAK_REGIME_LEARN, HAK_REGIME_FROZEN, HAK_REGIME_CANARY };

enum hak_regime_event {
    HAK_REGIME_STAYS,
    HAK_REGIME_FREEZES,
    HAK_REGIME_TRIES, /* from frozen to canary */
    HAK_REGIME_THAWS,
};

/* All zero: the initial state. */
struct hak_regime {
    double loss[HAK_ARM_COUNT]; /* cumulative: paid above this arm's cost */
    double usual;               /* running mean of what a match costs */
    uint32_t state;             /* enum hak_regime_state */
    uint32_t matches;           /* in this state */
    uint32_t settled;           /* consecutive ones with the same best arm */
    uint32_t best;              /* of the last match */
};

/* Records a match: what each arm cost or would have cost, the arm in force, and the arm with the
 * best rating now. */
enum hak_regime_event hak_regime_match(struct hak_regime *regime, const double *costs,
                                       enum hak_arm in_force, enum hak_arm best);

extern const char *const hak_regime_names[];

#endif
