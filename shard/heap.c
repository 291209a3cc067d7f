/* SPDX-License-Identifier: MIT */
/* Heaps: which shards there are and where, their sums, and what is done to all of them at once. */
#include "shard/heap.h"

#include <errno.h>

#include "learn/audit.h"
#include "os/bits.h"
#include "os/clock.h"
#include "os/inject.h"
#include "os/kept.h"
#include "os/section.h"
#include "shard/front.h"
#include "shard/front_cpu.h"
#include "shard/grace.h"
#include "shard/lanes.h"
#include "shard/reclaim.h"
#include "tiers/headroom.h"
#include "tiers/meta.h"
#include "tiers/page_map.h"
#include "topology/bind.h"

static struct hak_heap default_heap;

struct hak_heap *hak_heap_default(void)
{
    return &default_heap;
}

/* ---- placing ------------------------------------------------------------------------------- */

static struct hak_placement *placement_for(unsigned count)
{
    size_t size = sizeof(struct hak_placement) + count * sizeof(struct hak_shard *);
    struct hak_placement *placement = hak_meta_alloc(size, HAK_CACHE_LINE);
    if (placement != NULL)
        placement->count = count;
    return placement;
}

/* What the heap may keep unused is shared out, so that it does not grow with the shards. */
static void share_out(struct hak_heap *heap, unsigned shards)
{
    enum { LARGE_LEAST = 2 * 1024 * 1024, SLAB_PART = 8, SLAB_LEAST = 256 * 1024 };
    size_t share = heap->retain_bytes / shards;
    size_t slab_share = share / SLAB_PART;
    if (heap->retain_bytes != 0 && share < LARGE_LEAST)
        share = LARGE_LEAST;
    if (heap->retain_bytes != 0 && slab_share < SLAB_LEAST)
        slab_share = SLAB_LEAST;
    struct hak_policy *policy = &heap->policy_store;
    /* What is to decay in no time is not kept at all. */
    if (policy->decay_ns == 0)
        slab_share = 0;
    hak_policy_set_bytes(&policy->whale_retain_bytes, heap->retain_bytes);
    hak_policy_set_bytes(&policy->large_retain_bytes, share);
    hak_policy_set_bytes(&policy->slab_retain_bytes, slab_share);
}

void hak_heap_set_retain(struct hak_heap *heap, size_t bytes)
{
    heap->retain_bytes = bytes;
    share_out(heap, heap->placement->count);
}

int hak_heap_start(struct hak_heap *heap, const struct hak_policy *policy)
{
    heap->policy_store = *policy;
    heap->policy = &heap->policy_store;
    heap->retain_bytes = policy->large_retain_bytes;
    heap->nodes = 1;
    struct hak_placement *placement = placement_for(1);
    struct hak_shard *shard = hak_shard_create(HAK_NODE_ANY, heap->policy);
    if (placement == NULL || shard == NULL)
        return -ENOMEM;
    placement->shards[0] = shard;
    share_out(heap, 1);
    hak_whale_start(&heap->whales, heap->policy);
    /* release: pairs with the acquire in hak_heap_shard_here */
    __atomic_store_n(&heap->placement, placement, __ATOMIC_RELEASE);
    return 0;
}

void hak_heap_start_learning(struct hak_heap *heap)
{
    hak_whale_start(&heap->whales, heap->policy);
    for (unsigned id = 1; id <= hak_shard_last_id(); id++)
        hak_shard_start_learning(hak_shard_of_id(id));
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

enum {
    MOVED_AT_ONCE = 4,    /* regions of a pool that a new node may fetch: a program's first few */
};

/* A shard that stood already takes along what little it has; a heap that has grown is not dragged
 * through the machine for a thread that was started: only its untouched pages come from there. */
static void settle(struct hak_heap *heap, struct hak_shard *shard, int node)
{
    if (hak_shard_node(shard) == node)
        return;
    int is_small = hak_pool_regions(&shard->tiny) <= MOVED_AT_ONCE &&
                   hak_pool_regions(&shard->mid) <= MOVED_AT_ONCE;
    hak_shard_settle(shard, node, is_small ? HAK_OS_PAGES_MOVE : HAK_OS_PAGES_LEAVE);
    hak_whale_trim(&heap->whales);    /* they are told apart by the node that the shard had */
}

static struct hak_shard *shard_for(struct hak_heap *heap, unsigned index, int node)
{
    struct hak_shard *shard = hak_shard_of_id(index + 1);
    if (shard == NULL)
        shard = hak_shard_create(node, heap->policy);
    else
        settle(heap, shard, node);
    if (shard != NULL)
        shard->index = (uint16_t)index;
    return shard;
}

/* A shard of several nodes' CPUs has none of its own: its memory lies where it is touched. */
static int node_of_domain(const struct hak_domain_shard *domain)
{
    return domain->spans ? HAK_NODE_ANY : domain->memory_id;
}

static struct hak_placement *build_placement(struct hak_heap *heap,
                                             const struct hak_domains *domains,
                                             const struct hak_domain_request *request)
{
    struct hak_placement *placement = placement_for(domains->shards);
    for (unsigned index = 0; placement != NULL && index < domains->shards; index++) {
        int node = node_of_domain(&domains->shard[index]);
        placement->shards[index] = shard_for(heap, index, node);
        if (placement->shards[index] == NULL)
            placement = NULL;
    }
    if (placement == NULL)
        return NULL;
    placement->domains = domains;
    placement->request = *request;
    placement->next = heap->placements;
    heap->placements = placement;
    return placement;
}

/* A placement of the past: its shards may have served other nodes since. */
static void settle_again(struct hak_heap *heap, const struct hak_placement *placement)
{
    for (unsigned index = 0; index < placement->count; index++)
        settle(heap, placement->shards[index], node_of_domain(&placement->domains->shard[index]));
}

/* What was built for the request, on the machine as it was last looked at; `domains`: whenever, if
 * the same came of it. */
static struct hak_placement *find_placement(const struct hak_heap *heap,
                                            const struct hak_domain_request *request,
                                            const struct hak_domains *domains)
{
    struct hak_placement *placement = heap->placements;
    for (; placement != NULL; placement = placement->next) {
        if (!hak_domains_requests_are_equal(&placement->request, request))
            continue;
        if (domains == NULL ? placement->look == heap->look
                            : hak_domains_are_equal(placement->domains, domains))
            break;
    }
    return placement;
}

/* What comes of the request on the machine: a placement of the past if it is the same. Those are
 * never unmapped, for a reader may hold one; a machine whose CPUs come and go does not pile them
 * up. */
static struct hak_placement *find_or_build(struct hak_heap *heap,
                                           const struct hak_topology *topology,
                                           const struct hak_domain_request *request)
{
    const struct hak_domains *domains = hak_domains_build(topology, request);
    if (domains == NULL)
        return NULL;
    struct hak_placement *placement = find_placement(heap, request, domains);
    if (placement != NULL)
        settle_again(heap, placement);
    else
        placement = build_placement(heap, domains, request);
    if (placement == NULL || placement->domains != domains)
        hak_domains_free(domains);
    if (placement != NULL)
        placement->look = heap->look;
    return placement;
}

static void forget_strangers(struct hak_heap *heap)
{
    /* relaxed, both: see hak_heap_meet_cpu */
    for (unsigned word = 0; word < HAK_CPU_SET_WORDS; word++)
        __atomic_store_n(&heap->strangers.words[word], 0, __ATOMIC_RELAXED);
    __atomic_store_n(&heap->stale, 0, __ATOMIC_RELAXED);
}

static void publish(struct hak_heap *heap, const struct hak_placement *placement)
{
    heap->nodes = placement->domains->nodes;
    share_out(heap, placement->count);
    /* release, all: pair with the acquires in hak_heap_shard_here, hak_heap_heir and refill.c */
    for (unsigned index = 0; index < placement->count; index++)
        __atomic_store_n(&placement->shards[index]->placement, placement, __ATOMIC_RELEASE);
    hak_inject();
    __atomic_store_n(&heap->placement, placement, __ATOMIC_RELEASE);
    hak_inject();
    forget_strangers(heap);
    hak_cpu_fronts_attach();
    hak_front_attach_all();
}

/* Puts a placement in force; what lies in caches of shards that are over goes to slabs. */
static void enforce(struct hak_heap *heap, const struct hak_placement *placement)
{
    publish(heap, placement);
    for (unsigned id = placement->count + 1; id <= hak_shard_last_id(); id++)
        hak_shard_drain(hak_shard_of_id(id));
}

int hak_heap_place(struct hak_heap *heap, const struct hak_topology *topology,
                   const struct hak_domain_request *request)
{
    hak_lock_acquire_over(&heap->placing);
    struct hak_placement *placement = find_placement(heap, request, NULL);
    if (placement != NULL)
        settle_again(heap, placement);
    else
        placement = find_or_build(heap, topology, request);
    if (placement != NULL)
        enforce(heap, placement);
    hak_lock_release_over(&heap->placing);
    return placement != NULL ? 0 : -ENOMEM;
}

int hak_heap_refresh(struct hak_heap *heap, const struct hak_topology *topology,
                     const struct hak_domain_request *request)
{
    hak_lock_acquire_over(&heap->placing);
    heap->look++;
    const struct hak_placement *placement = find_or_build(heap, topology, request);
    if (placement != NULL && placement != heap->placement)
        enforce(heap, placement);
    hak_lock_release_over(&heap->placing);
    hak_cpu_fronts_drain();
    return placement != NULL ? 0 : -ENOMEM;
}

/* ---- CPUs that come later ------------------------------------------------------------------- */

void hak_heap_meet_cpu(struct hak_heap *heap, unsigned cpu)
{
    /* acquire: pairs with the release in publish */
    const struct hak_placement *placement = __atomic_load_n(&heap->placement, __ATOMIC_ACQUIRE);
    if (placement->domains == NULL || !hak_domains_is_stranger(placement->domains, cpu))
        return;
    uint64_t bit = UINT64_C(1) << (cpu % 64);
    /* relaxed, all: what is noted late, twice, or of a placement just gone is met again */
    uint64_t met = __atomic_fetch_or(&heap->strangers.words[cpu / 64], bit, __ATOMIC_RELAXED);
    if ((met & bit) == 0)
        __atomic_store_n(&heap->stale, 1, __ATOMIC_RELAXED);
}

int hak_heap_take_strangers(struct hak_heap *heap, struct hak_cpu_set *cpus)
{
    /* relaxed, all: as above; the first look spares the others an exchange */
    if (__atomic_load_n(&heap->stale, __ATOMIC_RELAXED) == 0 ||
        __atomic_exchange_n(&heap->stale, 0, __ATOMIC_RELAXED) == 0)
        return 0;
    /* acquire: as above */
    const struct hak_domains *domains =
        __atomic_load_n(&heap->placement, __ATOMIC_ACQUIRE)->domains;
    for (unsigned word = 0; word < HAK_CPU_SET_WORDS; word++)
        cpus->words[word] = __atomic_load_n(&heap->strangers.words[word], __ATOMIC_RELAXED);
    for (unsigned cpu = 0; cpu < domains->cpu_ids; cpu++)
        if (domains->cpu[cpu].known)
            hak_cpu_set_add(cpus, cpu);
    return 1;
}

/* ---- sums and purges: all shards there ever were -------------------------------------------- */

static size_t held_bytes(const struct hak_shard *shard)
{
    return hak_counter_read(&shard->counters, HAK_COUNTER_BYTES_MAPPED) -
           hak_counter_read(&shard->counters, HAK_COUNTER_BYTES_UNMAPPED);
}

void hak_heap_totals(struct hak_heap *heap, struct hak_heap_totals *totals)
{
    *totals = (struct hak_heap_totals){ 0 };
    int64_t small = -(int64_t)(hak_front_bytes_of_all() + hak_cpu_fronts_bytes());
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

/* Once in a while is enough: in between, each give obeys the limit by itself. */
void hak_heap_make_room(struct hak_heap *heap)
{
    enum { PAUSE_NS = 5 * 1000 * 1000 };
    uint64_t now = hak_os_coarse_now_ns();
    /* relaxed, all: of two threads that look at once, one is in vain */
    uint64_t last = __atomic_load_n(&heap->made_room_ns, __ATOMIC_RELAXED);
    int64_t missing = (int64_t)hak_headroom_missing();
    if (now - last < PAUSE_NS &&
        missing < __atomic_load_n(&heap->missing_then, __ATOMIC_RELAXED) + HAK_REGION_SIZE)
        return;
    __atomic_store_n(&heap->made_room_ns, now, __ATOMIC_RELAXED);
    hak_headroom_refresh(now);
    if (hak_headroom_missing() != 0 && hak_whale_bytes(&heap->whales).cached != 0)
        hak_whale_trim(&heap->whales);
    for (unsigned id = 1; id <= hak_shard_last_id() && hak_headroom_missing() != 0; id++) {
        struct hak_large_cache *large;
        for (unsigned lane = 0; (large = hak_lane_next(hak_shard_of_id(id), &lane)) != NULL;)
            if (__atomic_load_n(&large->dirty_units, __ATOMIC_RELAXED) != 0)
                hak_large_relieve(large, heap->policy);
    }
    __atomic_store_n(&heap->missing_then, (int64_t)hak_headroom_missing(), __ATOMIC_RELAXED);
}

void hak_heap_tick_next(struct hak_heap *heap, uint64_t now_ns)
{
    enum { TICKS_IN_A_ROW = 16 };
    /* relaxed: turns, which two threads may share. Where work is left the turn comes again, so that
     * what was left behind at a shard goes back before its memory is forgotten. */
    unsigned turn = __atomic_load_n(&heap->next_tick, __ATOMIC_RELAXED);
    unsigned id = turn / TICKS_IN_A_ROW % hak_shard_last_id() + 1;
    bool goes_on = hak_shard_tick(hak_shard_of_id(id), now_ns);
    unsigned next = goes_on ? turn + 1 : turn - turn % TICKS_IN_A_ROW + TICKS_IN_A_ROW;
    __atomic_store_n(&heap->next_tick, next, __ATOMIC_RELAXED);
    hak_whale_tick(&heap->whales, heap->policy, now_ns);
    if (heap->policy->audit != NULL && hak_audit_waiting(heap->policy->audit) >= HAK_AUDIT_MANY)
        hak_audit_flush(heap->policy->audit);
}

void hak_heap_tick(struct hak_heap *heap, uint64_t now_ns)
{
    enum { TICKS_MOST = 1000 };
    hak_whale_tick(&heap->whales, heap->policy, now_ns);
    /* By nobody's malloc: so what decays may go to its end, unless others make ever more. */
    hak_kept_retry();
    for (unsigned id = 1; id <= hak_shard_last_id(); id++)
        for (unsigned ticks = 0; ticks < TICKS_MOST; ticks++)
            if (!hak_shard_tick(hak_shard_of_id(id), now_ns))
                break;
    if (heap->policy->audit != NULL)
        hak_audit_flush(heap->policy->audit);
}

void hak_heap_relieve(struct hak_heap *heap)
{
    uint64_t refused = 0;
    for (unsigned id = 1; id <= hak_shard_last_id(); id++)
        refused += hak_counter_read(&hak_shard_of_id(id)->counters, HAK_COUNTER_OUT_OF_MEMORY);
    if (refused == heap->relieved)
        return;
    heap->relieved = refused;
    hak_cpu_fronts_drain();
}

/* Regions of tiny pools that nobody owns any more, until the grace period is over: a popper of a
 * transfer cache may be looking at an object that lay there. One batch at a time: what becomes
 * empty meanwhile stays with its pool, and is used again. */
static struct {
    struct hak_lock lock;             /* only ever tried */
    struct hak_region *regions;
    struct hak_grace_period period;
} leaving;

/* A region leaves the list first: the child of a fork must not unmap it again. */
static void unmap_regions(struct hak_region **list)
{
    while (*list != NULL) {
        struct hak_region *region = *list;
        *list = region->next;
        const struct hak_region_source *source = region->pool->source;
        hak_page_map_set_kind(region, HAK_REGION_PAGES, HAK_PAGE_FOREIGN, 0);
        hak_region_unmap(source, region, HAK_REGION_SIZE);
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

void hak_heap_reap(struct hak_heap *heap)
{
    (void)heap;
    if (!hak_lock_try_over(&leaving.lock))
        return;    /* another is at it */
    reap_tiny();
    hak_lock_release_over(&leaving.lock);
    struct hak_region *regions = NULL;    /* that nobody peeks into: see transfer_cache.h */
    for (unsigned id = 1; id <= hak_shard_last_id(); id++)
        regions = hak_shard_collect_empty(&hak_shard_of_id(id)->mid, regions);
    unmap_regions(&regions);
}

static int is_enough(const struct hak_heap_purge *purge, size_t bytes)
{
    return bytes >= purge->bytes ||
           (purge->deadline_ns != UINT64_MAX && hak_os_now_ns() >= purge->deadline_ns);
}

/* Each step in a section of its own, so that a fork waits for one step only; while a fork goes on
 * for long they are left out. */
static size_t purge_common(struct hak_heap *heap, const struct hak_heap_purge *purge)
{
    if (!hak_section_enter_late())
        return 0;
    size_t bytes = hak_whale_trim(&heap->whales) + hak_kept_retry();
    if (!is_enough(purge, bytes))
        hak_cpu_fronts_drain();
    hak_section_leave();
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

/* Caches first, then pages: what is drained may empty slabs of any shard. */
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
        hak_heap_reap(heap);
        hak_section_leave();
    }
    return bytes;
}

/* ---- report --------------------------------------------------------------------------------- */

enum {
    CPU_LIST_BYTES = 256
};

static void describe(const struct hak_heap *heap, struct hak_shard *shard,
                     struct hak_report_shard *out, char *cpus)
{
    const struct hak_domains *domains = heap->placement->domains;
    out->id = shard->id;
    out->node = shard->source.node;
    out->cpus = NULL;
    if (domains != NULL && shard->index < heap->placement->count) {
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

/* ---- fork ----------------------------------------------------------------------------------- */

void hak_heap_start_child(struct hak_heap *heap)
{
    if (!hak_section_is_inside())
        hak_lock_reset(&heap->placing);
}
