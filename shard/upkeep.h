/* SPDX-License-Identifier: MIT */
/* Work on a whole shard, as time passes or when memory is short. Any thread. */
#ifndef HAK_SHARD_UPKEEP_H
#define HAK_SHARD_UPKEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "learn/settings.h"
#include "shard/shard.h"

/* The pause between ticks: a tenth of a second, or less if memory decays sooner. */
static inline uint64_t hak_decay_pause_ns(const struct hak_settings *settings)
{
    const uint64_t least = 10ul * 1000 * 1000;
    const uint64_t most = 100ul * 1000 * 1000;
    uint64_t pause = settings->decay_ns < most ? settings->decay_ns : most;
    return pause > least ? pause : least;
}

/* Drains the whole transfer cache and inbox to slabs; so not from inside malloc or free. */
void hak_shard_drain(struct hak_shard *shard);

/* Lets memory decay, at most HAK_PORTION_BUNDLES bundles; from slow paths. Whether more is left for
 * the next tick. */
bool hak_shard_tick(struct hak_shard *shard, uint64_t now_ns);

/* The same for free pages inside slabs alone, if far more of them are due than a tick may purge and
 * none are used again; once in an eighth of the pause at most. */
void hak_shard_hurry(struct hak_shard *shard, uint64_t now_ns);

/* Unlinks regions of a pool without a slab and puts them in front of `list`, to be unmapped: of the
 * tiny pool after a grace period, for poppers may be looking into them (transfer_cache.h). */
struct hak_region *hak_shard_collect_empty(struct hak_pool *pool, struct hak_region *list);

/* Purges all free pages. Returns bytes. */
size_t hak_shard_purge(struct hak_shard *shard);

/* Moves the shard to another node (by the kernel's id, or HAK_NODE_ANY): new memory comes from
 * there, and if `pages` says so its present pages move there, as far as the kernel can move them.
 * Not from inside malloc or free. */
void hak_shard_settle(struct hak_shard *shard, int node, enum hak_os_pages pages);

#endif
