/* SPDX-License-Identifier: MIT */
/* Chooses huge pages or the system's setting for the segments that a large cache maps: two arms of
 * a UCB1 (ucb1.h). An arm's cost shows when memory without pages is handed out: the faults per
 * unit, and the price of units that became resident without being asked for. Under the lock of the
 * cache that owns it. */
#ifndef HAK_LEARN_HUGE_H
#define HAK_LEARN_HUGE_H

#include <stdint.h>

#include "learn/cost.h"
#include "learn/ucb1.h"

enum hak_huge_arm { HAK_HUGE_ARM_SYSTEM, HAK_HUGE_ARM_ASK, HAK_HUGE_ARMS };

struct hak_huge {
    struct hak_ucb1 ucb1;
};

/* The cost of handing out units without pages. */
struct hak_huge_sample {
    uint32_t units;   /* units handed out; 0: no sample */
    uint32_t unasked; /* units that became resident beside them */
    uint64_t ns;      /* time of the faults */
};

void hak_huge_start(struct hak_huge *huge);

/* The arm for a segment that is about to be mapped. */
enum hak_huge_arm hak_huge_choose(const struct hak_huge *huge);

/* ns of CPU per unit of the sample; unasked units are charged for one decay time. */
double hak_huge_cost(const struct hak_huge_sample *sample, const struct hak_cost *cost);

/* A sample from a segment for which that arm was chosen. */
void hak_huge_saw(struct hak_huge *huge, enum hak_huge_arm arm,
                  const struct hak_huge_sample *sample, const struct hak_cost *cost);

#endif
