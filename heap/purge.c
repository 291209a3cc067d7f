/* SPDX-License-Identifier: MIT */
/* Giving back: see the header. Any thread. */
#include "heap/purge.h"

#include "front/exchange.h"
#include "front/front_cpu.h"
#include "front/fronts.h"
#include "front/vacant.h"
#include "heap/own_heap.h"
#include "os/clock.h"
#include "os/inject.h"
#include "os/kept.h"
#include "os/lock.h"
#include "os/section.h"
#include "shard/grace.h"
#include "shard/lanes.h"
#include "shard/upkeep.h"
#include "tiers/headroom.h"
#include "tiers/large_purge.h"
#include "tiers/page_map.h"

/* Once in PAUSE_NS is enough: in between each give obeys the limit by itself. */
void hak_heap_make_room(struct hak_heap *heap)
{
    enum { PAUSE_NS = 5 * 1000 * 1000 };
    uint64_t now = hak_os_coarse_now_ns();
    /* relaxed, all: hints; two threads may look at once, one of them in vain */
    uint64_t last = __atomic_load_n(&heap->made_room_ns, __ATOMIC_RELAXED);
    int64_t missing = (int64_t)hak_headroom_shortfall();
    if (now - last < PAUSE_NS &&
        missing < __atomic_load_n(&heap->missing_then, __ATOMIC_RELAXED) + HAK_REGION_SIZE)
        return;
    __atomic_store_n(&heap->made_room_ns, now, __ATOMIC_RELAXED);
    hak_headroom_refresh(now);
    if (hak_headroom_shortfall() != 0 && hak_whale_bytes(&heap->whales).cached != 0)
        hak_whale_trim(&heap->whales);
    for (unsigned id = 1; id <= hak_shard_last_id() && hak_headroom_shortfall() != 0; id++) {
        struct hak_large_cache *large;
        for (unsigned lane = 0; (large = hak_lane_next(hak_shard_of_id(id), &lane)) != NULL;)
            if (__atomic_load_n(&large->dirty_units, __ATOMIC_RELAXED) != 0)
                hak_large_relieve(large, heap->settings);
    }
    __atomic_store_n(&heap->missing_then, (int64_t)hak_headroom_shortfall(), __ATOMIC_RELAXED);
}

void hak_heap_flush_if_refused(struct hak_heap *heap)
{
    uint64_t refused = 0;
    for (unsigned id = 1; id <= hak_shard_last_id(); id++)
        refused += hak_counter_read(&hak_shard_of_id(id)->counters, HAK_COUNTER_OUT_OF_MEMORY);
    if (refused == heap->refusals_seen)
        return;
    heap->refusals_seen = refused;
    hak_front_flush_cpus();
}

/* ---- regions without an owner -------------------------------------------------------------- */

/* Regions of tiny pools that belong to no pool any more, until the grace period is over: a thread
 * that pops from a transfer cache may be reading an object there. One batch at a time: a region
 * that becomes empty meanwhile stays with its pool, which may use it again. */
static struct {
    struct hak_lock lock; /* only ever tried */
    struct hak_region *regions;
    struct hak_grace_period period;
} leaving;

/* A region leaves the list first: the child of a fork must not unmap it again. */
static void unmap_regions(struct hak_region **list)
{
    while (*list != NULL) {
        struct hak_region *region = *list;
        *list = region->next;
        hak_pool_unmap_region(region);
    }
}

static void reap_tiny(void)
{
    if (leaving.regions != NULL && !hak_grace_poll(&leaving.period))
        return;
    unmap_regions(&leaving.regions);
    for (unsigned id = 1; id <= hak_shard_last_id(); id++)
        leaving.regions = hak_shard_collect_empty(&hak_shard_of_id(id)->tiny, leaving.regions);
    if (leaving.regions == NULL)
        return;
    hak_inject();
    hak_grace_begin(&leaving.period);
    if (hak_grace_poll(&leaving.period))
        unmap_regions(&leaving.regions);
}

void hak_heap_reap(void)
{
    if (!hak_lock_try_over(&leaving.lock))
        return; /* another thread does it */
    reap_tiny();
    hak_lock_release_over(&leaving.lock);
    struct hak_region *regions = NULL; /* that no thread peeks into: see transfer_cache.h */
    for (unsigned id = 1; id <= hak_shard_last_id(); id++)
        regions = hak_shard_collect_empty(&hak_shard_of_id(id)->mid, regions);
    unmap_regions(&regions);
}

/* ---- purges --------------------------------------------------------------------------------- */

static bool is_enough(const struct hak_heap_purge *purge, size_t bytes)
{
    return bytes >= purge->bytes ||
           (purge->deadline_ns != UINT64_MAX && hak_os_now_ns() >= purge->deadline_ns);
}

/* Each step below has a section of its own, so a fork waits for one step only. While a fork lasts
 * long, the steps are left out. */
static size_t purge_whales(struct hak_heap *heap)
{
    if (!hak_section_enter_late())
        return 0;
    size_t bytes = hak_whale_trim(&heap->whales) + hak_kept_retry();
    hak_section_leave();
    return bytes;
}

/* Shards of heaps that the program made; `bytes` were given back before. */
static size_t purge_own_heaps(const struct hak_heap_purge *purge, size_t bytes)
{
    unsigned last = hak_own_shard_last();
    for (unsigned number = 1; number <= last && !is_enough(purge, bytes); number++) {
        if (!hak_section_enter_late())
            break;
        bytes += hak_own_heaps_purge_shard(number);
        hak_section_leave();
    }
    return bytes;
}

static void flush_fronts(void)
{
    if (!hak_section_enter_late())
        return;
    /* relaxed: a wish, which fronts of other threads and CPUs obey at their next slow call */
    __atomic_fetch_add(&hak_front_wishes, 1, __ATOMIC_RELAXED);
    hak_front_flush_cpus();
    hak_section_leave();
    bool goes_on = true;
    for (unsigned i = 0; i < HAK_VACANT_MOST && goes_on && hak_section_enter_late(); i++) {
        goes_on = hak_front_drop_vacant(UINT64_MAX);
        hak_section_leave();
    }
}

static size_t purge_common(struct hak_heap *heap, const struct hak_heap_purge *purge)
{
    size_t bytes = purge_own_heaps(purge, purge_whales(heap));
    if (!is_enough(purge, bytes))
        flush_fronts();
    return bytes;
}

static void drain_shard(struct hak_shard *shard)
{
    if (!hak_section_enter_late())
        return;
    hak_shard_drain(shard);
    hak_section_leave();
}

static size_t purge_shard(struct hak_shard *shard)
{
    if (!hak_section_enter_late())
        return 0;
    size_t bytes = hak_shard_purge(shard);
    hak_section_leave();
    return bytes;
}

/* Caches first, then pages: draining one shard may empty slabs of any other. */
size_t hak_heap_purge(struct hak_heap *heap, const struct hak_heap_purge *purge)
{
    unsigned first = purge->id != 0 ? purge->id : 1;
    unsigned last = purge->id != 0 ? purge->id : hak_shard_last_id();
    size_t bytes = purge->id == 0 ? purge_common(heap, purge) : 0;
    for (unsigned id = first; id <= last && !is_enough(purge, bytes); id++)
        drain_shard(hak_shard_of_id(id));
    for (unsigned id = first; id <= last && !is_enough(purge, bytes); id++)
        bytes += purge_shard(hak_shard_of_id(id));
    if (!is_enough(purge, 0) && hak_section_enter_late()) {
        hak_heap_reap();
        hak_section_leave();
    }
    return bytes;
}
