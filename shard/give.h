/* SPDX-License-Identifier: MIT */
/* Chains of free objects that a shard takes over: into its transfer cache, into the slabs that they
 * were cut from, or home to other shards. Any thread, inside a section. */
#ifndef HAK_SHARD_GIVE_H
#define HAK_SHARD_GIVE_H

#include <stdint.h>

#include "shard/shard.h"

/* Takes a chain of objects of any homes: transfer cache first, then slabs. */
void hak_shard_accept(struct hak_shard *shard, unsigned class_id, struct hak_chain chain);

/* The same of a magazine that a front gives up before it is full: what is less than half a bundle
 * goes to slabs, for transfer caches are for bundles worth an exchange. */
void hak_shard_accept_part(struct hak_shard *shard, unsigned class_id, struct hak_chain chain);

/* Sends a chain of objects of any homes home; those that are at home already are accepted. */
void hak_shard_send_home(struct hak_shard *shard, unsigned class_id, struct hak_chain chain);

/* Whether a foreign chain may stay with the front that collected it: then it counts as flushed and
 * refilled. 0: hak_shard_take_foreign is to have it. */
bool hak_shard_leaves_foreign(struct hak_shard *shard, unsigned class_id, struct hak_chain chain);

/* What becomes of a chain of objects that were freed away from home (not empty): by the policy's
 * `remote` they all go home, or only those of other nodes do. */
void hak_shard_take_foreign(struct hak_shard *shard, unsigned class_id, struct hak_chain chain);

/* Returns a chain of objects of any homes into the slabs that they were cut from. */
void hak_shard_give_to_slabs(unsigned class_id, struct hak_chain chain);

/* A bundle of the shard's transfer cache, as a chain; HAK_NO_CHAIN: none. Bundles for which the
 * cache has no room any more go to slabs. */
struct hak_chain hak_shard_pop_bundle(struct hak_shard *shard, unsigned class_id);

#endif
