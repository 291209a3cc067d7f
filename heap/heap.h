/* SPDX-License-Identifier: MIT */
/* A heap: shards, and which of them serves which CPU. The default heap is one. Any thread. */
#ifndef HAK_HEAP_HEAP_H
#define HAK_HEAP_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "learn/credit.h"
#include "learn/settings.h"
#include "os/cpu.h"
#include "shard/shard.h"
#include "shard/shard_map.h"
#include "tiers/whale.h"
#include "topology/domains.h"

struct hak_heap {
    const struct hak_shard_map *map; /* the one in force: hak_heap_map */
    struct hak_shard_map *maps;      /* all that were made; under the lock */
    unsigned look;                   /* reads of the machine so far; under the lock */
    struct hak_lock placing;
    uint32_t stale; /* 1: `new_cpus` has one more; relaxed */
    const struct hak_settings *settings;
    struct hak_settings settings_store; /* the defaults as options changed them */
    size_t retain_bytes;                /* that all shards together may keep unused, */
    bool retains_by_cpus;               /* as many as fit the CPUs */
    /* Slow calls read what stands above. What is below is written now and then, by any thread: on
     * other cache lines. */
    uint64_t made_room_ns /* when hak_heap_make_room last ran; relaxed */
        __attribute__((aligned(HAK_CACHE_LINE)));
    int64_t missing_then;   /* bytes that it could not find; relaxed */
    uint64_t refusals_seen; /* by hak_heap_flush_if_refused */
    uint32_t next_tick;     /* the shard whose turn it is; relaxed */
    /* What runs, whales and slabs may keep unused: lanes write it. */
    struct hak_credit credit __attribute__((aligned(HAK_CACHE_LINE)));
    /* The start does not touch these, so they are last. */
    struct hak_cpu_set new_cpus /* unknown to the map in force; relaxed, as `stale` */
        __attribute__((aligned(HAK_CACHE_LINE)));
    struct hak_whales whales;
};

struct hak_heap *hak_heap_default(void);

/* First stage, by the one thread that starts the library: one shard, no library call. 0 or
 * -ENOMEM. */
int hak_heap_start(struct hak_heap *heap, const struct hak_settings *settings);

/* Makes the learners of shards and whales obey the settings that the options made. By the starting
 * thread, before there are others. */
void hak_heap_start_learning(struct hak_heap *heap);

/* Ticks all learners a last time, so that a report has all that they saw. */
void hak_heap_end_learning(struct hak_heap *heap);

/* Sets how many unused bytes all shards together may keep from the kernel. */
void hak_heap_set_retain(struct hak_heap *heap, size_t bytes);

/* The default: 256 MiB, or HAK_CREDIT_EACH for each CPU if that is more. What each cache may keep
 * before anything is known would not fit otherwise, and busy CPUs would fault in for each other's
 * sake what they had given back. By the starting thread; each map that comes counts anew. */
void hak_heap_set_retain_by_cpus(struct hak_heap *heap);

/* The map in force; not NULL once the heap has started. */
static inline const struct hak_shard_map *hak_heap_map(const struct hak_heap *heap)
{
    /* acquire: pairs with the release in hak_heap_set_map; the map is built when it is seen */
    return __atomic_load_n(&heap->map, __ATOMIC_ACQUIRE);
}

/* Puts a map in force. Under the placing lock, or by the starting thread. */
void hak_heap_set_map(struct hak_heap *heap, const struct hak_shard_map *map);

/* Makes a map with room for `count` shards; the caller fills it in. NULL when out of memory. */
struct hak_shard_map *hak_heap_make_map(unsigned count);

/* The shard for the CPU that the caller runs on. */
static inline struct hak_shard *hak_heap_shard_here(const struct hak_heap *heap)
{
    return hak_shard_map_here(hak_heap_map(heap), 0);
}

#endif
