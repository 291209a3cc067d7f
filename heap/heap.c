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

enum {
    LINE_OF_POLICY = offsetof(struct hak_heap, settings_store) / HAK_CACHE_LINE,
    LINE_OF_CREDIT = offsetof(struct hak_heap, credit) / HAK_CACHE_LINE,
};

/* All lanes write the credit: with the map and the settings in its line, each call for a run missed
 * them. */
_Static_assert(offsetof(struct hak_heap, settings) < HAK_CACHE_LINE &&
                   LINE_OF_CREDIT >
                       LINE_OF_POLICY + (int)(sizeof(struct hak_settings) / HAK_CACHE_LINE) &&
                   LINE_OF_CREDIT < (int)(offsetof(struct hak_heap, new_cpus) / HAK_CACHE_LINE),
               "the credit has a cache line of its own");

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

static void retain(struct hak_heap *heap, size_t bytes)
{
    enum { SLAB_PART = 4 };
    struct hak_settings *settings = &heap->settings_store;
    hak_settings_set_bytes(&heap->retain_bytes, bytes);
    hak_settings_set_bytes(&heap->credit.most, bytes);
    hak_settings_set_bytes(&settings->whale_retain_bytes, bytes);
    hak_settings_set_bytes(&settings->large_retain_bytes, bytes);
    /* Memory that decays in no time is not kept at all. */
    hak_settings_set_bytes(&settings->slab_retain_bytes,
                           settings->decay_ns != 0 ? bytes / SLAB_PART : 0);
}

void hak_heap_set_retain(struct hak_heap *heap, size_t bytes)
{
    heap->retains_by_cpus = false;
    retain(heap, bytes);
}

static void retain_by_cpus(struct hak_heap *heap, size_t cpus)
{
    size_t least = hak_settings_default.large_retain_bytes;
    size_t bytes = cpus > least / HAK_CREDIT_EACH ? cpus * HAK_CREDIT_EACH : least;
    if (bytes != hak_settings_bytes(&heap->retain_bytes)) /* other threads read it */
        retain(heap, bytes);
}

void hak_heap_set_retain_by_cpus(struct hak_heap *heap)
{
    heap->retains_by_cpus = true;
    retain_by_cpus(heap, hak_settings_bytes(&heap->credit.cpus));
}

void hak_heap_set_map(struct hak_heap *heap, const struct hak_shard_map *map)
{
    if (map->domains != NULL) {
        hak_settings_set_bytes(&heap->credit.cpus, map->domains->cpus);
        if (heap->retains_by_cpus)
            retain_by_cpus(heap, map->domains->cpus);
    }
    /* release: pairs with the acquire in hak_heap_map */
    __atomic_store_n(&heap->map, map, __ATOMIC_RELEASE);
}

int hak_heap_start(struct hak_heap *heap, const struct hak_settings *settings)
{
    heap->settings_store = *settings;
    heap->settings = &heap->settings_store;
    heap->settings_store.credit = &heap->credit;
    hak_heap_set_retain(heap, settings->large_retain_bytes);
    struct hak_shard_map *map = hak_heap_make_map(1);
    struct hak_shard *shard = hak_shard_create(HAK_NODE_ANY, heap->settings);
    if (map == NULL || shard == NULL)
        return -ENOMEM;
    map->shards[0] = shard;
    hak_found_start(&shard->counters);
    hak_whale_start(&heap->whales, heap->settings);
    hak_heap_set_map(heap, map);
    return 0;
}

void hak_heap_start_learning(struct hak_heap *heap)
{
    hak_whale_start(&heap->whales, heap->settings);
    for (unsigned id = 1; id <= hak_shard_last_id(); id++)
        hak_lanes_start_learning(hak_shard_of_id(id));
}

void hak_heap_end_learning(struct hak_heap *heap)
{
    uint64_t now = hak_os_now_ns();
    if (!hak_learner_watches(heap->settings))
        return;
    for (unsigned id = 1; id <= hak_shard_last_id(); id++)
        hak_lanes_end_learning(hak_shard_of_id(id), now);
    hak_whale_end_learning(&heap->whales, heap->settings, now);
}
