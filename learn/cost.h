/* SPDX-License-Identifier: MIT */
/* What an arm costs, in nanoseconds of CPU time:
 *
 *     ns spent in free  +  ns of faults and zeroing when it is used again
 *                       +  price x bytes x seconds kept
 *
 * The figures are measured at run time: how long purges and first touches took. Before the first
 * measurement, defaults apply. An arm is described by how long it holds dirty pages (its hold), so
 * the time that a run lay free gives the cost of every arm, whichever was played (ski rental:
 * Karlin, Manasse, Rudolph, Sleator, "Competitive snoopy caching", 1988). Under the lock of the
 * cache that owns it, except fault_ns256. */
#ifndef HAK_LEARN_COST_H
#define HAK_LEARN_COST_H

#include <stdint.h>

#include "learn/settings.h"

struct hak_cost {
    double price;                 /* ns of CPU for a unit (4 KiB) kept for a ns */
    double act_ns[HAK_ARM_COUNT]; /* purging a unit by that arm (KEEP: by decay) */
    double batch_hold_ns;         /* mean time in a batch until it is released */
    uint64_t decay_ns;            /* the hold of KEEP */
    uint32_t fault_ns256;         /* a unit's first touch, in 1/256 ns; relaxed atomic */
};

/* What ends a period in which a freed run was unused. */
enum hak_cost_end {
    HAK_COST_OPEN,   /* it is still unused */
    HAK_COST_REUSED, /* it was handed out */
};

void hak_cost_start(struct hak_cost *cost, uint64_t price_ns, uint64_t decay_ns);

/* How long the arm keeps the pages of a freed run. */
double hak_cost_hold(const struct hak_cost *cost, enum hak_arm arm);

/* What the arm costs for a unit from the age `from` to the age `to` (ns since it was freed; from <
 * to). `from` is 0 the first time: acts at free are charged then. */
double hak_cost_of(const struct hak_cost *cost, enum hak_arm arm, uint64_t from, uint64_t to,
                   enum hak_cost_end end);

/* Purging `units` by that arm took `ns`. */
void hak_cost_saw_purge(struct hak_cost *cost, enum hak_arm arm, uint32_t units, uint64_t ns);

/* A batch was released after collecting for `ns`. */
void hak_cost_saw_batch(struct hak_cost *cost, uint64_t ns);

/* First touches of `units` took `ns`. Any thread, no lock. */
void hak_cost_saw_faults(struct hak_cost *cost, uint32_t units, uint64_t ns);

/* ns of a unit's first touch. */
double hak_cost_fault_ns(const struct hak_cost *cost);

#endif
