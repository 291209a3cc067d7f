/* SPDX-License-Identifier: MIT */
/* Huge pages or the system's own choice, for the segments that a large cache maps: two arms of a
 * UCB1 (ucb1.h). What an arm costs shows when memory without pages is handed out: the faults of a
 * sample by the unit of it, and the price of what became resident with it, though nobody asked for
 * it. Under the lock of the cache that it serves. */
#ifndef HAK_LEARN_HUGE_H
#define HAK_LEARN_HUGE_H

#include <stdint.h>

#include "learn/cost.h"
#include "learn/ucb1.h"

enum hak_huge_arm { HAK_HUGE_ARM_SYSTEM, HAK_HUGE_ARM_ASK, HAK_HUGE_ARMS };

struct hak_huge {
    struct hak_ucb1 ucb1;
};

/* What handing out so many units without pages took. */
struct hak_huge_sample {
    uint32_t units;      /* handed out; 0: no sample */
    uint32_t unasked;    /* that became resident beside them */
    uint64_t ns;         /* of faults */
};

void hak_huge_start(struct hak_huge *huge);

/* For a segment that is about to be mapped. */
enum hak_huge_arm hak_huge_choose(const struct hak_huge *huge);

/* ns of CPU for a unit of the sample; all that was unasked for is kept for a time of decay. */
double hak_huge_cost(const struct hak_huge_sample *sample, const struct hak_cost *cost);

/* A sample out of a segment for which that arm was chosen. */
void hak_huge_saw(struct hak_huge *huge, enum hak_huge_arm arm,
                  const struct hak_huge_sample *sample, const struct hak_cost *cost);

#endif
