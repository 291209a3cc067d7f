/* SPDX-License-Identifier: MIT */
/* Lanes of a shard: made when a CPU first asks for its own. Any thread. */
#include "shard/lanes.h"

#include "tiers/large_purge.h"
#include "tiers/meta.h"

/* Makes lane `number`, not 0; one thread at a time. NULL without memory. */
static HAK_COLD struct hak_lane *make(struct hak_shard *shard, unsigned number)
{
    hak_lock_acquire(&shard->lane_lock);
    struct hak_lane *lane = shard->lanes[number];
    if (lane == NULL)
        lane = hak_meta_alloc(sizeof *lane, HAK_CACHE_LINE);
    if (lane != NULL && shard->lanes[number] == NULL) {
        hak_learner_start(&lane->learner, shard->settings, shard->id);
        hak_large_init(&lane->large, &shard->source, &lane->learner);
        /* release, both: pair with the acquires in hak_lane_of_cpu and hak_lane_next */
        __atomic_store_n(&shard->lanes[number], lane, __ATOMIC_RELEASE);
        if (shard->lane_end <= number)
            __atomic_store_n(&shard->lane_end, number + 1, __ATOMIC_RELEASE);
    }
    hak_lock_release(&shard->lane_lock);
    return lane;
}

struct hak_large_cache *hak_lane_of_cpu(struct hak_shard *shard, const struct hak_domains *domains,
                                        unsigned cpu)
{
    unsigned number = hak_domains_place_of(domains, cpu) % hak_lanes_of(domains, shard->index);
    if (number == 0)
        return &shard->large;
    /* acquire: pairs with the release in make */
    struct hak_lane *lane = __atomic_load_n(&shard->lanes[number], __ATOMIC_ACQUIRE);
    if (hak_unlikely(lane == NULL))
        lane = make(shard, number);
    return lane != NULL ? &lane->large : &shard->large;
}

void hak_lanes_tick(struct hak_shard *shard, uint64_t now_ns)
{
    /* relaxed, both: turns; two threads may take the same one */
    unsigned lane = __atomic_load_n(&shard->lane_turn, __ATOMIC_RELAXED);
    for (unsigned ticks = 0; ticks < HAK_LANES_AT_ONCE; ticks++) {
        struct hak_large_cache *large = hak_lane_next(shard, &lane);
        if (large != NULL) {
            hak_large_tick(large, shard->settings, now_ns);
            continue;
        }
        lane = 0;
        if (ticks != 0)
            break;
    }
    __atomic_store_n(&shard->lane_turn, lane, __ATOMIC_RELAXED);
}

size_t hak_lanes_trim(struct hak_shard *shard)
{
    struct hak_large_cache *large;
    size_t bytes = 0;
    for (unsigned lane = 0; (large = hak_lane_next(shard, &lane)) != NULL;)
        bytes += hak_large_trim(large);
    return bytes;
}

void hak_lanes_settle(struct hak_shard *shard, enum hak_os_pages pages)
{
    struct hak_large_cache *large;
    for (unsigned lane = 0; (large = hak_lane_next(shard, &lane)) != NULL;)
        hak_large_settle(large, pages);
}

struct hak_large_bytes hak_lanes_bytes(struct hak_shard *shard)
{
    struct hak_large_cache *large;
    struct hak_large_bytes sum = {0};
    for (unsigned lane = 0; (large = hak_lane_next(shard, &lane)) != NULL;) {
        struct hak_large_bytes bytes = hak_large_bytes(large);
        sum.used += bytes.used;
        sum.dirty += bytes.dirty;
        sum.mapped += bytes.mapped;
    }
    return sum;
}

struct hak_large_counts hak_lanes_counts(struct hak_shard *shard)
{
    struct hak_large_cache *large;
    struct hak_large_counts sum = {0};
    for (unsigned lane = 0; (large = hak_lane_next(shard, &lane)) != NULL;) {
        struct hak_large_counts counts = hak_large_counts(large);
        sum.takes += counts.takes;
        sum.gives += counts.gives;
        sum.cached_hits += counts.cached_hits;
    }
    return sum;
}

void hak_lanes_start_learning(struct hak_shard *shard)
{
    struct hak_large_cache *large;
    for (unsigned lane = 0; (large = hak_lane_next(shard, &lane)) != NULL;) {
        hak_lock_acquire(&large->lock);
        hak_learner_start(large->learner, shard->settings, shard->id);
        hak_lock_release(&large->lock);
    }
}

void hak_lanes_end_learning(struct hak_shard *shard, uint64_t now_ns)
{
    struct hak_large_cache *large;
    for (unsigned lane = 0; (large = hak_lane_next(shard, &lane)) != NULL;)
        hak_large_end_learning(large, shard->settings, now_ns);
}

void *hak_lanes_take_dirty(struct hak_shard *shard, const struct hak_large_cache *own, size_t size,
                           size_t alignment, enum hak_zero zero)
{
    struct hak_large_cache *large;
    void *run = NULL;
    for (unsigned lane = 0; run == NULL && (large = hak_lane_next(shard, &lane)) != NULL;)
        if (large != own)
            run = hak_large_take_dirty(large, size, alignment, zero, shard->settings);
    return run;
}

void *hak_lanes_take_mapped(struct hak_shard *shard, size_t size, size_t alignment,
                            enum hak_zero zero, const struct hak_settings *settings)
{
    struct hak_large_cache *large;
    void *run = NULL;
    for (unsigned lane = 0; run == NULL && (large = hak_lane_next(shard, &lane)) != NULL;)
        run = hak_large_take_mapped(large, size, alignment, zero, settings);
    return run;
}
