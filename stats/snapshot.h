/* SPDX-License-Identifier: MIT */
/* Counters of several blocks as one set of numbers, taken without stopping their writers: each
 * number is one that its counter had at some moment, but two numbers may be of different moments,
 * so their differences are approximate while threads run. Any thread. */
#ifndef HAK_STATS_SNAPSHOT_H
#define HAK_STATS_SNAPSHOT_H

#include <stddef.h>

#include "stats/counters.h"

struct hak_snapshot {
    uint64_t value[HAK_COUNTER_COUNT]; /* plain numbers, by enum hak_counter */
};

/* Adds a block that others may be writing: sums add up, peaks keep the greatest. A snapshot starts
 * as zeroes. */
void hak_snapshot_add(struct hak_snapshot *snapshot, const struct hak_counters *counters);

/* Adds a snapshot to another by the same rules. */
void hak_snapshot_merge(struct hak_snapshot *into, const struct hak_snapshot *from);

#endif
