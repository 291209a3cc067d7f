/* SPDX-License-Identifier: MIT */
/* stats/snapshot.c: sums are sums, peaks are peaks. */
#include "stats/snapshot.h"

#include "tests/lib/tap.h"

static void adds(void)
{
    static struct hak_counters blocks[2];
    hak_count(&blocks[0], HAK_COUNTER_SLABS_MADE, 5);
    hak_count(&blocks[1], HAK_COUNTER_SLABS_MADE, 7);
    hak_count_peak(&blocks[0], HAK_COUNTER_INBOX_PEAK, 9);
    hak_count_peak(&blocks[1], HAK_COUNTER_INBOX_PEAK, 4);
    struct hak_snapshot all = {0};
    for (unsigned i = 0; i < 2; i++)
        hak_snapshot_add(&all, &blocks[i]);
    EXPECT_EQ(all.value[HAK_COUNTER_SLABS_MADE], 12);
    EXPECT_EQ(all.value[HAK_COUNTER_INBOX_PEAK], 9);

    struct hak_snapshot twice = all;
    hak_snapshot_merge(&twice, &all);
    EXPECT_EQ(twice.value[HAK_COUNTER_SLABS_MADE], 24);
    EXPECT_EQ(twice.value[HAK_COUNTER_INBOX_PEAK], 9);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"blocks add up by the kind of each counter", adds},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
