/* SPDX-License-Identifier: MIT */
/* Figures of a heap: see the header. */
#include "heap/figures.h"

#include "front/front_cpu.h"
#include "front/front_shared.h"
#include "front/fronts.h"
#include "os/kept.h"
#include "shard/lanes.h"

static int64_t cached_bytes(const struct hak_shard *shard)
{
    int64_t bytes = 0;
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++)
        /* relaxed: a figure */
        bytes += (int64_t)__atomic_load_n(&shard->classes[class_id].cached, __ATOMIC_RELAXED) *
                 hak_classes[class_id].size;
    return bytes;
}

static size_t held_bytes(const struct hak_shard *shard)
{
    return hak_counter_read(&shard->counters, HAK_COUNTER_BYTES_MAPPED) -
           hak_counter_read(&shard->counters, HAK_COUNTER_BYTES_UNMAPPED);
}

void hak_heap_totals(struct hak_heap *heap, struct hak_heap_totals *totals)
{
    *totals = (struct hak_heap_totals){0};
    int64_t whale_count = 0;
    totals->in_fronts =
        hak_front_bytes_of_all() + hak_cpu_fronts_bytes() + hak_shared_fronts_bytes();
    int64_t small = -(int64_t)totals->in_fronts;
    for (unsigned id = 1; id <= hak_shard_last_id(); id++) {
        struct hak_shard *shard = hak_shard_of_id(id);
        struct hak_large_bytes large = hak_lanes_bytes(shard);
        totals->mapped += held_bytes(shard);
        totals->in_use_slabs +=
            hak_pool_slab_bytes(&shard->tiny) + hak_pool_slab_bytes(&shard->mid);
        totals->holes += hak_pool_hole_bytes(&shard->tiny) + hak_pool_hole_bytes(&shard->mid);
        small += (int64_t)(hak_pool_taken_bytes(&shard->tiny) + hak_pool_taken_bytes(&shard->mid) +
                           hak_counter_read(&shard->counters, HAK_COUNTER_INBOX_BYTES) -
                           hak_counter_read(&shard->counters, HAK_COUNTER_FOREIGN_BYTES_HOME)) -
                 cached_bytes(shard);
        whale_count += (int64_t)(hak_counter_read(&shard->counters, HAK_COUNTER_WHALE_MAPS) -
                                 hak_counter_read(&shard->counters, HAK_COUNTER_WHALE_UNMAPS));
        totals->in_use_large += large.used;
        totals->cached +=
            large.dirty + shard->tiny.space.dirty_bytes + shard->mid.space.dirty_bytes;
    }
    struct hak_whale_bytes whales = hak_whale_bytes(&heap->whales);
    totals->in_use_small = small > 0 ? (size_t)small : 0;
    totals->in_use_whales = whales.used;
    totals->whales = whale_count > 0 ? (size_t)whale_count : 0;
    totals->mapped += hak_kept_bytes();
    totals->cached += whales.cached;
}
