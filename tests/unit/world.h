/* SPDX-License-Identifier: MIT */
/* A small world for the tests of shards: the library's start without api/, and machines by hand.
 * The tests pop and push chains here as their owner may. For the main thread unless said
 * otherwise. */
#ifndef HAK_TESTS_UNIT_WORLD_H
#define HAK_TESTS_UNIT_WORLD_H

#include <stddef.h>
#include <stdint.h>

#include "front/exchange.h"
#include "front/front.h"
#include "front/fronts.h"
#include "heap/heap.h"
#include "heap/place.h"
#include "heap/purge.h"
#include "heap/tick.h"
#include "shard/give.h"
#include "shard/grace.h"
#include "shard/refill.h"
#include "shard/shard.h"
#include "shard/upkeep.h"
#include "tests/lib/tap.h"
#include "tiers/pool.h"
#include "topology/domains.h"
#include "topology/topology.h"

struct world_machine {
    unsigned cpus;
    unsigned cpus_per_l3;
    unsigned cpus_per_node;
    const char *shards; /* as in HAKMEM_SHARD */
};

/* CPUs 0, 1, ... cut into L3s and nodes of equal length; NULL when that failed. Whatever CPU a
 * thread really runs on, the domains fold it into these. */
static inline struct hak_topology *world_topology(const struct world_machine *machine)
{
    struct hak_topology *topology = hak_topology_map();
    struct hak_cpu_set set = {{0}};
    if (!EXPECT(topology != NULL))
        return NULL;
    for (unsigned cpu = 0; cpu < machine->cpus; cpu++)
        hak_cpu_set_add(&set, cpu);
    hak_topology_begin(topology, &set, &set);
    topology->source = "test";
    topology->nodes = (machine->cpus + machine->cpus_per_node - 1) / machine->cpus_per_node;
    for (unsigned node = 0; node < topology->nodes; node++)
        topology->node[node] = (struct hak_topology_node){(uint16_t)node, 1, 0};
    for (unsigned cpu = 0; cpu < machine->cpus; cpu++) {
        topology->cpu[cpu].node = (uint16_t)(cpu / machine->cpus_per_node);
        topology->cpu[cpu].l3 = (uint16_t)(cpu - cpu % machine->cpus_per_l3);
        topology->cpu[cpu].package = (uint16_t)(cpu - cpu % machine->cpus_per_node);
    }
    EXPECT_EQ(hak_topology_finish(topology), 0);
    return topology;
}

/* The default heap with its first shard; any number of calls. */
static inline struct hak_heap *world_start(void)
{
    struct hak_heap *heap = hak_heap_default();
    if (heap->map != NULL)
        return heap;
    hak_size_class_start();
    hak_link_start(0x6a09e667f3bcc909);
    hak_grace_start();
    EXPECT_EQ(hak_heap_start(heap, &hak_settings_default), 0);
    return heap;
}

/* Places the default heap's shards on a machine; the map, NULL when that failed. A program
 * keeps to one machine for each kind of request: the heap remembers what it built. */
static inline const struct hak_shard_map *world_place(const struct world_machine *machine)
{
    struct hak_heap *heap = world_start();
    struct hak_domain_request request;
    struct hak_topology *topology = world_topology(machine);
    int good = EXPECT_EQ(hak_domains_parse(machine->shards, &request), 0) && topology != NULL &&
               EXPECT_EQ(hak_heap_place(heap, topology, &request), 0);
    hak_topology_unmap(topology);
    return good ? heap->map : NULL;
}

/* `shards` shards on one CPU: threads get them one after another, wherever they run. */
static inline const struct hak_shard_map *world_by_turns(const char *shards)
{
    const struct world_machine machine = {1, 1, 1, shards};
    return world_place(&machine);
}

static inline uint64_t world_count(const struct hak_shard *shard, enum hak_counter counter)
{
    if (counter == HAK_COUNTER_REFILL_OBJECTS)
        return hak_shard_refilled(shard);
    return hak_counter_read(&shard->counters, counter);
}

/* The same over all shards. */
static inline uint64_t world_sum(enum hak_counter counter)
{
    uint64_t sum = 0;
    for (unsigned id = 1; id <= hak_shard_last_id(); id++)
        sum += world_count(hak_shard_of_id(id), counter);
    return sum;
}

/* ---- chains: any thread ----------------------------------------------------------------- */

static inline void *world_pop(struct hak_chain *word)
{
    void *object = hak_chain_top(*word);
    if (object != NULL)
        *word = hak_link_read(object);
    return object;
}

/* Objects in a chain, by walking it; stops beyond any bundle. */
static inline unsigned world_length(struct hak_chain word)
{
    unsigned length = 0;
    while (world_pop(&word) != NULL && length < 1000)
        length++;
    return length;
}

/* A chain of `count` objects out of the shard's slabs. */
static inline struct hak_chain world_chain(struct hak_shard *shard, unsigned class_id,
                                           unsigned count)
{
    struct hak_pool *pool = hak_shard_pool(shard, class_id);
    struct hak_chain word = hak_magazine_empty(class_id);
    unsigned have = 0;
    while (have < count) {
        unsigned got = hak_pool_take(pool, class_id, count - have, &word);
        if (got == 0)
            got = hak_pool_take_fresh(pool, class_id, count - have, &word);
        if (!EXPECT(got != 0))
            break;
        have += got;
    }
    return word;
}

/* ---- accounts --------------------------------------------------------------------------- */

static inline size_t world_slab_bytes(void)
{
    size_t bytes = 0;
    for (unsigned id = 1; id <= hak_shard_last_id(); id++) {
        struct hak_shard *shard = hak_shard_of_id(id);
        bytes += hak_pool_slab_bytes(&shard->tiny) + hak_pool_slab_bytes(&shard->mid);
    }
    return bytes;
}

/* Objects handed to fronts that have not come back from them, by the counters. */
static inline int64_t world_objects_out(void)
{
    return (int64_t)(world_sum(HAK_COUNTER_REFILL_OBJECTS) - world_sum(HAK_COUNTER_FLUSH_OBJECTS) -
                     world_sum(HAK_COUNTER_FOREIGN_FLUSHED));
}

/* No thread holds an object any more: a trim leaves no slab. So no object was lost, and each went
 * into the slab that it was cut from, or that one could not have been released. */
static inline void world_expect_nothing_lost(void)
{
    hak_heap_trim(hak_heap_default());
    EXPECT_EQ(world_slab_bytes(), 0);
    EXPECT_EQ(world_sum(HAK_COUNTER_BAD_FREES), 0);
    EXPECT_EQ(world_sum(HAK_COUNTER_SLABS_MADE), world_sum(HAK_COUNTER_SLABS_RELEASED));
    EXPECT_EQ(world_sum(HAK_COUNTER_BYTES_MAPPED), world_sum(HAK_COUNTER_BYTES_UNMAPPED));
}

/* ---- a thread's malloc and free, as api/ has them --------------------------------------- */

static inline struct hak_front *world_front(void)
{
    return hak_front_create(hak_heap_map(hak_heap_default()));
}

/* The slow half alone. */
static inline void *world_refill(struct hak_front *front, unsigned class_id)
{
    void *object = hak_front_pop_spare(front, class_id);
    if (object != NULL)
        return object;
    hak_heap_visit(hak_heap_default(), front);
    return hak_front_refill(front, class_id);
}

static inline void *world_take(struct hak_front *front, unsigned class_id)
{
    void *object = hak_front_pop(front, class_id);
    return object != NULL ? object : world_refill(front, class_id);
}

static inline void world_give(struct hak_front *front, void *object)
{
    struct hak_page page = hak_page_find(object);
    uint32_t entry = hak_page_pack(page.class_id, page.offset, page.home);
    if ((page.home == hak_front_home(front) &&
         hak_magazine_put(&front->loaded[page.class_id], object, front->refused[page.class_id])) ||
        hak_front_push_behind(front, entry, object))
        return;
    hak_heap_visit(hak_heap_default(), front);
    if (page.home != hak_front_home(front))
        hak_front_give_foreign(front, page.class_id, object);
    else
        hak_front_overflow(front, page.class_id, object);
}

#endif
