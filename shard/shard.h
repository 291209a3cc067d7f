/* SPDX-License-Identifier: MIT */
/* The shard: one arena for one NUMA node, L3 domain or CPU. It repeats the first sentence of the
 * design. Any thread may enter any shard; threads that run where it stands enter it most.
 *
 * A shard never moves and its descriptor is never freed: what is retired is its content. */
#ifndef HAK_SHARD_SHARD_H
#define HAK_SHARD_SHARD_H

#include <stdint.h>

#include "learn/learner.h"
#include "learn/policy.h"
#include "os/compiler.h"
#include "os/lock.h"
#include "shard/inbox.h"
#include "shard/transfer_cache.h"
#include "stats/counters.h"
#include "tiers/large.h"
#include "tiers/pool.h"
#include "tiers/region.h"

enum {
    HAK_SHARD_IDS = 1 << 16,    /* id 0 is nobody's: an unknown page has home 0 */
    HAK_LANES_MAX = 64,         /* see lanes.h */
};

struct hak_lane;
struct hak_placement;

struct hak_shard {
    struct hak_region_source source;        /* for whom the tiers map memory */
    const struct hak_policy *policy;        /* what they do with what is free */
    /* Where it stands and who its neighbours are (heap.h); NULL while it is the only one. Published
     * by release, read by acquire. */
    const struct hak_placement *placement;
    uint16_t id;
    uint16_t index;                         /* in its placement */
    uint32_t probe;                         /* where stealing begins next; relaxed */
    size_t at_work;                         /* when it last was (rest.h); relaxed */
    uint32_t large_calls;                   /* by threads without a front; relaxed, as the next */
    uint64_t last_look_ns;
    uint64_t last_decay_ns;                 /* when idle bundles were last looked for; relaxed */
    struct hak_counters counters;
    struct hak_pool tiny;                   /* objects up to 1 KiB */
    struct hak_pool mid;                    /* up to 32 KiB */
    struct hak_large_cache large;           /* runs from there on, whales apart */
    struct hak_learner learner;             /* what becomes of freed runs; under large's lock */
    struct hak_lock lane_lock;              /* over making lanes */
    uint32_t lane_end;                      /* beyond the last lane; atomic */
    uint32_t lane_turn;                     /* the lane to be ticked next; relaxed */
    struct hak_lane *lanes[HAK_LANES_MAX];  /* other CPUs' large caches: lanes.h; atomic */
    struct hak_transfer_cache bundles;      /* full bundles, open to the neighbours */
    struct hak_inbox inbox;                 /* bundles that came home */
    struct hak_backlog backlog;             /* those of them that are being sorted */
    struct hak_lock decaying;               /* only ever tried: one thread at a time goes on */
    uint32_t decay_class;                   /* where bundles decay next, 0: not now; written under
                                               it, looked at relaxed */
    uint32_t decay_left;                    /* bundles of that class that are to go; ditto */
};

/* A shard on a node (-1: any) with the next free id; NULL when out of memory or ids. */
struct hak_shard *hak_shard_create(int node, const struct hak_policy *policy);

/* The policy has changed: the learner begins anew. By the starting thread. */
void hak_shard_start_learning(struct hak_shard *shard);

/* id -> shard, NULL where there is none. */
extern struct hak_shard *hak_shards[HAK_SHARD_IDS];

static inline struct hak_shard *hak_shard_of_id(unsigned id)
{
    /* acquire: pairs with the release in hak_shard_create; the shard is built when it is seen */
    return __atomic_load_n(&hak_shards[id], __ATOMIC_ACQUIRE);
}

static inline struct hak_pool *hak_shard_pool(struct hak_shard *shard, unsigned class_id)
{
    return class_id <= HAK_CLASS_TINY_LAST ? &shard->tiny : &shard->mid;
}

/* Ids in use: 1 .. hak_shard_last_id(). */
unsigned hak_shard_last_id(void);

/* A chain of up to `fill` objects (a whole bundle if one is at hand) from the six sources of
 * refill.c, in their order; 0 when there is no memory. */
uint64_t hak_shard_refill(struct hak_shard *shard, unsigned class_id, unsigned fill);

/* A large run, for a thread on `cpu`: of the dirty ones of the CPU's lane, of the shard's others,
 * of its neighbours', then of clean memory. NULL when there is no memory. */
void *hak_shard_take_large(struct hak_shard *shard, unsigned cpu, size_t size, size_t alignment,
                           enum hak_zero zero);

/* Takes a chain of objects of any homes: transfer cache first, then slabs. */
void hak_shard_accept(struct hak_shard *shard, unsigned class_id, uint64_t word);

/* The same of a magazine that a front gives up before it is full: what is less than half a bundle
 * goes to slabs, for transfer caches are for bundles worth an exchange. */
void hak_shard_accept_part(struct hak_shard *shard, unsigned class_id, uint64_t word);

/* Sends a chain of objects of any homes home; those that are at home already are accepted. */
void hak_shard_send_home(struct hak_shard *shard, unsigned class_id, uint64_t word);

/* Whether a foreign chain may stay with the front that collected it: then it counts as flushed and
 * refilled. 0: hak_shard_take_foreign is to have it. */
int hak_shard_leaves_foreign(struct hak_shard *shard, unsigned class_id, uint64_t word);

/* What becomes of a chain of objects that were freed away from home (not empty): by the heap's
 * `remote` they all go home, or only those of other nodes do. */
void hak_shard_take_foreign(struct hak_shard *shard, unsigned class_id, uint64_t word);

/* Returns a chain of objects of any homes into the slabs that they were cut from. */
void hak_shard_give_to_slabs(unsigned class_id, uint64_t word);

/* How many bundles a refill may take out of inboxes, whosoever, and a tick of a shard let decay:
 * some 40 us if all are taken apart, for one has at most 64 objects. The rest waits where the next
 * call finds it. A call of a program's is a refill and the ticks of two shards at the most. */
enum {
    HAK_PORTION_BUNDLES = 40,
};

/* What is in the inbox goes to the transfer cache and to slabs: at most so many bundles, which are
 * subtracted. */
void hak_shard_collect_inbox(struct hak_shard *shard, unsigned *budget);

/* Whether there is anything for the above. */
static inline int hak_shard_has_mail(const struct hak_shard *shard)
{
    return !hak_backlog_is_empty(&shard->backlog) || !hak_inbox_is_empty(&shard->inbox);
}

/* Empties transfer cache and inbox into slabs; whole, so not from inside malloc or free. */
void hak_shard_drain(struct hak_shard *shard);

/* Decay, at most every few milliseconds; from slow paths. Lets HAK_PORTION_BUNDLES
 * bundles decay at most; whether the next tick has to go on. */
int hak_shard_tick(struct hak_shard *shard, uint64_t now_ns);

/* Unlinks regions of a pool without a slab and puts them in front of `list`, to be unmapped: of the
 * tiny pool after a grace period, for poppers may be looking into them (transfer_cache.h). */
struct hak_region *hak_shard_collect_empty(struct hak_pool *pool, struct hak_region *list);

/* Gives the kernel all free pages at once. Bytes. */
size_t hak_shard_purge(struct hak_shard *shard);

/* Makes the shard one of another node (by the kernel's id, or HAK_NODE_ANY): what it maps from now
 * on comes from there, and what it has goes there, if `pages` says so, as far as it can be moved.
 * Not from inside malloc or free. */
void hak_shard_settle(struct hak_shard *shard, int node, enum hak_os_pages pages);

static inline int hak_shard_node(const struct hak_shard *shard)
{
    return hak_region_source_node(&shard->source);
}

#endif
