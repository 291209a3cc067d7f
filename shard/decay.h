/* SPDX-License-Identifier: MIT */
/* When slow calls look at the clock and let unused memory decay (HAKMEM_DECAY): a thread's front
 * counts its own (hak_front_enter_slow, hak_front_look), a shard those of threads without one. Any
 * thread. */
#ifndef HAK_SHARD_DECAY_H
#define HAK_SHARD_DECAY_H

#include <stdint.h>

#include "shard/heap.h"

/* How long a ticker pauses: a tenth of a second, less where memory is to decay sooner. */
static inline uint64_t hak_decay_pause_ns(const struct hak_policy *policy)
{
    const uint64_t least = 10ul * 1000 * 1000;
    const uint64_t most = 100ul * 1000 * 1000;
    uint64_t pause = policy->decay_ns < most ? policy->decay_ns : most;
    return pause > least ? pause : least;
}

/* A call of a large tier by a thread without a front: one in a few looks at the clock. */
void hak_decay_look(struct hak_heap *heap, struct hak_shard *shard);

/* Whether no shard's slabs gave pages back within a time of decay, or none are left unused: then
 * empty regions can be unmapped and will hardly be missed. */
int hak_decay_slabs_rest(struct hak_heap *heap, uint64_t now_ns);

#endif
