/* SPDX-License-Identifier: MIT */
/* Lanes: the large caches of a shard, one for each of its CPUs. A shard of many CPUs serves small
 * objects to all of them, for fronts stand before it. Before runs nothing stands: with one cache,
 * eight CPUs queued at its lock, and each got pages that were in another's caches.
 *
 *     shard->large   lane 0, always there
 *     lane 1 ...     made when a CPU first asks for its own
 *
 * A run knows its cache by its segment, so any thread may free it. What lies free in one lane is
 * found by the others before memory is fresh (refill.c), and by whoever makes room. The lanes
 * of a shard share what it may keep unused. Bounds: HAK_LANES_MAX lanes a shard, no more than CPUs;
 * each is a cache and a learner. They are never given back. Any thread. */
#ifndef HAK_SHARD_LANES_H
#define HAK_SHARD_LANES_H

#include "shard/shard.h"
#include "topology/domains.h"

enum {
    HAK_LANES_AT_ONCE = 4,    /* lanes that a tick of a shard looks after */
};

struct hak_lane {
    struct hak_large_cache large;
    struct hak_learner learner;    /* under large's lock */
};

/* How many lanes a shard of the domains has: one if a single arena is asked for. */
static inline unsigned hak_lanes_of(const struct hak_domains *domains, unsigned shard)
{
    unsigned cpus = domains->shard[shard].cpus;
    if (domains->mode == HAK_DOMAIN_SINGLE)
        return 1;
    return cpus < HAK_LANES_MAX ? cpus : HAK_LANES_MAX;
}

/* The cache of a CPU's lane (any number). Of another shard's CPU: some lane. */
struct hak_large_cache *hak_lane_of_cpu(struct hak_shard *shard, const struct hak_domains *domains,
                                        unsigned cpu);

/* The next cache from lane *lane on, NULL if there is none; for going over all:
 *     for (unsigned lane = 0; (large = hak_lane_next(shard, &lane)) != NULL;) */
static inline struct hak_large_cache *hak_lane_next(struct hak_shard *shard, unsigned *lane)
{
    if ((*lane)++ == 0)
        return &shard->large;
    /* acquire, both: pair with the releases in make (lanes.c); a lane is built when it is seen */
    unsigned end = __atomic_load_n(&shard->lane_end, __ATOMIC_ACQUIRE);
    for (; *lane <= end; (*lane)++) {
        struct hak_lane *found = __atomic_load_n(&shard->lanes[*lane - 1], __ATOMIC_ACQUIRE);
        if (found != NULL)
            return &found->large;
    }
    return NULL;
}

/* hak_large_tick of HAK_LANES_AT_ONCE lanes, by turns. */
void hak_lanes_tick(struct hak_shard *shard, uint64_t now_ns);

/* What is done to one cache, done to all of the shard. */
size_t hak_lanes_trim(struct hak_shard *shard);
void hak_lanes_settle(struct hak_shard *shard, enum hak_os_pages pages);
struct hak_large_bytes hak_lanes_bytes(struct hak_shard *shard);
void hak_lanes_start_learning(struct hak_shard *shard);
void hak_lanes_end_learning(struct hak_shard *shard, uint64_t now_ns);

/* hak_large_take_dirty, and hak_large_take_mapped, of any lane but `own` (NULL: of any). */
void *hak_lanes_take_dirty(struct hak_shard *shard, const struct hak_large_cache *own, size_t size,
                           size_t alignment, enum hak_zero zero);
void *hak_lanes_take_mapped(struct hak_shard *shard, size_t size, size_t alignment,
                            enum hak_zero zero, const struct hak_policy *policy);

#endif
