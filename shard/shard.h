/* SPDX-License-Identifier: MIT */
/* The shard: one arena for one NUMA node, L3 domain or CPU. Any thread may enter any shard; mostly
 * the threads on its CPUs do.
 *
 * The struct never moves and is never freed: a retired shard only serves no CPU any more. */
#ifndef HAK_SHARD_SHARD_H
#define HAK_SHARD_SHARD_H

#include <stdint.h>

#include "learn/learner.h"
#include "learn/settings.h"
#include "os/compiler.h"
#include "os/lock.h"
#include "shard/inbox.h"
#include "shard/transfer_cache.h"
#include "stats/counters.h"
#include "stats/traffic.h"
#include "tiers/large.h"
#include "tiers/pool.h"
#include "tiers/region.h"

enum {
    HAK_SHARD_IDS = 1 << 16, /* id 0 is no shard: an unknown page has home 0 */
    HAK_LANES_MAX = 64,      /* see lanes.h */
};

struct hak_lane;
struct hak_shard_map;

struct hak_shard {
    struct hak_region_source source;     /* how the tiers map memory for it */
    const struct hak_settings *settings; /* what the tiers do with free memory */
    /* Its place and its neighbours; NULL while it is the only shard. Published by release
     * (hak_shard_set_map). */
    const struct hak_shard_map *map;
    uint16_t id;
    uint16_t index;         /* in its map */
    uint32_t probe;         /* where the next steal begins; relaxed */
    uint32_t rich;          /* rank of a neighbour that had many unused pages; relaxed */
    size_t at_work;         /* when it last was (rest.h); relaxed, as the next */
    size_t swept_at;        /* and when its transfer cache was last swept */
    uint32_t large_calls;   /* by threads without a front; relaxed, as the next */
    uint64_t last_look_ns;  /* when anyone last ticked it */
    uint64_t hurried_ns;    /* when its pools last hurried; relaxed */
    uint64_t last_decay_ns; /* when the last decay of bundles began; relaxed */
    struct hak_counters counters;
    struct hak_class_counters classes[HAK_CLASS_COUNT];
    struct hak_traffic traffic; /* with other shards */
    struct hak_pool tiny;       /* objects up to 1 KiB */
    struct hak_pool mid;        /* up to 32 KiB */
    struct hak_learner learner; /* of freed runs; under large's lock */
    struct hak_lock lane_lock;  /* held to make a lane */
    uint32_t lane_end;          /* beyond the last lane; atomic */
    uint32_t lane_turn;         /* the lane of the next tick; relaxed */
    /* Runs, but for whales. */
    struct hak_large_cache large __attribute__((aligned(HAK_CACHE_LINE)));
    struct hak_lane *lanes[HAK_LANES_MAX]; /* other CPUs' large caches: lanes.h; atomic */
    struct hak_transfer_cache bundles;     /* full bundles, open to the neighbours */
    struct hak_inbox inbox;                /* bundles sent home */
    struct hak_backlog backlog;            /* bundles that wait to be sorted */
    struct hak_lock decaying;              /* only tried: one thread at a time decays */
    uint32_t decay_class;                  /* the class that decays next, 0: none; written under
                                              `decaying`, read relaxed */
    uint32_t decay_left;                   /* bundles of that class still to go; likewise */
};

/* A shard on a node (-1: any) with the next free id; NULL when out of memory or ids. */
struct hak_shard *hak_shard_create(int node, const struct hak_settings *settings);

/* id -> shard, NULL where there is none. */
extern struct hak_shard *hak_shards[HAK_SHARD_IDS];

static inline struct hak_shard *hak_shard_of_id(unsigned id)
{
    /* acquire: pairs with the release in hak_shard_create; the shard is built when it is seen */
    return __atomic_load_n(&hak_shards[id], __ATOMIC_ACQUIRE);
}

static inline struct hak_pool *hak_shard_pool(struct hak_shard *shard, unsigned class_id)
{
    return class_id <= HAK_CLASS_TINY_LAST ? &shard->tiny : &shard->mid;
}

/* Ids in use: 1 .. hak_shard_last_id(). */
unsigned hak_shard_last_id(void);

/* The map that the shard belongs to, NULL while it is the only shard. */
static inline const struct hak_shard_map *hak_shard_map_of(const struct hak_shard *shard)
{
    /* acquire: pairs with the release in hak_shard_set_map; the map is built when it is seen */
    return __atomic_load_n(&shard->map, __ATOMIC_ACQUIRE);
}

static inline void hak_shard_set_map(struct hak_shard *shard, const struct hak_shard_map *map)
{
    /* release: pairs with the acquire in hak_shard_map_of */
    __atomic_store_n(&shard->map, map, __ATOMIC_RELEASE);
}

/* HAK_COUNTER_REFILL_OBJECTS, which is counted by class only: one atomic less for each refill. */
static inline uint64_t hak_shard_refilled(const struct hak_shard *shard)
{
    uint64_t objects = 0;
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++)
        /* relaxed: a figure */
        objects += __atomic_load_n(&shard->classes[class_id].refilled, __ATOMIC_RELAXED);
    return objects;
}

static inline int hak_shard_node(const struct hak_shard *shard)
{
    return hak_region_source_node(&shard->source);
}

#endif
