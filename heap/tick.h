/* SPDX-License-Identifier: MIT */
/* Upkeep of a heap as time passes (HAKMEM_DECAY): slow calls visit it and now and then look at the
 * clock. A thread's front counts its own slow calls, a CPU's front those of its CPU, a shard those
 * of threads without one. Any thread, inside a section. */
#ifndef HAK_HEAP_TICK_H
#define HAK_HEAP_TICK_H

#include <stdbool.h>
#include <stdint.h>

#include "front/front.h"
#include "heap/heap.h"
#include "os/compiler.h"

/* For the publisher of statistics: whether it wants to know of ticks, and whether one came since it
 * last looked. Relaxed, both. */
struct hak_tick_watch {
    uint32_t is_on;
    uint32_t ticked;
};

extern HAK_HIDDEN struct hak_tick_watch hak_tick_watch;

/* Before a slow half of a front (front/exchange.h): attaches a thread's front to the shard of the
 * CPU that the thread runs on; a CPU's front never moves. Now and then looks at the clock, lets
 * unused memory decay and shrinks the front. */
void hak_heap_visit(struct hak_heap *heap, struct hak_front *front);

/* The same by a call of the class: if the front has paused it (front/pause.h), the call looks at
 * the clock. */
void hak_heap_visit_for_class(struct hak_heap *heap, struct hak_front *front, unsigned class_id);

/* The same by a call of a large tier, which counts as several. */
void hak_heap_visit_for_large(struct hak_heap *heap, struct hak_front *front);

/* A call of a large tier by a thread without a front: one in a few looks at the clock. */
void hak_heap_visit_without_front(struct hak_heap *heap, struct hak_shard *shard);

/* Whether no shard's slabs gave pages back within a time of decay, or none are left unused: then
 * empty regions can be unmapped and will hardly be missed. */
bool hak_heap_slabs_rest(struct hak_heap *heap, uint64_t now_ns);

/* Lets memory decay at one shard, another one each time, and among the whales: threads do this for
 * shards that nobody uses any more. */
void hak_heap_tick_next(struct hak_heap *heap, uint64_t now_ns);

/* Lets memory decay everywhere, without a budget; not from inside malloc or free. */
void hak_heap_tick(struct hak_heap *heap, uint64_t now_ns);

#endif
