/* SPDX-License-Identifier: MIT */
/* Placing: builds shards or uses them again, settles them on nodes and publishes their map. */
#include "heap/place.h"

#include <errno.h>

#include "front/exchange.h"
#include "front/front_cpu.h"
#include "front/fronts.h"
#include "os/inject.h"
#include "shard/upkeep.h"
#include "topology/bind.h"

enum {
    MOVED_AT_ONCE = 4, /* regions of a pool that a new node may fetch: a program's first few */
};

/* Moves a shard to another node. A small one takes its memory along. A heap that has grown is not
 * moved through the machine because a thread started: then only untouched pages come from the new
 * node. */
static void settle(struct hak_heap *heap, struct hak_shard *shard, int node)
{
    if (hak_shard_node(shard) == node)
        return;
    bool is_small = hak_pool_regions(&shard->tiny) <= MOVED_AT_ONCE &&
                    hak_pool_regions(&shard->mid) <= MOVED_AT_ONCE;
    hak_shard_settle(shard, node, is_small ? HAK_OS_PAGES_MOVE : HAK_OS_PAGES_LEAVE);
    hak_whale_trim(&heap->whales); /* cached ones lie on the node that the shard had */
}

static struct hak_shard *shard_for(struct hak_heap *heap, unsigned index, int node)
{
    struct hak_shard *shard = hak_shard_of_id(index + 1);
    if (shard == NULL)
        shard = hak_shard_create(node, heap->settings);
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

static struct hak_shard_map *build_map(struct hak_heap *heap, const struct hak_domains *domains,
                                       const struct hak_domain_request *request)
{
    struct hak_shard_map *map = hak_heap_make_map(domains->shards);
    for (unsigned index = 0; map != NULL && index < domains->shards; index++) {
        int node = node_of_domain(&domains->shard[index]);
        map->shards[index] = shard_for(heap, index, node);
        if (map->shards[index] == NULL)
            map = NULL;
    }
    if (map == NULL)
        return NULL;
    map->domains = domains;
    map->request = *request;
    map->next = heap->maps;
    heap->maps = map;
    return map;
}

/* The shards of an earlier map may have served other nodes since. */
static void settle_again(struct hak_heap *heap, const struct hak_shard_map *map)
{
    for (unsigned index = 0; index < map->count; index++)
        settle(heap, map->shards[index], node_of_domain(&map->domains->shard[index]));
}

/* Finds the map that was built for the request since the machine was last read; with `domains`, one
 * of any time that has equal domains. */
static struct hak_shard_map *find_map(const struct hak_heap *heap,
                                      const struct hak_domain_request *request,
                                      const struct hak_domains *domains)
{
    struct hak_shard_map *map = heap->maps;
    for (; map != NULL; map = map->next) {
        if (!hak_domains_requests_are_equal(&map->request, request))
            continue;
        if (domains == NULL ? map->look == heap->look
                            : hak_domains_are_equal(map->domains, domains))
            break;
    }
    return map;
}

/* The map for the request on this machine: an earlier one if it is equal, else a new one. Maps are
 * never unmapped, for a reader may hold one; without the search, a machine whose CPUs come and go
 * would make more and more of them. */
static struct hak_shard_map *find_or_build(struct hak_heap *heap,
                                           const struct hak_topology *topology,
                                           const struct hak_domain_request *request)
{
    const struct hak_domains *domains = hak_domains_build(topology, request);
    if (domains == NULL)
        return NULL;
    struct hak_shard_map *map = find_map(heap, request, domains);
    if (map != NULL)
        settle_again(heap, map);
    else
        map = build_map(heap, domains, request);
    if (map == NULL || map->domains != domains)
        hak_domains_free(domains);
    if (map != NULL)
        map->look = heap->look;
    return map;
}

static void forget_new_cpus(struct hak_heap *heap)
{
    /* relaxed, both: see hak_heap_meet_cpu */
    for (unsigned word = 0; word < HAK_CPU_SET_WORDS; word++)
        __atomic_store_n(&heap->new_cpus.words[word], 0, __ATOMIC_RELAXED);
    __atomic_store_n(&heap->stale, 0, __ATOMIC_RELAXED);
}

static void publish(struct hak_heap *heap, const struct hak_shard_map *map)
{
    for (unsigned index = 0; index < map->count; index++)
        hak_shard_set_map(map->shards[index], map);
    hak_inject();
    hak_heap_set_map(heap, map);
    hak_inject();
    forget_new_cpus(heap);
    hak_cpu_fronts_attach(map);
    hak_front_attach_all(map);
}

/* Puts a map in force, and drains the shards that it does not use to slabs. */
static void enforce(struct hak_heap *heap, const struct hak_shard_map *map)
{
    publish(heap, map);
    for (unsigned id = map->count + 1; id <= hak_shard_last_id(); id++)
        hak_shard_drain(hak_shard_of_id(id));
}

int hak_heap_place(struct hak_heap *heap, const struct hak_topology *topology,
                   const struct hak_domain_request *request)
{
    hak_lock_acquire_over(&heap->placing);
    struct hak_shard_map *map = find_map(heap, request, NULL);
    if (map != NULL)
        settle_again(heap, map);
    else
        map = find_or_build(heap, topology, request);
    if (map != NULL)
        enforce(heap, map);
    hak_lock_release_over(&heap->placing);
    return map != NULL ? 0 : -ENOMEM;
}

int hak_heap_refresh(struct hak_heap *heap, const struct hak_topology *topology,
                     const struct hak_domain_request *request)
{
    hak_lock_acquire_over(&heap->placing);
    heap->look++;
    const struct hak_shard_map *map = find_or_build(heap, topology, request);
    if (map != NULL && map != heap->map)
        enforce(heap, map);
    hak_lock_release_over(&heap->placing);
    hak_front_flush_cpus();
    return map != NULL ? 0 : -ENOMEM;
}

/* ---- CPUs that come later ------------------------------------------------------------------- */

void hak_heap_meet_cpu(struct hak_heap *heap, unsigned cpu)
{
    const struct hak_shard_map *map = hak_heap_map(heap);
    if (map->domains == NULL || !hak_domains_is_new_cpu(map->domains, cpu))
        return;
    uint64_t bit = UINT64_C(1) << (cpu % 64);
    /* relaxed, all: they publish nothing; a CPU that is noted late, or for a map that was just
     * replaced, is met again */
    uint64_t met = __atomic_fetch_or(&heap->new_cpus.words[cpu / 64], bit, __ATOMIC_RELAXED);
    if ((met & bit) == 0)
        __atomic_store_n(&heap->stale, 1, __ATOMIC_RELAXED);
}

bool hak_heap_take_new_cpus(struct hak_heap *heap, struct hak_cpu_set *cpus)
{
    /* relaxed, all: as above; the first load saves most calls the exchange */
    if (__atomic_load_n(&heap->stale, __ATOMIC_RELAXED) == 0 ||
        __atomic_exchange_n(&heap->stale, 0, __ATOMIC_RELAXED) == 0)
        return false;
    const struct hak_domains *domains = hak_heap_map(heap)->domains;
    for (unsigned word = 0; word < HAK_CPU_SET_WORDS; word++)
        cpus->words[word] = __atomic_load_n(&heap->new_cpus.words[word], __ATOMIC_RELAXED);
    for (unsigned cpu = 0; cpu < domains->cpu_ids; cpu++)
        if (domains->cpu[cpu].known)
            hak_cpu_set_add(cpus, cpu);
    return true;
}
