/* SPDX-License-Identifier: MIT */
/* The counters of one shard, made from stats/counters.def. Any thread may add at any time, on slow
 * paths; readers sum blocks during writes (stats/snapshot.h). A block of zeroes is a new one. */
#ifndef HAK_STATS_COUNTERS_H
#define HAK_STATS_COUNTERS_H

#include <stdint.h>

#include "os/compiler.h"

enum hak_counter {
#define COUNTER(name, unit, kind, sentence) HAK_COUNTER_##name,
#include "stats/counters.def"
#undef COUNTER
    HAK_COUNTER_COUNT
};

/* How the blocks of several shards become one number. */
enum hak_counter_kind {
    HAK_COUNTER_SUM,
    HAK_COUNTER_PEAK,
    HAK_COUNTER_GAUGE, /* no counter: a figure of stats/figures.def */
};

struct hak_counters {
    /* any thread of the shard writes, snapshots read; on cache lines of its own, since neighbouring
     * fields in a shard are hot */
    uint64_t value[HAK_COUNTER_COUNT] __attribute__((aligned(HAK_CACHE_LINE)));
};

/* Counts by size class, in objects; stats/figures.def describes them. Any thread of the shard adds,
 * to `posted` any thread; relaxed. */
struct hak_class_counters {
    uint64_t refilled;
    uint64_t flushed;
    uint64_t posted;
    uint64_t sorted;
    uint64_t cached; /* in the transfer cache now; may be below 0 for a moment, while it is being
                        counted */
};

/* The description of a counter. */
struct hak_counter_info {
    const char *name; /* as in the table, upper case */
    const char *unit;
    const char *sentence;
    enum hak_counter_kind kind;
};

extern const struct hak_counter_info hak_counter_infos[HAK_COUNTER_COUNT];

static inline void hak_count(struct hak_counters *counters, enum hak_counter counter, uint64_t n)
{
    /* relaxed: a figure that is read later; it publishes nothing */
    __atomic_fetch_add(&counters->value[counter], n, __ATOMIC_RELAXED);
}

static inline void hak_count_objects(uint64_t *value, uint64_t objects)
{
    __atomic_fetch_add(value, objects, __ATOMIC_RELAXED); /* relaxed: as above */
}

/* For counters of the kind PEAK. */
static inline void hak_count_peak(struct hak_counters *counters, enum hak_counter counter,
                                  uint64_t seen)
{
    /* relaxed, all three: as in hak_count */
    uint64_t peak = __atomic_load_n(&counters->value[counter], __ATOMIC_RELAXED);
    while (seen > peak && !__atomic_compare_exchange_n(&counters->value[counter], &peak, seen, 1,
                                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
}

static inline uint64_t hak_counter_read(const struct hak_counters *counters,
                                        enum hak_counter counter)
{
    return __atomic_load_n(&counters->value[counter], __ATOMIC_RELAXED); /* relaxed: as above */
}

#endif
