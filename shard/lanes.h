/* SPDX-License-Identifier: MIT */
/* Lanes: the large caches of a shard, one for each of its CPUs. Small objects need none, for fronts
 * serve most requests. Runs have no fronts: with one cache, eight CPUs queued at its lock, and each
 * got pages that were in another CPU's caches.
 *
 *     shard->large   lane 0, always there
 *     lane 1 ...     made when a CPU first asks for its own
 *
 * A run's segment names its cache, so any thread may free it. A lane without a fitting run takes
 * one of the others before it uses clean memory (refill.c). All lanes of the heap share the bytes
 * that it may keep unused. Bounds: at most HAK_LANES_MAX lanes a shard, and no more than it has
 * CPUs; each is a cache and a learner. They are never freed. Any thread. */
#ifndef HAK_SHARD_LANES_H
#define HAK_SHARD_LANES_H

#include "shard/shard.h"
#include "topology/domains.h"

enum {
    HAK_LANES_AT_ONCE = 4, /* lanes that one tick of a shard serves */
};

struct hak_lane {
    struct hak_large_cache large;
    struct hak_learner learner; /* under large's lock */
};

/* Lanes of a shard of the domains: one if the mode asks for a single arena. */
static inline unsigned hak_lanes_of(const struct hak_domains *domains, unsigned shard)
{
    unsigned cpus = domains->shard[shard].cpus;
    if (domains->mode == HAK_DOMAIN_SINGLE)
        return 1;
    return cpus < HAK_LANES_MAX ? cpus : HAK_LANES_MAX;
}

/* The cache of a CPU's lane; of any CPU, also one of another shard. */
struct hak_large_cache *hak_lane_of_cpu(struct hak_shard *shard, const struct hak_domains *domains,
                                        unsigned cpu);

/* The next cache from lane *lane on, NULL if there is none; for a loop over all:
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

/* Calls hak_large_tick for HAK_LANES_AT_ONCE lanes, in turn. */
void hak_lanes_tick(struct hak_shard *shard, uint64_t now_ns);

/* The functions of hak_large_NAME, for all caches of the shard. */
size_t hak_lanes_trim(struct hak_shard *shard);
void hak_lanes_settle(struct hak_shard *shard, enum hak_os_pages pages);
struct hak_large_bytes hak_lanes_bytes(struct hak_shard *shard);
struct hak_large_counts hak_lanes_counts(struct hak_shard *shard);
void hak_lanes_start_learning(struct hak_shard *shard);
void hak_lanes_end_learning(struct hak_shard *shard, uint64_t now_ns);

/* hak_large_take_dirty, and hak_large_take_mapped, of any lane but `own` (NULL: of any). */
void *hak_lanes_take_dirty(struct hak_shard *shard, const struct hak_large_cache *own, size_t size,
                           size_t alignment, enum hak_zero zero);
void *hak_lanes_take_mapped(struct hak_shard *shard, size_t size, size_t alignment,
                            enum hak_zero zero, const struct hak_settings *settings);

#endif
