/* SPDX-License-Identifier: MIT */
/* What a shard does with a chain of free objects: puts it into its transfer cache or the objects'
 * slabs, or sends it home to other shards. Any thread, inside a section. */
#ifndef HAK_SHARD_GIVE_H
#define HAK_SHARD_GIVE_H

#include <stdint.h>

#include "shard/shard.h"

/* Puts a chain of objects of any homes into the transfer cache, or if that is full into slabs. */
void hak_shard_accept(struct hak_shard *shard, unsigned class_id, struct hak_chain chain);

/* The same for a magazine that may not be full: less than half a bundle goes to slabs, because it
 * is not worth an exchange of the transfer cache. */
void hak_shard_accept_part(struct hak_shard *shard, unsigned class_id, struct hak_chain chain);

/* Sends the objects of a chain home; accepts those whose home is this shard. */
void hak_shard_send_home(struct hak_shard *shard, unsigned class_id, struct hak_chain chain);

/* While another thread forks: posts a chain of objects of any homes to the shard's inbox, which
 * takes no lock. */
void hak_shard_post_beside(struct hak_shard *shard, unsigned class_id, struct hak_chain chain);

/* Whether a foreign chain may stay with the front that collected it: then it counts as flushed and
 * refilled. false: the caller gives it to hak_shard_take_foreign. */
bool hak_shard_leaves_foreign(struct hak_shard *shard, unsigned class_id, struct hak_chain chain);

/* Takes a chain of foreign objects, not empty. By the settings' `remote` all of them go home, or
 * only those of other nodes, which go to one shard of each node; this shard adopts the others. */
void hak_shard_take_foreign(struct hak_shard *shard, unsigned class_id, struct hak_chain chain);

/* Takes foreign objects that must not be kept: to their slabs, or home if that may be on another
 * node. */
void hak_shard_give_up_foreign(struct hak_shard *shard, unsigned class_id, struct hak_chain chain);

/* Returns the objects of a chain to their slabs, whatever their homes. */
void hak_shard_give_to_slabs(unsigned class_id, struct hak_chain chain);

/* A bundle of the shard's transfer cache, as a chain; HAK_NO_CHAIN: none. Bundles for which the
 * cache has no room any more go to slabs. */
struct hak_chain hak_shard_pop_bundle(struct hak_shard *shard, unsigned class_id);

#endif
