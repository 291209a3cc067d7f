/* SPDX-License-Identifier: MIT */
/* learn/huge.c: the cheaper arm is chosen, whichever it is, and again after a change. */
#include "learn/huge.h"

#include "tests/lib/tap.h"

enum {
    TURNS = 2000,
    UNITS = 64,
    HUGE_UNITS = 512,
};

static struct hak_huge huge;
static struct hak_cost cost;

static void start(void)
{
    hak_cost_start(&cost, 130000, 1000ul * 1000 * 1000);
    hak_huge_start(&huge);
}

/* How often huge pages were asked for, when they cost so much a unit, and small ones 2000 ns. */
static unsigned asks(uint64_t ns, uint32_t unasked)
{
    unsigned count = 0;
    for (unsigned turn = 0; turn < TURNS; turn++) {
        enum hak_huge_arm arm = hak_huge_choose(&huge);
        int asked = arm == HAK_HUGE_ARM_ASK;
        struct hak_huge_sample sample = {UNITS, asked ? unasked : 0, (asked ? ns : 2000) * UNITS};
        hak_huge_saw(&huge, arm, &sample, &cost);
        count += asked;
    }
    return count;
}

static void both_are_tried(void)
{
    start();
    struct hak_huge_sample sample = {UNITS, 0, 2000 * UNITS};
    EXPECT_EQ(hak_huge_choose(&huge), HAK_HUGE_ARM_SYSTEM);
    hak_huge_saw(&huge, HAK_HUGE_ARM_SYSTEM, &sample, &cost);
    EXPECT_EQ(hak_huge_choose(&huge), HAK_HUGE_ARM_ASK);
    sample.units = 0;
    hak_huge_saw(&huge, HAK_HUGE_ARM_ASK, &sample, &cost);
    EXPECT_EQ(hak_huge_choose(&huge), HAK_HUGE_ARM_ASK);
}

static void the_cheaper_wins(void)
{
    start();
    EXPECT_GE(asks(100, 0), TURNS * 3 / 4);
    EXPECT_LE(asks(9000, 0), TURNS * 2 / 5);
    EXPECT_GE(asks(100, 0), TURNS * 2 / 3);
}

/* A unit kept for a second costs about 500 ns. */
static void what_is_unasked_counts(void)
{
    start();
    struct hak_huge_sample sample = {UNITS, HUGE_UNITS - UNITS, 100 * UNITS};
    double unit = hak_huge_cost(&sample, &cost);
    EXPECT(unit > 100 + 7 * 500 && unit < 100 + 7 * 520);
    EXPECT_LE(asks(100, HUGE_UNITS - UNITS), TURNS * 2 / 5);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"both arms are tried, each until it was measured", both_are_tried},
        {"the cheaper arm wins, and loses when that changes", the_cheaper_wins},
        {"huge pages that nobody asked for have their price", what_is_unasked_counts},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
