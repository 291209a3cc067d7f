/* SPDX-License-Identifier: MIT */
/* A heap: shards, and which of them serves a CPU. The default heap is one of them. Any thread; the
 * placement is immutable and published as a whole, so it is read without a lock. */
#ifndef HAK_SHARD_HEAP_H
#define HAK_SHARD_HEAP_H

#include <stddef.h>
#include <stdint.h>

#include "learn/policy.h"
#include "os/cpu.h"
#include "shard/shard.h"
#include "stats/report.h"
#include "tiers/whale.h"
#include "topology/domains.h"

/* Which shard is where: one immutable snapshot. Shards are numbered so that those of one L3, and of
 * one node, are neighbours. The shard with index i has the id i + 1 in every placement: re-sharding
 * uses the same shards again, and those beyond `count` are retired: they serve no CPU, and each has
 * an heir, the shard whose id is smaller by a multiple of `count`, which takes over what is freed
 * of theirs and lives off their slabs. Placements are kept for the next time that the same comes of
 * the same request, so a reader needs no protection. */
struct hak_placement {
    const struct hak_domains *domains;    /* NULL: a single shard, before the machine is known */
    struct hak_domain_request request;    /* what it was built for */
    struct hak_placement *next;           /* all of the heap; under its placing lock */
    unsigned look;                        /* the last look at the machine that came to it; ditto */
    unsigned count;
    struct hak_shard *shards[];
};

struct hak_heap {
    const struct hak_placement *placement;    /* published by release, read by acquire */
    struct hak_placement *placements;         /* all there were; under the lock */
    unsigned look;                            /* how many at the machine; under the lock */
    struct hak_lock placing;
    uint32_t stale;                           /* a CPU was met that the placement does not know */
    struct hak_cpu_set strangers;             /* all such since it was published; relaxed, both */
    struct hak_whales whales;
    const struct hak_policy *policy;
    struct hak_policy policy_store;           /* what options made of the fixed policy */
    uint32_t next_tick;                       /* whose turn it is to decay; relaxed */
    uint64_t made_room_ns;                    /* near the limit of memory; relaxed, as the next */
    int64_t missing_then;
    unsigned nodes;                           /* that shards stand on, at least 1 */
    uint64_t relieved;                        /* calls without memory that were answered */
    size_t retain_bytes;                      /* that all shards together may keep unused */
    enum hak_heap_remote {
        HAK_REMOTE_HOME,                      /* frees of another shard's objects go home */
        HAK_REMOTE_ADOPT,                     /* within a node they are kept where they are freed */
    } remote;
} __attribute__((aligned(HAK_CACHE_LINE)));

struct hak_heap_totals {
    size_t mapped;            /* address space from the kernel */
    size_t in_use_slabs;      /* bytes in slabs, free objects in them included */
    size_t in_use_small;      /* of these what the program holds. What lies in fronts, transfer
                                 caches (bundles as if whole) and inboxes is left out as it is
                                 counted while others go on */
    size_t in_use_large;
    size_t in_use_whales;
    size_t cached;            /* dirty but unused */
};

struct hak_heap *hak_heap_default(void);

/* First stage, by the one thread that starts the library: one shard, no library call. 0 or
 * -ENOMEM. */
int hak_heap_start(struct hak_heap *heap, const struct hak_policy *policy);

/* Second stage, and re-sharding: shards as the request says, on a machine like the topology. Shards
 * that stood already are used again; what lies in caches of those no longer needed goes to slabs.
 * Any thread, not from inside malloc or free. 0 or -ENOMEM (then all stays as it was). */
int hak_heap_place(struct hak_heap *heap, const struct hak_topology *topology,
                   const struct hak_domain_request *request);

/* The same after the machine may have changed (CPUs plugged in, a cpuset cut anew): what was built
 * before is used again only where it would be built like that now. Where nothing changed the shards
 * stay; what lies in CPU fronts goes to slabs in any case, for a CPU may have gone. Like a trim,
 * but a thread's start may call it, too, for it holds no lock. */
int hak_heap_refresh(struct hak_heap *heap, const struct hak_topology *topology,
                     const struct hak_domain_request *request);

/* What the options made of the heap's policy is obeyed by the learners of shards and whales from
 * now on. By the starting thread, before there are others. */
void hak_heap_start_learning(struct hak_heap *heap);

/* A last tick of all learners, so that nothing of what they saw is missing in a report. */
void hak_heap_end_learning(struct hak_heap *heap);

/* Takes note of the CPU that a thread runs on, if the placement does not know it; from slow paths,
 * now and then. */
void hak_heap_meet_cpu(struct hak_heap *heap, unsigned cpu);

/* Whether such a CPU was met since this was last asked: 1, and then `cpus` are those that the
 * placement knows and those that were met, or 0. Each is told of once for each placement, so that
 * one which a look at the machine does not find does not make for endless looks. */
int hak_heap_take_strangers(struct hak_heap *heap, struct hak_cpu_set *cpus);

/* How many unused bytes all shards together may keep from the kernel. */
void hak_heap_set_retain(struct hak_heap *heap, size_t bytes);

/* The shard that takes what is of `home`: itself, or its heir if it is retired. */
static inline unsigned hak_heap_heir(const struct hak_heap *heap, unsigned home)
{
    /* acquire: pairs with the release in publish (shard/heap.c) */
    const struct hak_placement *placement =
        __atomic_load_n(&heap->placement, __ATOMIC_ACQUIRE);
    return home <= placement->count ? home : (home - 1) % placement->count + 1;
}

/* The shard for the CPU that the caller runs on; sequence tells threads apart where several shards
 * stand on one CPU. */
static inline struct hak_shard *hak_heap_shard_here(const struct hak_heap *heap, unsigned sequence)
{
    /* acquire: pairs with the release in publish (shard/heap.c) */
    const struct hak_placement *placement =
        __atomic_load_n(&heap->placement, __ATOMIC_ACQUIRE);
    if (placement->count == 1)
        return placement->shards[0];
    return placement->shards[hak_domains_shard_of(placement->domains, hak_os_cpu(), sequence)];
}

/* The shard for a CPU's front. */
static inline struct hak_shard *hak_heap_shard_of_cpu(const struct hak_heap *heap, unsigned cpu)
{
    /* acquire: as above */
    const struct hak_placement *placement =
        __atomic_load_n(&heap->placement, __ATOMIC_ACQUIRE);
    if (placement->count == 1)
        return placement->shards[0];
    return placement->shards[hak_domains_shard_of(placement->domains, cpu, 0)];
}

/* The shard for a new thread's front: any of those on the node where it starts, by turns. The CPU
 * it starts on is its creator's and tells little; threads that never miss would all stay with the
 * creator's shard, and share its slabs. The first refill corrects it. */
static inline struct hak_shard *hak_heap_shard_for_new(const struct hak_heap *heap,
                                                       unsigned sequence)
{
    /* acquire: as above */
    const struct hak_placement *placement =
        __atomic_load_n(&heap->placement, __ATOMIC_ACQUIRE);
    if (placement->count == 1)
        return placement->shards[0];
    const struct hak_domains *domains = placement->domains;
    unsigned here = hak_domains_shard_of(domains, hak_os_cpu(), sequence);
    struct hak_domain_range near = domains->node_range[domains->shard[here].node];
    return placement->shards[near.first + sequence % near.count];
}

void hak_heap_totals(struct hak_heap *heap, struct hak_heap_totals *totals);

/* What a purge is to give back, and from whom. */
struct hak_heap_purge {
    unsigned id;             /* of the shard; 0: all, whales and CPU fronts too */
    size_t bytes;            /* enough */
    uint64_t deadline_ns;    /* by hak_os_now_ns; UINT64_MAX: none */
};

/* Gives the kernel what is free, unmaps empty regions after a grace period. Bytes given back. Not
 * from inside malloc or free. */
size_t hak_heap_purge(struct hak_heap *heap, const struct hak_heap_purge *purge);

/* All there is, of all. */
static inline size_t hak_heap_trim(struct hak_heap *heap)
{
    const struct hak_heap_purge all = {0, SIZE_MAX, UINT64_MAX};
    return hak_heap_purge(heap, &all);
}

/* Near the limit of the process's memory: gives back unused pages of whales and runs, whoever's
 * they are, as far as they are missed. After large memory was taken, before it is touched. */
HAK_COLD void hak_heap_make_room(struct hak_heap *heap);

/* Lets memory decay at one shard, the next each time, and among the whales: what threads do for
 * shards that nobody uses any more. */
void hak_heap_tick_next(struct hak_heap *heap, uint64_t now_ns);

/* Lets memory decay everywhere, without a budget: not from inside malloc or free. */
void hak_heap_tick(struct hak_heap *heap, uint64_t now_ns);

/* Where calls ended without memory since this was last called, gives what lies in CPU fronts to
 * slabs, for all to use: a CPU's front is out of the others' reach. By one thread, not from inside
 * malloc or free. */
void hak_heap_relieve(struct hak_heap *heap);

/* Unmaps regions that nobody owns. Those that somebody may be looking into (grace.h) are kept for
 * the next call: nothing is waited for beyond a bounded poll, and no lock. */
void hak_heap_reap(struct hak_heap *heap);

/* Writes what the shards did; facts are told as they are. */
void hak_heap_report(struct hak_heap *heap, const char *title, const struct hak_report_fact *facts,
                     size_t fact_count, const struct hak_report_voice *voice,
                     struct hak_writer *writer);

/* In the child of a fork: nobody else is placing shards. (A thread that waits for another lock
 * while it holds that one lets forks pass.) */
void hak_heap_start_child(struct hak_heap *heap);

#endif
