/* SPDX-License-Identifier: MIT */
/* learn/policy.c: the fixed policy is one that the tiers can obey. */
#include "learn/policy.h"

#include "tests/lib/tap.h"

enum { REGION = 2 * 1024 * 1024 };

static void obeyed(void)
{
    const struct hak_policy *policy = &hak_policy_fixed;
    EXPECT(policy->large_arm < HAK_ARM_COUNT);
    EXPECT_EQ(policy->large_segment_bytes % REGION, 0);
    EXPECT_GE(policy->large_segment_bytes, 2 * REGION);
    EXPECT_GE(policy->batch_runs, 1);
}

/* A second is 10^9 ns: a decay given in other units would purge always or never. */
static void in_nanoseconds(void)
{
    EXPECT_GE(hak_policy_fixed.decay_ns, 1000000);
    EXPECT_LE(hak_policy_fixed.decay_ns, 60000000000);
    EXPECT_GE(hak_policy_fixed.large_retain_bytes, hak_policy_fixed.slab_retain_bytes);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"the fixed policy names an arm, and segments of whole regions", obeyed},
        {"times are nanoseconds, and slabs keep no more than runs", in_nanoseconds},
    };
    return tap_run(argc, argv, TAP_ANY, cases, sizeof cases / sizeof cases[0]);
}
