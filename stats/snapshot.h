/* SPDX-License-Identifier: MIT */
/* Counters of several blocks as one set of numbers, read without stopping the writers. Each number
 * is one that its counter had at some moment, but not all at the same moment, so differences
 * between them are approximate while threads run. Any thread. */
#ifndef HAK_STATS_SNAPSHOT_H
#define HAK_STATS_SNAPSHOT_H

#include <stddef.h>

#include "stats/counters.h"

struct hak_snapshot {
    uint64_t value[HAK_COUNTER_COUNT]; /* plain numbers, by enum hak_counter */
};

/* Adds a block that other threads may be writing: sums add up, peaks keep the maximum. Start with a
 * snapshot of zeroes. */
void hak_snapshot_add(struct hak_snapshot *snapshot, const struct hak_counters *counters);

/* Adds a snapshot to another by the same rules. */
void hak_snapshot_merge(struct hak_snapshot *into, const struct hak_snapshot *from);

#endif
