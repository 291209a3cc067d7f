/* SPDX-License-Identifier: MIT */
/* Computes costs, and running means of measurements. The header has the formula and says which
 * threads may call. */
#include "learn/cost.h"

#include "os/compiler.h"

enum {
    UNITS_OF_MIB = 256,
    /* Until the first measurement: typical of machines of 2020. */
    FIRST_FAULT_NS = 300,
    FIRST_BATCH_NS = 5 * 1000 * 1000,
    MEAN_SHARE = 8,  /* a measurement's weight is 1/8 */
    FAULT_SHIFT = 8, /* fault_ns256 */
    LEAST_NS = 1,    /* least mean for telling outliers: 0 would stay 0 */
    OUTLIER = 8,     /* caps a measurement at this many means: preemption */
};

void hak_cost_start(struct hak_cost *cost, uint64_t price_ns, uint64_t decay_ns)
{
    cost->price = (double)price_ns / UNITS_OF_MIB / 1e9;
    for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++)
        cost->act_ns[arm] = hak_arms[arm].first_ns;
    cost->batch_hold_ns = FIRST_BATCH_NS;
    cost->decay_ns = decay_ns;
    /* relaxed: as in hak_cost_saw_faults */
    __atomic_store_n(&cost->fault_ns256, FIRST_FAULT_NS << FAULT_SHIFT, __ATOMIC_RELAXED);
}

double hak_cost_fault_ns(const struct hak_cost *cost)
{
    /* relaxed: a mean; any recent value will do */
    return (double)__atomic_load_n(&cost->fault_ns256, __ATOMIC_RELAXED) / (1 << FAULT_SHIFT);
}

double hak_cost_hold(const struct hak_cost *cost, enum hak_arm arm)
{
    switch (hak_arms[arm].hold) {
    case HAK_HOLD_DECAY:
        return (double)cost->decay_ns;
    case HAK_HOLD_BATCH:
        return cost->batch_hold_ns;
    case HAK_HOLD_NONE:
        break;
    }
    return 0;
}

/* The price of the part of [from, to) before `hold`; a purge if `hold` lies in it; faults if the
 * run was reused after its purge. */
static double held_and_purged(const struct hak_cost *cost, double hold, double purge_ns,
                              double from, double to, enum hak_cost_end end)
{
    double ns = 0;
    if (from < hold)
        ns += cost->price * ((to < hold ? to : hold) - from);
    if (from <= hold && to > hold)
        ns += purge_ns;
    if (end == HAK_COST_REUSED && to > hold)
        ns += hak_cost_fault_ns(cost);
    return ns;
}

double hak_cost_of(const struct hak_cost *cost, enum hak_arm arm, uint64_t from, uint64_t to,
                   enum hak_cost_end end)
{
    double hold = hak_cost_hold(cost, arm);
    double purge_ns = cost->act_ns[arm];
    double ns = held_and_purged(cost, hold, purge_ns, (double)from, (double)to, end);
    /* A run that waits in a batch cannot be reused: other memory serves, and the run is purged
     * later. */
    if (hak_arms[arm].act == HAK_ACT_COLLECT && end == HAK_COST_REUSED && (double)to <= hold)
        ns += purge_ns + hak_cost_fault_ns(cost);
    return ns;
}

/* A running mean that one preempted measurement does not distort. */
static double mean_with(double mean, double seen)
{
    double most = (mean > LEAST_NS ? mean : LEAST_NS) * OUTLIER;
    return mean + ((seen < most ? seen : most) - mean) / MEAN_SHARE;
}

void hak_cost_saw_purge(struct hak_cost *cost, enum hak_arm arm, uint32_t units, uint64_t ns)
{
    if (units != 0)
        cost->act_ns[arm] = mean_with(cost->act_ns[arm], (double)ns / units);
}

void hak_cost_saw_batch(struct hak_cost *cost, uint64_t ns)
{
    /* Runs came evenly, so the average run waited half as long. */
    cost->batch_hold_ns = mean_with(cost->batch_hold_ns, (double)ns / 2);
}

void hak_cost_saw_faults(struct hak_cost *cost, uint32_t units, uint64_t ns)
{
    if (units == 0)
        return;
    double mean = mean_with(hak_cost_fault_ns(cost), (double)ns / units);
    double most = (double)(UINT32_MAX >> FAULT_SHIFT);
    /* Rounded to the nearest, so that a slowly rising mean does rise. relaxed: if two threads
     * measure at once, one measurement is lost */
    __atomic_store_n(&cost->fault_ns256,
                     (uint32_t)((mean < most ? mean : most) * (1 << FAULT_SHIFT) + 0.5),
                     __ATOMIC_RELAXED);
}
