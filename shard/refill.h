/* SPDX-License-Identifier: MIT */
/* The sources of memory when a front is empty; see refill.c. Any thread, inside a section. */
#ifndef HAK_SHARD_REFILL_H
#define HAK_SHARD_REFILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/shard.h"

/* A chain of up to `fill` objects (a whole bundle if one is at hand) from the six sources of
 * refill.c, in their order; HAK_NO_CHAIN when there is no memory. */
struct hak_chain hak_shard_refill(struct hak_shard *shard, unsigned class_id, unsigned fill);

/* A large run for a thread on `cpu`: a dirty one of the CPU's lane, of the shard's other lanes or
 * of its neighbours, else clean memory. NULL when there is no memory. */
void *hak_shard_take_large(struct hak_shard *shard, unsigned cpu, size_t size, size_t alignment,
                           enum hak_zero zero);

/* How many bundles a refill may take out of inboxes of all shards, and a tick of a shard may let
 * decay: some 40 us if all go to slabs, as a bundle has at most 64 objects. The rest waits for the
 * next call. One call of the program makes at most one refill and the ticks of two shards. */
enum {
    HAK_PORTION_BUNDLES = 40,
};

/* Sorts the inbox into the transfer cache and slabs: at most *budget bundles, then subtracted. */
void hak_shard_collect_inbox(struct hak_shard *shard, unsigned *budget);

/* Whether hak_shard_collect_inbox has work. */
static inline bool hak_shard_has_mail(const struct hak_shard *shard)
{
    return !hak_backlog_is_empty(&shard->backlog) || !hak_inbox_is_empty(&shard->inbox);
}

#endif
