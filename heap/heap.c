/* SPDX-License-Identifier: MIT */
/* Heaps: the default one, how it starts, and what it may keep. */
#include "heap/heap.h"

#include <errno.h>

#include "os/clock.h"
#include "shard/found.h"
#include "shard/lanes.h"
#include "tiers/meta.h"
#include "topology/bind.h"

static struct hak_heap default_heap;

struct hak_heap *hak_heap_default(void)
{
    return &default_heap;
}

struct hak_shard_map *hak_heap_make_map(unsigned count)
{
    size_t size = sizeof(struct hak_shard_map) + count * sizeof(struct hak_shard *);
    struct hak_shard_map *map = hak_meta_alloc(size, HAK_CACHE_LINE);
    if (map != NULL)
        map->count = count;
    return map;
}

/* What the heap may keep unused in slabs is shared out, so that it does not grow with the shards;
 * runs and whales claim theirs of one credit. */
static void share_out(struct hak_heap *heap, unsigned shards)
{
    enum { SLAB_PART = 8, SLAB_LEAST = 256 * 1024, LEND_PART = 2 };
    size_t slab_share = heap->retain_bytes / shards / SLAB_PART;
    if (heap->retain_bytes != 0 && slab_share < SLAB_LEAST)
        slab_share = SLAB_LEAST;
    struct hak_policy *policy = &heap->policy_store;
    /* What is to decay in no time is not kept at all. */
    if (policy->decay_ns == 0)
        slab_share = 0;
    hak_policy_set_bytes(&policy->whale_retain_bytes, heap->retain_bytes);
    hak_policy_set_bytes(&policy->large_retain_bytes, heap->retain_bytes);
    hak_policy_set_bytes(&heap->credit.most, heap->retain_bytes);
    hak_policy_set_bytes(&policy->slab_retain_bytes, slab_share);
    hak_policy_set_bytes(&policy->slab_lend_bytes, heap->retain_bytes / LEND_PART);
}

void hak_heap_set_retain(struct hak_heap *heap, size_t bytes)
{
    heap->retain_bytes = bytes;
    share_out(heap, heap->map->count);
}

void hak_heap_set_map(struct hak_heap *heap, const struct hak_shard_map *map)
{
    share_out(heap, map->count);
    /* release: pairs with the acquire in hak_heap_map */
    __atomic_store_n(&heap->map, map, __ATOMIC_RELEASE);
}

int hak_heap_start(struct hak_heap *heap, const struct hak_policy *policy)
{
    heap->policy_store = *policy;
    heap->policy = &heap->policy_store;
    heap->policy_store.credit = &heap->credit;
    heap->retain_bytes = policy->large_retain_bytes;
    struct hak_shard_map *map = hak_heap_make_map(1);
    struct hak_shard *shard = hak_shard_create(HAK_NODE_ANY, heap->policy);
    if (map == NULL || shard == NULL)
        return -ENOMEM;
    map->shards[0] = shard;
    hak_found_start(&shard->counters);
    hak_whale_start(&heap->whales, heap->policy);
    hak_heap_set_map(heap, map);
    return 0;
}

void hak_heap_start_learning(struct hak_heap *heap)
{
    hak_whale_start(&heap->whales, heap->policy);
    for (unsigned id = 1; id <= hak_shard_last_id(); id++)
        hak_lanes_start_learning(hak_shard_of_id(id));
}

void hak_heap_end_learning(struct hak_heap *heap)
{
    uint64_t now = hak_os_now_ns();
    if (!hak_learner_watches(heap->policy))
        return;
    for (unsigned id = 1; id <= hak_shard_last_id(); id++)
        hak_lanes_end_learning(hak_shard_of_id(id), now);
    hak_whale_end_learning(&heap->whales, heap->policy, now);
}
