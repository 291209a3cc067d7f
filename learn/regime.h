/* SPDX-License-Identifier: MIT */
/* Whether what was learned still holds, for one size bucket or call site.
 *
 *     learn ---- the same arm was best for a while ---> frozen <---- enough was seen ----.
 *       ^                                                  |                             |
 *       |                                                  `---- now and then ------> canary
 *       `------ thaw: another arm would have been cheaper, and ever more so ------ from either
 *
 * learn moves ratings in large steps; frozen in small ones, and never tries another arm; canary
 * tries the runner-up on a small share. A change of the workload is found by cumulated sums of what
 * was paid above each other arm (Page, "Continuous inspection schemes", Biometrika 1954): a loss
 * that is made good again, as in bursts, cancels out. Pure arithmetic, under the caller's lock. */
#ifndef HAK_LEARN_REGIME_H
#define HAK_LEARN_REGIME_H

#include <stdint.h>

#include "learn/policy.h"

enum hak_regime_state { HAK_REGIME_LEARN, HAK_REGIME_FROZEN, HAK_REGIME_CANARY };

enum hak_regime_event {
    HAK_REGIME_STAYS,
    HAK_REGIME_FREEZES,
    HAK_REGIME_TRIES,     /* frozen became canary */
    HAK_REGIME_THAWS,
};

/* All zero: the start. */
struct hak_regime {
    double loss[HAK_ARM_COUNT];    /* cumulated: paid above what this arm would have cost */
    double usual;                  /* running mean of what a match costs */
    uint32_t state;                /* enum hak_regime_state */
    uint32_t matches;              /* in this state */
    uint32_t settled;              /* of them, one after another, with the same best arm */
    uint32_t best;                 /* of the last match */
};

/* A match was played: what each arm cost or would have cost, which one was in force, and which has
 * the best rating now. */
enum hak_regime_event hak_regime_match(struct hak_regime *regime,
                                       const double *costs, enum hak_arm in_force,
                                       enum hak_arm best);

extern const char *const hak_regime_names[];

#endif
