/* SPDX-License-Identifier: MIT */
/* The shard map: which shard is where. One immutable snapshot, published as a whole, so any thread
 * reads it without a lock.
 *
 * Shards are numbered so that those of one L3, and of one node, are neighbours. The shard with
 * index i has the id i + 1 in every map: re-sharding uses the same shards again. Those beyond
 * `count` are retired: they serve no CPU, and each has an heir, the shard whose id is smaller by a
 * multiple of `count`, which takes over what is freed of theirs and lives off their slabs. Maps are
 * kept for the next time that the same comes of the same request, so a reader needs no
 * protection. */
#ifndef HAK_SHARD_SHARD_MAP_H
#define HAK_SHARD_SHARD_MAP_H

#include <stddef.h>

#include "os/cpu.h"
#include "shard/shard.h"
#include "topology/domains.h"

struct hak_shard_map {
    const struct hak_domains *domains;    /* NULL: a single shard, before the machine is known */
    struct hak_domain_request request;    /* what it was built for */
    struct hak_shard_map *next;           /* all of the heap; under its placing lock */
    unsigned look;                        /* the look at the machine that led to it; likewise */
    unsigned count;
    struct hak_shard *shards[];
};

/* Nodes that the shards stand on, at least 1. */
static inline unsigned hak_shard_map_nodes(const struct hak_shard_map *map)
{
    return map == NULL || map->domains == NULL ? 1 : map->domains->nodes;
}

/* The shard that takes what is of `home`: itself, or its heir if it is retired. */
static inline unsigned hak_shard_map_heir(const struct hak_shard_map *map, unsigned home)
{
    return home <= map->count ? home : (home - 1) % map->count + 1;
}

/* The shard for a CPU. `sequence` tells threads apart where several shards stand on one CPU. */
static inline struct hak_shard *hak_shard_map_at(const struct hak_shard_map *map, unsigned cpu,
                                                 unsigned sequence)
{
    if (map->count == 1)
        return map->shards[0];
    return map->shards[hak_domains_shard_of(map->domains, cpu, sequence)];
}

/* The same for the CPU that the caller runs on, which one shard need not ask for. */
static inline struct hak_shard *hak_shard_map_here(const struct hak_shard_map *map,
                                                   unsigned sequence)
{
    return map->count == 1 ? map->shards[0] : hak_shard_map_at(map, hak_os_cpu(), sequence);
}

/* The shard for a new thread's front: any of those on the node where it starts, by turns. The CPU
 * it starts on is its creator's and tells little; threads that never miss would all stay with the
 * creator's shard, and share its slabs. The first refill corrects it. */
static inline struct hak_shard *hak_shard_map_for_new(const struct hak_shard_map *map,
                                                      unsigned sequence)
{
    if (map->count == 1)
        return map->shards[0];
    const struct hak_domains *domains = map->domains;
    unsigned here = hak_domains_shard_of(domains, hak_os_cpu(), sequence);
    struct hak_domain_range near = domains->node_range[domains->shard[here].node];
    return map->shards[near.first + sequence % near.count];
}

/* The shard that `shard` asks rank-th. */
static inline struct hak_shard *hak_shard_map_neighbour(const struct hak_shard_map *map,
                                                        const struct hak_shard *shard,
                                                        unsigned rank)
{
    return map->shards[hak_domains_sibling(map->domains, shard->index, rank)];
}

#endif
