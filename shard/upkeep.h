/* SPDX-License-Identifier: MIT */
/* What is done to a shard as a whole, for time or for want of memory. Any thread. */
#ifndef HAK_SHARD_UPKEEP_H
#define HAK_SHARD_UPKEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "learn/policy.h"
#include "shard/shard.h"

/* How long a ticker pauses: a tenth of a second, less where memory is to decay sooner. */
static inline uint64_t hak_decay_pause_ns(const struct hak_policy *policy)
{
    const uint64_t least = 10ul * 1000 * 1000;
    const uint64_t most = 100ul * 1000 * 1000;
    uint64_t pause = policy->decay_ns < most ? policy->decay_ns : most;
    return pause > least ? pause : least;
}

/* Empties transfer cache and inbox into slabs; whole, so not from inside malloc or free. */
void hak_shard_drain(struct hak_shard *shard);

/* Decay, at most every few milliseconds; from slow paths. Lets HAK_PORTION_BUNDLES
 * bundles decay at most; whether the next tick has to go on. */
bool hak_shard_tick(struct hak_shard *shard, uint64_t now_ns);

/* Unlinks regions of a pool without a slab and puts them in front of `list`, to be unmapped: of the
 * tiny pool after a grace period, for poppers may be looking into them (transfer_cache.h). */
struct hak_region *hak_shard_collect_empty(struct hak_pool *pool, struct hak_region *list);

/* Gives the kernel all free pages at once. Bytes. */
size_t hak_shard_purge(struct hak_shard *shard);

/* Makes the shard one of another node (by the kernel's id, or HAK_NODE_ANY): what it maps from now
 * on comes from there, and what it has goes there, if `pages` says so, as far as it can be moved.
 * Not from inside malloc or free. */
void hak_shard_settle(struct hak_shard *shard, int node, enum hak_os_pages pages);

#endif
