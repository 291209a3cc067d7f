/* SPDX-License-Identifier: MIT */
/* learn/settings.c: the default settings are ones that the tiers can obey. */
#include "learn/settings.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"

enum { REGION = 2 * 1024 * 1024 };

static void obeyed(void)
{
    const struct hak_settings *settings = &hak_settings_default;
    EXPECT(settings->large_arm < HAK_ARM_COUNT);
    EXPECT_EQ(settings->large_segment_bytes % REGION, 0);
    EXPECT_GE(settings->large_segment_bytes, 2 * REGION);
    EXPECT_GE(settings->batch_runs, 1);
}

/* A second is 10^9 ns: a decay given in other units would purge always or never. */
static void in_nanoseconds(void)
{
    EXPECT_GE(hak_settings_default.decay_ns, 1000000);
    EXPECT_LE(hak_settings_default.decay_ns, 60000000000);
    EXPECT_GE(hak_settings_default.large_retain_bytes, hak_settings_default.slab_retain_bytes);
}

static void buckets(void)
{
    size_t largest = 64 * 1024;
    EXPECT_EQ(hak_learn_bucket(1), 0);
    EXPECT_EQ(hak_learn_bucket(32 * 1024 + 1), 0);
    for (unsigned bucket = 0; bucket < HAK_LEARN_BUCKETS - 1; bucket++, largest *= 2) {
        EXPECT_EQ(hak_learn_bucket(largest / 2 + 1), bucket);
        EXPECT_EQ(hak_learn_bucket(largest), bucket);
        EXPECT_EQ(hak_learn_bucket(largest + 1), bucket + 1);
    }
    EXPECT_EQ(hak_learn_bucket((size_t)1 << 40), HAK_LEARN_BUCKETS - 1);
    EXPECT_EQ(hak_learn_bucket(SIZE_MAX), HAK_LEARN_BUCKETS - 1);
}

/* The name is the largest size of its bucket. */
static void names(void)
{
    for (unsigned bucket = 0; bucket < HAK_LEARN_BUCKETS - 1; bucket++) {
        char *unit;
        size_t size = strtoul(hak_learn_bucket_names[bucket], &unit, 10) * 1024;
        EXPECT(strcmp(unit, "K") == 0 || strcmp(unit, "M") == 0);
        EXPECT_EQ(size << (unit[0] == 'M' ? 10 : 0), (size_t)64 * 1024 << bucket);
    }
    EXPECT_EQ(strcmp(hak_learn_bucket_names[HAK_LEARN_BUCKETS - 1], "64M+"), 0);
    EXPECT_EQ(strcmp(hak_arms[HAK_ARM_KEEP].name, "keep"), 0);
    EXPECT_EQ(strcmp(hak_arms[HAK_ARM_FREE].name, "free"), 0);
    EXPECT_EQ(strcmp(hak_arms[HAK_ARM_DONTNEED].name, "dontneed"), 0);
    EXPECT_EQ(strcmp(hak_arms[HAK_ARM_BATCH].name, "batch"), 0);
}

/* An arm that costs nothing at first would win every match before anything was measured. */
static void rows_are_whole(void)
{
    for (unsigned arm = 0; arm < HAK_ARM_NAMES; arm++) {
        EXPECT(hak_arms[arm].name != NULL && hak_arms[arm].name[0] != '\0');
        EXPECT_GE(hak_arms[arm].first_ns, 1);
        EXPECT_EQ(hak_arms[arm].hold == HAK_HOLD_BATCH, hak_arms[arm].act == HAK_ACT_COLLECT);
    }
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"the default settings name an arm, and segments of whole regions", obeyed},
        {"times are nanoseconds, and slabs keep no more than runs", in_nanoseconds},
        {"a bucket ends where the next begins", buckets},
        {"buckets and arms have their names", names},
        {"each arm has its row, and costs something from the first", rows_are_whole},
    };
    return tap_run(argc, argv, TAP_ANY, cases, sizeof cases / sizeof cases[0]);
}
