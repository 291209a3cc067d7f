/* SPDX-License-Identifier: MIT */
/* Figures of a heap: see the header. */
#include "heap/figures.h"

#include "front/front_cpu.h"
#include "front/front_shared.h"
#include "front/fronts.h"
#include "os/bits.h"
#include "os/kept.h"
#include "os/memory.h"
#include "shard/lanes.h"

static size_t held_bytes(const struct hak_shard *shard)
{
    return hak_counter_read(&shard->counters, HAK_COUNTER_BYTES_MAPPED) -
           hak_counter_read(&shard->counters, HAK_COUNTER_BYTES_UNMAPPED);
}

void hak_heap_totals(struct hak_heap *heap, struct hak_heap_totals *totals)
{
    *totals = (struct hak_heap_totals){ 0 };
    int64_t small = -(int64_t)(hak_front_bytes_of_all() + hak_cpu_fronts_bytes() +
                               hak_shared_fronts_bytes());
    for (unsigned id = 1; id <= hak_shard_last_id(); id++) {
        struct hak_shard *shard = hak_shard_of_id(id);
        struct hak_large_bytes large = hak_lanes_bytes(shard);
        totals->mapped += held_bytes(shard);
        totals->in_use_slabs +=
            hak_pool_slab_bytes(&shard->tiny) + hak_pool_slab_bytes(&shard->mid);
        small += (int64_t)(hak_pool_taken_bytes(&shard->tiny) + hak_pool_taken_bytes(&shard->mid) +
                           hak_counter_read(&shard->counters, HAK_COUNTER_INBOX_BYTES) -
                           hak_counter_read(&shard->counters, HAK_COUNTER_FOREIGN_BYTES_HOME) -
                           hak_transfer_cache_bytes(&shard->bundles));
        totals->in_use_large += large.used;
        totals->cached +=
            large.dirty + shard->tiny.space.dirty_bytes + shard->mid.space.dirty_bytes;
    }
    struct hak_whale_bytes whales = hak_whale_bytes(&heap->whales);
    totals->in_use_small = small > 0 ? (size_t)small : 0;
    totals->in_use_whales = whales.used;
    totals->mapped += hak_kept_bytes();
    totals->cached += whales.cached;
}

/* ---- report --------------------------------------------------------------------------------- */

enum {
    CPU_LIST_BYTES = 256
};

static void describe(const struct hak_heap *heap, struct hak_shard *shard,
                     struct hak_report_shard *out, char *cpus)
{
    const struct hak_domains *domains = hak_heap_map(heap)->domains;
    out->id = shard->id;
    out->node = shard->source.node;
    out->cpus = NULL;
    if (domains != NULL && shard->index < hak_heap_map(heap)->count) {
        struct hak_writer writer = hak_writer_to_buffer(cpus, CPU_LIST_BYTES);
        hak_domains_put_cpus(&writer, domains, shard->index);
        hak_writer_flush(&writer);
        out->cpus = cpus;
    }
    out->bytes_held = held_bytes(shard);
    hak_snapshot_add(&out->counters, &shard->counters);
}

void hak_heap_report(struct hak_heap *heap, const char *title, const struct hak_report_fact *facts,
                     size_t fact_count, const struct hak_report_voice *voice,
                     struct hak_writer *writer)
{
    unsigned count = hak_shard_last_id();
    size_t row = sizeof(struct hak_report_shard) + CPU_LIST_BYTES;
    size_t size = hak_align_up(count * row, hak_os_page_size());
    struct hak_report_shard *rows = hak_os_map(size, hak_os_page_size());
    if (rows == NULL)
        return;
    char *cpus = (char *)(rows + count);
    for (unsigned id = 1; id <= count; id++)
        describe(heap, hak_shard_of_id(id), &rows[id - 1], cpus + (id - 1) * CPU_LIST_BYTES);
    struct hak_report report = { title, facts, fact_count, rows, count };
    hak_report_write(&report, voice, writer);
    hak_os_release(rows, size, HAK_OS_PLAIN);
}
