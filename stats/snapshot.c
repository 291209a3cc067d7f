/* SPDX-License-Identifier: MIT */
/* Sums counter blocks without knowing shards. Any thread. */
#include "stats/snapshot.h"

static uint64_t combine(unsigned counter, uint64_t a, uint64_t b)
{
    if (hak_counter_infos[counter].kind == HAK_COUNTER_PEAK)
        return a > b ? a : b;
    return a + b;
}

void hak_snapshot_add(struct hak_snapshot *snapshot, const struct hak_counters *counters)
{
    for (unsigned i = 0; i < HAK_COUNTER_COUNT; i++) {
        uint64_t seen = hak_counter_read(counters, (enum hak_counter)i);
        snapshot->value[i] = combine(i, snapshot->value[i], seen);
    }
}

void hak_snapshot_merge(struct hak_snapshot *into, const struct hak_snapshot *from)
{
    for (unsigned i = 0; i < HAK_COUNTER_COUNT; i++)
        into->value[i] = combine(i, into->value[i], from->value[i]);
}
