/* SPDX-License-Identifier: MIT */
/* The shard map: which shard serves which CPU. It is immutable and published as a whole, so any
 * thread reads it without a lock.
 *
 * Shards of one L3, and of one node, have consecutive numbers. The shard with index i has the id i
 * + 1 in every map: re-sharding uses the same shards again. Shards beyond `count` are retired: they
 * serve no CPU. The heir of a retired shard is the one whose id is smaller by a multiple of
 * `count`; it takes over objects that are freed later, and allocates from the retired shard's
 * slabs. Maps are never freed but used again, so readers need no protection. */
#ifndef HAK_SHARD_SHARD_MAP_H
#define HAK_SHARD_SHARD_MAP_H

#include <stddef.h>

#include "os/cpu.h"
#include "shard/shard.h"
#include "topology/domains.h"

struct hak_shard_map {
    const struct hak_domains *domains; /* NULL: a single shard, before the machine is known */
    struct hak_domain_request request; /* what it was built for */
    struct hak_shard_map *next;        /* list of the heap's maps; under its placing lock */
    unsigned look;                     /* number of the look at the machine; likewise */
    unsigned count;
    struct hak_shard *shards[];
};

/* Nodes of the shards, at least 1. */
static inline unsigned hak_shard_map_nodes(const struct hak_shard_map *map)
{
    return map == NULL || map->domains == NULL ? 1 : map->domains->nodes;
}

/* The shard that takes objects of `home`: itself, or its heir if it is retired. */
static inline unsigned hak_shard_map_heir(const struct hak_shard_map *map, unsigned home)
{
    return home <= map->count ? home : (home - 1) % map->count + 1;
}

/* The shard for a CPU. If a CPU has several shards, `sequence` spreads threads over them. */
static inline struct hak_shard *hak_shard_map_at(const struct hak_shard_map *map, unsigned cpu,
                                                 unsigned sequence)
{
    if (map->count == 1)
        return map->shards[0];
    return map->shards[hak_domains_shard_of(map->domains, cpu, sequence)];
}

/* The same for the caller's CPU; a map of one shard does not read it. */
static inline struct hak_shard *hak_shard_map_here(const struct hak_shard_map *map,
                                                   unsigned sequence)
{
    return map->count == 1 ? map->shards[0] : hak_shard_map_at(map, hak_os_cpu(), sequence);
}

/* The shard for a new thread's front: one of the node where it starts, in turn. A thread starts on
 * its creator's CPU, so by the CPU all threads would get the creator's shard; those without a
 * refill would keep it and share its slabs. The first refill corrects the choice. */
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

/* The neighbour of `shard` with this rank, in the order in which it asks them. */
static inline struct hak_shard *hak_shard_map_neighbour(const struct hak_shard_map *map,
                                                        const struct hak_shard *shard,
                                                        unsigned rank)
{
    return map->shards[hak_domains_sibling(map->domains, shard->index, rank)];
}

#endif
