/* SPDX-License-Identifier: MIT */
/* learn/cost.c: the costs of arms agree with sums worked out by hand, however time is divided; and
 * measurements replace guesses. */
#include "learn/cost.h"

#include "tests/lib/prng.h"
#include "tests/lib/tap.h"

static const uint64_t ms_ns = 1000 * 1000;
static const uint64_t second_ns = 1000u * 1000 * 1000;

static int is_near(double found, double right)
{
    double off = found > right ? found - right : right - found;
    int near = off <= 1e-6 + right * 1e-9; /* never of something that is no number */
    if (!near)
        tap_note("%.12g is not %.12g", found, right);
    return near;
}

/* A unit kept for a ms costs a ns; the others are round, and no two the same. */
static struct hak_cost known_cost(void)
{
    struct hak_cost cost = {0};
    hak_cost_start(&cost, 256 * 1000, second_ns);
    cost.act_ns[HAK_ARM_KEEP] = 50;
    cost.act_ns[HAK_ARM_DONTNEED] = 60;
    cost.act_ns[HAK_ARM_BATCH] = 40;
    cost.batch_hold_ns = 5e6;
    cost.fault_ns256 = 300 * 256;
    return cost;
}

static void by_hand(void)
{
    static const struct {
        enum hak_arm arm;
        unsigned from_ms, to_ms;
        enum hak_cost_end end;
        double ns;
    } sums[] = {
        {HAK_ARM_KEEP, 0, 500, HAK_COST_OPEN, 500},
        {HAK_ARM_KEEP, 0, 500, HAK_COST_REUSED, 500},
        {HAK_ARM_KEEP, 0, 2000, HAK_COST_OPEN, 1000 + 50},
        {HAK_ARM_KEEP, 0, 2000, HAK_COST_REUSED, 1000 + 50 + 300},
        {HAK_ARM_KEEP, 300, 700, HAK_COST_OPEN, 400},
        {HAK_ARM_KEEP, 700, 1500, HAK_COST_OPEN, 300 + 50},
        {HAK_ARM_KEEP, 1500, 9000, HAK_COST_OPEN, 0},
        {HAK_ARM_KEEP, 1500, 9000, HAK_COST_REUSED, 300},
        {HAK_ARM_DONTNEED, 0, 1, HAK_COST_OPEN, 60},
        {HAK_ARM_DONTNEED, 0, 9000, HAK_COST_OPEN, 60},
        {HAK_ARM_DONTNEED, 0, 1, HAK_COST_REUSED, 60 + 300},
        {HAK_ARM_DONTNEED, 1, 2, HAK_COST_OPEN, 0},
        {HAK_ARM_DONTNEED, 1, 2, HAK_COST_REUSED, 300},
        {HAK_ARM_BATCH, 0, 2, HAK_COST_OPEN, 2},
        {HAK_ARM_BATCH, 0, 2, HAK_COST_REUSED, 2 + 40 + 300},
        {HAK_ARM_BATCH, 0, 5, HAK_COST_REUSED, 5 + 40 + 300},
        {HAK_ARM_BATCH, 0, 1000, HAK_COST_OPEN, 5 + 40},
        {HAK_ARM_BATCH, 0, 1000, HAK_COST_REUSED, 5 + 40 + 300},
        {HAK_ARM_BATCH, 6, 1000, HAK_COST_REUSED, 300},
    };
    struct hak_cost cost = known_cost();
    for (unsigned i = 0; i < TAP_COUNT(sums); i++)
        if (!EXPECT(is_near(hak_cost_of(&cost, sums[i].arm, sums[i].from_ms * ms_ns,
                                        sums[i].to_ms * ms_ns, sums[i].end),
                            sums[i].ns)))
            tap_note("in sum %u", i);
}

/* 256 units for a second. */
static void price_is_of_a_mebibyte(void)
{
    struct hak_cost cost = {0};
    hak_cost_start(&cost, 130 * 1000, 2 * second_ns);
    EXPECT(is_near(256 * hak_cost_of(&cost, HAK_ARM_KEEP, 0, second_ns, HAK_COST_REUSED), 130e3));
    hak_cost_start(&cost, 0, 2 * second_ns);
    EXPECT(is_near(hak_cost_of(&cost, HAK_ARM_KEEP, 0, second_ns, HAK_COST_REUSED), 0));
}

static void holds(void)
{
    struct hak_cost cost = known_cost();
    EXPECT(is_near(hak_cost_hold(&cost, HAK_ARM_KEEP), 1e9));
    EXPECT(is_near(hak_cost_hold(&cost, HAK_ARM_DONTNEED), 0));
    EXPECT(is_near(hak_cost_hold(&cost, HAK_ARM_BATCH), 5e6));
    cost.decay_ns = 7 * ms_ns;
    EXPECT(is_near(hak_cost_hold(&cost, HAK_ARM_KEEP), 7e6));
}

/* With ages where an arm purges among the cuts: there the purge counts once, too. */
static void parts_sum_up(enum hak_arm arm, struct prng *prng)
{
    struct hak_cost cost = known_cost();
    uint64_t at = 0;
    double parts = 0;
    unsigned count = (unsigned)prng_below(prng, 6);
    for (unsigned i = 0; i < count; i++) {
        uint64_t hold = (uint64_t)hak_cost_hold(&cost, arm);
        uint64_t next = at + 1 + prng_below(prng, (uint64_t)1 << prng_below(prng, 31));
        if (prng_below(prng, 4) == 0 && hold > at)
            next = hold;
        parts += hak_cost_of(&cost, arm, at, next, HAK_COST_OPEN);
        at = next;
    }
    enum hak_cost_end end = prng_below(prng, 2) == 0 ? HAK_COST_OPEN : HAK_COST_REUSED;
    uint64_t last = at + 1 + prng_below(prng, (uint64_t)1 << prng_below(prng, 31));
    parts += hak_cost_of(&cost, arm, at, last, end);
    if (!EXPECT(is_near(parts, hak_cost_of(&cost, arm, 0, last, end))))
        tap_note("arm %d, to %lu in %u parts, end %d", (int)arm, (unsigned long)last, count + 1,
                 (int)end);
}

static void splits(void)
{
    struct prng prng = {1};
    for (unsigned i = 0; i < 2000; i++)
        parts_sum_up((enum hak_arm)(i % HAK_ARM_COUNT), &prng);
}

static void keep_or_dontneed(void)
{
    struct hak_cost cost = known_cost();
    for (uint64_t idle = ms_ns; idle <= 300 * ms_ns; idle += ms_ns)
        EXPECT(hak_cost_of(&cost, HAK_ARM_KEEP, 0, idle, HAK_COST_REUSED) <
               hak_cost_of(&cost, HAK_ARM_DONTNEED, 0, idle, HAK_COST_REUSED));
    for (uint64_t idle = 400 * ms_ns; idle <= 3000 * ms_ns; idle += ms_ns)
        EXPECT(hak_cost_of(&cost, HAK_ARM_KEEP, 0, idle, HAK_COST_REUSED) >
               hak_cost_of(&cost, HAK_ARM_DONTNEED, 0, idle, HAK_COST_REUSED));
}

static int is_about(double found, double right)
{
    return is_near(found > right * 1.01 || found < right * 0.99 ? found : right, right);
}

static void measurements_are_believed(void)
{
    struct hak_cost cost = known_cost();
    for (unsigned i = 0; i < 200; i++) {
        hak_cost_saw_purge(&cost, HAK_ARM_DONTNEED, 10, 2000);
        hak_cost_saw_faults(&cost, 4, 4000);
        hak_cost_saw_batch(&cost, 40 * ms_ns);
        hak_cost_saw_purge(&cost, HAK_ARM_DONTNEED, 0, second_ns);
        hak_cost_saw_faults(&cost, 0, second_ns);
    }
    EXPECT(is_about(cost.act_ns[HAK_ARM_DONTNEED], 200));
    EXPECT(is_near(cost.act_ns[HAK_ARM_KEEP], 50));
    EXPECT(is_near(cost.act_ns[HAK_ARM_BATCH], 40));
    EXPECT(is_about(hak_cost_fault_ns(&cost), 1000));
    /* Runs come evenly: the mean one waits half as long as the batch collects. */
    EXPECT(is_about(hak_cost_hold(&cost, HAK_ARM_BATCH), 20e6));
    EXPECT(is_near(hak_cost_of(&cost, HAK_ARM_DONTNEED, 0, 1, HAK_COST_REUSED),
                   cost.act_ns[HAK_ARM_DONTNEED] + hak_cost_fault_ns(&cost)));
}

static void preemption_is_no_measurement(void)
{
    struct hak_cost cost = known_cost();
    hak_cost_saw_purge(&cost, HAK_ARM_KEEP, 1, second_ns);
    EXPECT(cost.act_ns[HAK_ARM_KEEP] < 3 * 50);
    hak_cost_saw_faults(&cost, 1, second_ns);
    EXPECT(hak_cost_fault_ns(&cost) < 3 * 300);
    hak_cost_saw_batch(&cost, 1000 * second_ns);
    EXPECT(hak_cost_hold(&cost, HAK_ARM_BATCH) < 3 * 5e6);
}

/* A fault that once cost nothing (a clock that stood still) is not free for ever; a mean also rises
 * in steps below a sixteenth of a nanosecond. */
static void nothing_is_free_for_ever(void)
{
    struct hak_cost cost = known_cost();
    for (unsigned i = 0; i < 200; i++)
        hak_cost_saw_faults(&cost, 1, 0);
    EXPECT(hak_cost_fault_ns(&cost) < 1);
    for (unsigned i = 0; i < 100; i++) {
        hak_cost_saw_faults(&cost, 1, 300);
        hak_cost_saw_purge(&cost, HAK_ARM_KEEP, 1, 0);
    }
    EXPECT(is_about(hak_cost_fault_ns(&cost), 300));
    cost.act_ns[HAK_ARM_KEEP] = 0;
    for (unsigned i = 0; i < 100; i++)
        hak_cost_saw_purge(&cost, HAK_ARM_KEEP, 1, 80);
    EXPECT(is_about(cost.act_ns[HAK_ARM_KEEP], 80));
    hak_cost_saw_faults(&cost, 1, UINT64_MAX);
    for (unsigned i = 0; i < 100; i++)
        hak_cost_saw_faults(&cost, 1, UINT64_MAX); /* no measurement: only the type bounds it */
    EXPECT(hak_cost_fault_ns(&cost) > 1000);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"costs agree with sums worked out by hand", by_hand},
        {"the price is that of a MiB for a second", price_is_of_a_mebibyte},
        {"an arm holds pages for as long as it says", holds},
        {"parts of a stretch of time cost what the whole does", splits},
        {"keeping is cheaper for a short time, and dearer for a long one", keep_or_dontneed},
        {"measurements replace guesses", measurements_are_believed},
        {"one preempted measurement spoils nothing", preemption_is_no_measurement},
        {"an arm that once cost nothing is not free for ever", nothing_is_free_for_ever},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
