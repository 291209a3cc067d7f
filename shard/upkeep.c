/* SPDX-License-Identifier: MIT */
/* The upkeep of a shard: drain, decay, purge. Any thread. */
#include "shard/upkeep.h"

#include <stdbool.h>

#include "os/cpu.h"
#include "os/lock.h"
#include "shard/give.h"
#include "shard/lanes.h"
#include "shard/refill.h"
#include "tiers/pool_holes.h"

/* At most this many bundles, so that it ends although other threads push more. */
static void drain_bin(struct hak_shard *shard, unsigned class_id, unsigned bundles)
{
    for (; bundles != 0; bundles--) {
        struct hak_chain chain = hak_shard_pop_bundle(shard, class_id);
        if (hak_chain_is_empty(chain))
            break;
        hak_shard_give_to_slabs(class_id, chain);
    }
}

static uint64_t collects(const struct hak_shard *shard)
{
    return hak_counter_read(&shard->counters, HAK_COUNTER_INBOX_COLLECTS);
}

/* In portions, between which other threads may sort the rest. Only the inbox as it is now, so that
 * this ends although others post more: the first collection from now on takes all of it, and the
 * second comes when that is sorted. Waits for a while if another thread sorts a portion. */
static void drain_inbox(struct hak_shard *shard)
{
    enum { TRIES = 10000 };
    unsigned tries = 0;
    uint64_t before = collects(shard);
    while (hak_shard_has_mail(shard) && tries < TRIES && collects(shard) < before + 2) {
        unsigned budget = HAK_PORTION_BUNDLES;
        hak_shard_collect_inbox(shard, &budget);
        tries = budget == HAK_PORTION_BUNDLES ? tries + 1 : 0;
        if (tries != 0)
            hak_os_pause();
    }
}

void hak_shard_drain(struct hak_shard *shard)
{
    drain_inbox(shard);
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++)
        drain_bin(shard, class_id, hak_transfer_cache_depth(&shard->bundles, class_id));
}

static void set_decay_class(struct hak_shard *shard, unsigned class_id)
{
    /* relaxed: others read a hint */
    __atomic_store_n(&shard->decay_class, class_id, __ATOMIC_RELAXED);
}

/* Begins a round over the classes, a decay time after the last. Under `decaying`, as below. */
static void begin_decay(struct hak_shard *shard, uint64_t now_ns)
{
    if (shard->decay_class != 0 || now_ns < shard->last_decay_ns ||
        now_ns - shard->last_decay_ns < shard->settings->decay_ns)
        return;
    shard->last_decay_ns = now_ns;
    set_decay_class(shard, 1);
    shard->decay_left = 0;
}

/* Bundles of the class that are to go. Asked once a round, because a drain uses the bin. */
static unsigned surplus_of(struct hak_shard *shard, unsigned class_id)
{
    return hak_transfer_cache_is_idle(&shard->bundles, class_id)
               ? hak_transfer_cache_depth(&shard->bundles, class_id)
               : 0;
}

static void go_on_decaying(struct hak_shard *shard, unsigned budget)
{
    while (shard->decay_class != 0) {
        unsigned class_id = shard->decay_class;
        if (shard->decay_left == 0)
            shard->decay_left = surplus_of(shard, class_id);
        unsigned portion = shard->decay_left < budget ? shard->decay_left : budget;
        drain_bin(shard, class_id, portion);
        shard->decay_left -= portion;
        budget -= portion;
        if (shard->decay_left != 0)
            return;
        set_decay_class(shard, class_id + 1 < HAK_CLASS_COUNT ? class_id + 1 : 0);
    }
}

/* Bundles of bins that no thread used for a whole decay time go back to their slabs, which can then
 * become empty. Bundles of the inbox are sorted within the same budget. */
static void decay_bundles(struct hak_shard *shard, uint64_t now_ns)
{
    if (!hak_lock_try_over(&shard->decaying))
        return;
    begin_decay(shard, now_ns);
    unsigned budget = HAK_PORTION_BUNDLES;
    if (shard->decay_class != 0 || !hak_backlog_is_empty(&shard->backlog))
        hak_shard_collect_inbox(shard, &budget);
    go_on_decaying(shard, budget);
    hak_lock_release_over(&shard->decaying);
}

bool hak_shard_tick(struct hak_shard *shard, uint64_t now_ns)
{
    decay_bundles(shard, now_ns);
    bool goes_on = hak_pool_tick(&shard->tiny, shard->settings, now_ns);
    goes_on |= hak_pool_tick(&shard->mid, shard->settings, now_ns);
    hak_lanes_tick(shard, now_ns);
    /* relaxed: a hint */
    return goes_on || __atomic_load_n(&shard->decay_class, __ATOMIC_RELAXED) != 0 ||
           !hak_backlog_is_empty(&shard->backlog);
}

static bool hurries(const struct hak_pool *pool)
{
    return __atomic_load_n(&pool->hurries, __ATOMIC_RELAXED) != 0; /* relaxed: a hint */
}

void hak_shard_hurry(struct hak_shard *shard, uint64_t now_ns)
{
    enum { SPREAD = 8 };
    bool is_tiny = hurries(&shard->tiny);
    bool is_mid = hurries(&shard->mid);
    if (hak_likely(!is_tiny && !is_mid))
        return;
    /* relaxed, both: a turn, which publishes nothing; of two threads at once one takes it */
    uint64_t last = __atomic_load_n(&shard->hurried_ns, __ATOMIC_RELAXED);
    if (now_ns - last < hak_decay_pause_ns(shard->settings) / SPREAD ||
        !__atomic_compare_exchange_n(&shard->hurried_ns, &last, now_ns, 0, __ATOMIC_RELAXED,
                                     __ATOMIC_RELAXED))
        return;
    if (is_tiny)
        hak_pool_holes_tick(&shard->tiny, shard->settings, now_ns);
    if (is_mid)
        hak_pool_holes_tick(&shard->mid, shard->settings, now_ns);
}

struct hak_region *hak_shard_collect_empty(struct hak_pool *pool, struct hak_region *list)
{
    struct hak_region *region = hak_pool_collect_empty(pool);
    while (region != NULL) {
        struct hak_region *next = region->next;
        region->next = list;
        list = region;
        region = next;
    }
    return list;
}

size_t hak_shard_purge(struct hak_shard *shard)
{
    return hak_pool_purge(&shard->tiny) + hak_pool_purge(&shard->mid) + hak_lanes_trim(shard);
}

void hak_shard_settle(struct hak_shard *shard, int node, enum hak_os_pages pages)
{
    /* relaxed: the next mapping uses it */
    __atomic_store_n(&shard->source.node, node, __ATOMIC_RELAXED);
    hak_pool_settle(&shard->tiny, pages);
    hak_pool_settle(&shard->mid, pages);
    hak_lanes_settle(shard, pages);
}
