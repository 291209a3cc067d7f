/* SPDX-License-Identifier: MIT */
/* Whether neighbours may take from slabs: see rest.h. Any thread. */
#include "shard/rest.h"

#include "shard/shard_map.h"

struct hak_rest_clock hak_rest_clock;

/* Slabs' worth of free objects that a shard at work keeps. */
static unsigned slabs_kept(const struct hak_shard *shard)
{
    const struct hak_shard_map *map = hak_shard_map_of(shard);
    unsigned cpus = map != NULL ? map->domains->shard[shard->index].cpus : 1;
    return cpus < 2 ? 1 : cpus / 2;
}

bool hak_rest_may_take(struct hak_shard *shard, unsigned class_id)
{
    return hak_pool_free_objects(hak_shard_pool(shard, class_id), class_id) >
               (size_t)hak_classes[class_id].capacity * slabs_kept(shard) ||
           hak_rest_is_resting(shard);
}
