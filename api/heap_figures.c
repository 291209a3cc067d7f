/* SPDX-License-Identifier: MIT */
/* hakmem_heap_stats: the figures of a heap that the program made, or of the default one. */
#include <errno.h>
#include <string.h>

#include "api/heaps.h"
#include "api/own_objects.h"
#include "api/wake.h"
#include "hakmem.h"
#include "heap/figures.h"
#include "heap/heap.h"
#include "heap/own_heap.h"
#include "os/section.h"
#include "tiers/meta.h"

static void tell(const struct hakmem_heap_stats *told, struct hakmem_heap_stats *stats, size_t size)
{
    memcpy(stats, told, size < sizeof *told ? size : sizeof *told);
}

static int default_heap_stats(struct hakmem_heap_stats *stats, size_t size)
{
    struct hak_heap_totals totals;
    hak_start();
    if (!hak_section_enter_late()) {
        errno = EINVAL;
        return -1;
    }
    hak_heap_totals(hak_heap_default(), &totals);
    hak_section_leave();
    struct hakmem_heap_stats told = {
        .mapped = totals.mapped,
        .used = totals.in_use_small + totals.in_use_large + totals.in_use_whales,
        .used_small = totals.in_use_small,
        .slabs = totals.in_use_slabs,
        .cached = totals.cached,
        .shards = hakmem_shard_count(),
        .metadata = hak_meta_bytes(),
        .holes = totals.holes,
    };
    tell(&told, stats, size);
    return 0;
}

HAK_PUBLIC int hakmem_heap_stats(struct hakmem_heap *heap, struct hakmem_heap_stats *stats,
                                 size_t size)
{
    if (heap == NULL)
        return default_heap_stats(stats, size);
    if (!hak_heaps_is_live(heap) || !hak_owned_enter()) {
        errno = EINVAL;
        return -1;
    }
    struct hak_own_heap *own = hak_heaps_inner(heap);
    struct hak_own_bytes bytes = hak_own_heap_bytes(own);
    hak_section_leave();
    struct hakmem_heap_stats told = {
        .mapped = hak_terms_mapped(&own->terms),
        .peak = __atomic_load_n(&own->terms.peak, __ATOMIC_RELAXED), /* relaxed: a figure */
        .used = bytes.small + bytes.runs + bytes.alone,
        .used_small = bytes.small,
        .slabs = bytes.slabs,
        .cached = bytes.cached,
        .limit = own->terms.limit,
        .soft_limit = own->terms.soft_limit,
        .refused = hak_terms_refused(&own->terms),
        .shards = own->count,
        .holes = bytes.holes,
        .fronts = bytes.fronts,
    };
    tell(&told, stats, size);
    return 0;
}
