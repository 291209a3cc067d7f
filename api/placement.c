/* SPDX-License-Identifier: MIT */
/* Memory at a place that the program names: on a shard, on a node, over several nodes. Any thread.
 *
 *     on_shard      one object of the shard's slabs or runs, without a front
 *     on_node       the same on a shard of the node; without one, a whale bound to the node
 *     interleaved   a whale spread over the nodes
 *     pin_thread    the thread's own front attached to the shard for good */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "api/malloc_slow.h"
#include "api/options.h"
#include "api/own_objects.h"
#include "api/placing.h"
#include "api/profiler.h"
#include "api/threads.h"
#include "api/wake.h"
#include "front/fronts.h"
#include "hakmem.h"
#include "heap/beside.h"
#include "heap/heap.h"
#include "os/bits.h"
#include "os/compiler.h"
#include "os/lock.h"
#include "os/print.h"
#include "os/section.h"
#include "shard/upkeep.h"
#include "tiers/empty.h"
#include "topology/bind.h"

enum {
    PAGES_AT_ONCE = 128, /* moved by one call of the kernel */
    NODES_IN_MASK = 64,
};

/* Sources of whales on a node that the program chose, by the kernel's ids; the last is for whales
 * spread over several nodes. Each is written once, under the lock. */
static struct {
    struct hak_lock lock;
    struct hak_region_source source[HAK_OS_NODES + 1];
} sources;

static const struct hak_region_source *source_for(int node)
{
    struct hak_region_source *source =
        &sources.source[node == HAK_NODE_SPREAD ? HAK_OS_NODES : node];
    hak_lock_acquire(&sources.lock);
    if (source->counters == NULL) {
        struct hak_shard *first = hak_shard_of_id(1);
        *source = (struct hak_region_source){
            .counters = &first->counters, .node = node, .home = first->id};
    }
    hak_lock_release(&sources.lock);
    return source;
}

/* The shard map, after the shards are placed; the machine is read even for a single shard. */
static const struct hak_shard_map *placement_now(void)
{
    hak_start();
    hak_thread_place_shards_and_wait();
    if (!hak_machine_was_placed())
        hak_place_by_options(hak_options.shard);
    return hak_heap_map(hak_heap_default());
}

/* Set errno, for functions that return an int and for those that return a pointer. */
static int refuse(int error)
{
    errno = error;
    return -1;
}

static void *refuse_memory(int error)
{
    errno = error;
    return NULL;
}

static struct hak_shard *shard_at(unsigned index)
{
    const struct hak_shard_map *map = placement_now();
    return index < map->count ? map->shards[index] : NULL;
}

/* A shard on the node, the caller's own if possible; NULL if there is none. */
static struct hak_shard *shard_on(const struct hak_shard_map *map, int node)
{
    struct hak_shard *own = hak_heap_shard_here(hak_heap_default());
    if (hak_shard_node(own) == node)
        return own;
    for (unsigned index = 0; index < map->count; index++)
        if (hak_shard_node(map->shards[index]) == node)
            return map->shards[index];
    return NULL;
}

/* ---- taking ---------------------------------------------------------------------------------- */

/* While another thread forks there is memory, but not on a chosen node. */
static void *take_beside(struct hak_shard *shard, size_t size)
{
    bool is_zero;
    return hak_beside_take(shard, size, 1, &is_zero);
}

static bool lies_beside(const void *object)
{
    struct hak_page page = hak_page_find(object);
    return page.class_id == HAK_CLASS_NONE && page.offset == HAK_PAGE_SIDE;
}

/* The caller is inside the heap, here and below. */
static void *take_whale_once(const struct hak_region_source *source, size_t size)
{
    struct hak_heap *heap = hak_heap_default();
    return hak_whale_take(&heap->whales, source, size, HAK_LARGE_UNIT, HAK_ZERO_NO, heap->settings);
}

static void *take_whale(const struct hak_region_source *source, size_t size)
{
    struct hak_reclaim call = {0};
    if (size > PTRDIFF_MAX)
        return NULL;
    void *whale = take_whale_once(source, size);
    while (whale == NULL && hak_give_back(&call))
        whale = take_whale_once(source, size);
    return whale;
}

static void *take_small(struct hak_shard *shard, unsigned class_id)
{
    struct hak_pool *pool = hak_shard_pool(shard, class_id);
    struct hak_chain chain = hak_magazine_empty(class_id);
    if (hak_pool_take(pool, class_id, 1, &chain) == 0)
        hak_pool_take_fresh(pool, class_id, 1, &chain);
    return hak_chain_top(chain);
}

static void *take_on_once(struct hak_shard *shard, size_t size)
{
    if (size <= HAK_MID_MAX)
        return take_small(shard, hak_size_class_known(size));
    return hak_large_take(&shard->large, size, HAK_LARGE_UNIT, HAK_ZERO_NO, shard->settings);
}

/* A small object that the heap profile wants has a run to itself (api/malloc_slow.c). */
static void *take_run(struct hak_shard *shard, size_t size)
{
    if (!hak_heap_enter())
        return NULL;
    void *object =
        hak_large_take(&shard->large, size, HAK_LARGE_UNIT, HAK_ZERO_NO, shard->settings);
    hak_heap_leave();
    return object;
}

static void profile_placed(const void *object, size_t size, const struct hak_shard *shard, int node)
{
    struct hak_profiler_wish wish;
    struct hak_profiler_place place = {shard->id, node, 0};
    hak_profiler_begin(&wish, size, size, place);
    hak_profiler_note(&wish, object);
}

static bool profiler_wants(size_t size)
{
    return hak_unlikely(hak_profiler_is_on()) && size <= PTRDIFF_MAX && hak_profiler_wants(size);
}

static void *take_unprofiled(struct hak_shard *shard, size_t size)
{
    struct hak_reclaim call = {0};
    void *object = NULL;
    if (hak_heap_enter()) {
        object =
            size > HAK_LARGE_MAX ? take_whale(&shard->source, size) : take_on_once(shard, size);
        while (object == NULL && size <= HAK_LARGE_MAX && hak_give_back(&call))
            object = take_on_once(shard, size);
        hak_heap_leave();
    } else {
        object = take_beside(shard, size);
    }
    if (object == NULL) {
        hak_count(&shard->counters, HAK_COUNTER_OUT_OF_MEMORY, 1);
        return refuse_memory(ENOMEM);
    }
    return object;
}

static void *take_on(struct hak_shard *shard, size_t size)
{
    bool is_small = size <= HAK_MID_MAX;
    size_t counted = is_small ? hak_classes[hak_size_class_known(size)].size : size;
    bool is_wanted = profiler_wants(counted);
    void *object = is_wanted && is_small ? take_run(shard, counted) : NULL;
    if (object == NULL) {
        object = take_unprofiled(shard, size);
        is_wanted &= !is_small; /* its free would not be seen */
    }
    if (is_wanted && object != NULL)
        profile_placed(object, counted, shard, hak_shard_node(shard));
    return object;
}

static void *take_whale_inside(int node, size_t size)
{
    if (!hak_heap_enter())
        return take_beside(hak_shard_of_id(1), size);
    void *object = take_whale(source_for(node), size);
    hak_heap_leave();
    return object;
}

static void *take_whale_for(int node, size_t size)
{
    bool is_wanted = profiler_wants(size);
    void *object = take_whale_inside(node, size);
    if (is_wanted && object != NULL)
        profile_placed(object, size, hak_shard_of_id(1), node >= 0 ? node : HAK_NODE_ANY);
    return object;
}

HAK_PUBLIC void *hakmem_malloc_on_shard(size_t size, unsigned shard)
{
    struct hak_shard *at = shard_at(shard);
    return at != NULL ? take_on(at, size) : refuse_memory(EINVAL);
}

HAK_PUBLIC void *hakmem_malloc_on_node(size_t size, int node)
{
    const struct hak_shard_map *map = placement_now();
    if (!hak_bind_has_memory(node))
        return refuse_memory(EINVAL);
    struct hak_shard *shard = shard_on(map, node);
    enum hak_bind_step step = hak_bind_state().step;
    if (shard != NULL && (hak_bind_places_shards() || step != HAK_BIND_STEP_BOUND))
        return take_on(shard, size);
    if (step != HAK_BIND_STEP_BOUND)
        return take_on(map->shards[0], size);
    void *object = take_whale_for(node, size);
    if (object == NULL)
        return refuse_memory(ENOMEM);
    if (lies_beside(object))
        return object;
    /* With HAKMEM_BIND=none or interleave the source did not bind it to the node. */
    if (!hak_bind_places_shards())
        hak_bind_to(object, hak_usable_size(object), node, HAK_OS_PAGES_MOVE);
    return object;
}

static struct hak_os_nodes nodes_with_memory(uint64_t nodemask)
{
    struct hak_os_nodes nodes = {{0}};
    for (unsigned node = 0; node < NODES_IN_MASK; node++)
        if ((nodemask >> node & 1) != 0 && hak_bind_has_memory((int)node))
            hak_os_nodes_add(&nodes, node);
    return nodes;
}

HAK_PUBLIC void *hakmem_malloc_interleaved(size_t size, uint64_t nodemask)
{
    placement_now();
    struct hak_os_nodes nodes = nodes_with_memory(nodemask);
    if (nodemask != 0 && nodes.word[0] == 0 && hak_bind_memory_nodes() != 0)
        return refuse_memory(EINVAL);
    void *object = take_whale_for(HAK_NODE_SPREAD, size);
    if (object == NULL)
        return refuse_memory(ENOMEM);
    if (!lies_beside(object))
        hak_bind_spread(object, hak_usable_size(object), nodemask != 0 ? &nodes : NULL);
    return object;
}

/* ---- threads --------------------------------------------------------------------------------- */

HAK_PUBLIC int hakmem_pin_thread(unsigned shard)
{
    struct hak_shard *at = shard_at(shard);
    if (at == NULL)
        return refuse(EINVAL);
    struct hak_front *front = hak_thread_own_front();
    if (front == NULL)
        return refuse(ENOTSUP);
    if (!hak_section_enter_late())
        return refuse(EAGAIN);
    hak_front_pin(front, at, hak_heap_map(hak_heap_default()));
    hak_section_leave();
    return 0;
}

HAK_PUBLIC void hakmem_unpin_thread(void)
{
    struct hak_front *front = hak_mine_front();
    if (front == NULL || front->pinned == NULL || !hak_section_enter_late())
        return;
    hak_front_pin(front, NULL, hak_heap_map(hak_heap_default()));
    hak_section_leave();
    hak_thread_drop_own_front();
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* The shard that owns an object, and the node of its memory. */
struct place {
    unsigned home; /* id of the shard; 0: no live object of this heap */
    int node;
};

static struct place place_of(const void *object)
{
    struct hak_page page = hak_page_find(object);
    if (page.class_id != HAK_CLASS_NONE)
        /* relaxed, here and below: see tiers/pool.h */
        return (struct place){page.home,
                              __atomic_load_n(&hak_region_of(object)->node, __ATOMIC_RELAXED)};
    if (page.offset == HAK_PAGE_LARGE && hak_large_size(object) != 0) {
        const struct hak_large_segment *segment = hak_large_segment_find(object);
        return (struct place){segment->cache->source->home,
                              __atomic_load_n(&segment->node, __ATOMIC_RELAXED)};
    }
    if ((page.offset == HAK_PAGE_SIDE && hak_beside_size(object) != 0) ||
        (page.offset == HAK_PAGE_EMPTY && hak_empty_is_live(object)))
        return (struct place){1, HAK_NODE_ANY};
    if (page.offset == HAK_PAGE_WHALE && hak_section_enter_late()) {
        const struct hak_region_source *source =
            hak_whale_source(&hak_heap_default()->whales, object);
        hak_section_leave();
        if (source != NULL)
            return (struct place){source->home, hak_region_source_node(source)};
    }
    return (struct place){0, HAK_NODE_ANY};
}

HAK_PUBLIC int hakmem_shard_of(const void *object)
{
    int node;
    int own = hak_owned_place_of(object, &node);
    unsigned home = place_of(object).home;
    if (own >= 0)
        return own;
    if (home == 0)
        return refuse(EINVAL);
    return (int)hak_shard_map_heir(hak_heap_map(hak_heap_default()), home) - 1;
}

/* The node of a machine that has only one. */
static int only_node(void)
{
    for (int node = 0; node < HAK_OS_NODES && hak_bind_memory_nodes() == 1; node++)
        if (hak_bind_has_memory(node))
            return node;
    return HAK_NODE_ANY;
}

HAK_PUBLIC int hakmem_node_of(const void *object)
{
    struct place place = place_of(object);
    if (hak_owned_place_of(object, &place.node) >= 0)
        place.home = 1;
    if (place.home == 0)
        return refuse(EINVAL);
    if (place.node == HAK_NODE_ANY)
        place.node = only_node();
    return place.node >= 0 ? place.node : refuse(ENOENT);
}

HAK_PUBLIC int hakmem_node_resident(const void *address)
{
    int node = hak_os_page_node(address);
    return node >= 0 ? node : refuse(-node);
}

HAK_PUBLIC int hakmem_shard_info(unsigned shard, struct hakmem_shard_info *info, size_t size)
{
    const struct hak_shard_map *map = placement_now();
    if (shard >= map->count)
        return refuse(EINVAL);
    const struct hak_shard *at = map->shards[shard];
    struct hakmem_shard_info told = {
        .node = hak_shard_node(at),
        .bytes_mapped = hak_counter_read(&at->counters, HAK_COUNTER_BYTES_MAPPED) -
                        hak_counter_read(&at->counters, HAK_COUNTER_BYTES_UNMAPPED),
        .binds = hak_counter_read(&at->counters, HAK_COUNTER_BINDS),
        .spilled = hak_counter_read(&at->counters, HAK_COUNTER_BINDS_SPILLED),
    };
    if (map->domains != NULL) {
        told.cpus = map->domains->shard[shard].cpus;
        struct hak_writer writer = hak_writer_to_buffer(told.cpu_list, sizeof told.cpu_list);
        hak_domains_put_cpus(&writer, map->domains, shard);
        hak_writer_flush(&writer);
    }
    memcpy(info, &told, size < sizeof told ? size : sizeof told);
    return 0;
}

/* ---- moving ---------------------------------------------------------------------------------- */

/* Moves the kernel pages of [from, to). 0 or an errno value. */
static int move_range(uintptr_t from, uintptr_t to, int node)
{
    void *pages[PAGES_AT_ONCE];
    int status[PAGES_AT_ONCE];
    int nodes[PAGES_AT_ONCE];
    size_t page = hak_os_page_size();
    int error = 0;
    for (from = hak_align_down(from, page); from < to;) {
        size_t count = 0;
        for (; count < PAGES_AT_ONCE && from < to; from += page) {
            pages[count] = (void *)from;
            status[count++] = 0;
        }
        int refused = hak_os_move_pages(count, pages, node, status, nodes);
        if (refused)
            return -refused;
        for (size_t index = 0; index < count; index++)
            /* Pages that do not exist yet need not move. */
            if (status[index] != node && status[index] != -ENOENT && status[index] != -EFAULT)
                error = ENOMEM;
    }
    return error;
}

static int why_not_bound(enum hak_bind_result result)
{
    if (result == HAK_BIND_DONE)
        return 0;
    return result == HAK_BIND_LEFT || result == HAK_BIND_REFUSED ? EPERM : ENOMEM;
}

HAK_PUBLIC int hakmem_move(const void *object, int node)
{
    placement_now();
    size_t size = hak_usable_size(object);
    if (size == 0 || !hak_bind_has_memory(node))
        return refuse(EINVAL);
    if (hak_bind_memory_nodes() == 1)
        return 0;
    int error;
    if (hak_page_find(object).offset == HAK_PAGE_WHALE &&
        hak_page_find(object).class_id == HAK_CLASS_NONE) {
        enum hak_bind_result result = hak_bind_to((void *)object, size, node, HAK_OS_PAGES_MOVE);
        error = why_not_bound(result);
        if (error == 0 && hak_section_enter_late()) {
            hak_whale_adopt(&hak_heap_default()->whales, object, source_for(node));
            hak_section_leave();
        }
    } else {
        error = move_range((uintptr_t)object, (uintptr_t)object + size, node);
    }
    return error == 0 ? 0 : refuse(error);
}

HAK_PUBLIC int hakmem_move_shard(unsigned shard, int node)
{
    struct hak_shard *at = shard_at(shard);
    if (at == NULL || !hak_bind_has_memory(node))
        return refuse(EINVAL);
    if (hak_bind_memory_nodes() == 1)
        return 0;
    if (hak_bind_state().step != HAK_BIND_STEP_BOUND)
        return refuse(EPERM);
    if (!hak_section_enter_late())
        return refuse(EAGAIN);
    hak_shard_settle(at, node, HAK_OS_PAGES_MOVE);
    hak_section_leave();
    return 0;
}
