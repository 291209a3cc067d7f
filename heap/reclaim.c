/* SPDX-License-Identifier: MIT */
/* Giving back before ENOMEM: see the header. */
#include "heap/reclaim.h"

#include "front/exchange.h"
#include "front/front_cpu.h"
#include "front/fronts.h"
#include "front/vacant.h"
#include "heap/own_heap.h"
#include "heap/purge.h"
#include "os/kept.h"
#include "os/lock.h"
#include "shard/lanes.h"
#include "shard/upkeep.h"
#include "topology/bind.h"

enum {
    OTHERS_ASKED = 64, /* shards whose pools are asked for a page; each may ask the kernel */
};

static struct {
    struct hak_lock lock; /* held by whoever walks; taken before any other lock of the heap */
    uint32_t ended;       /* walks; atomic */
    uint32_t pause;       /* refused calls that still end at once; under the lock, as the next */
    uint64_t given_then;  /* given() when a walk was in vain */
} reclaim;

/* A number that changes whenever a shard or a tier is given something. While it stays the same,
 * another walk finds no more than the last. */
static uint64_t given(void)
{
    static const enum hak_counter counters[] = {
        HAK_COUNTER_FLUSH_OBJECTS,   HAK_COUNTER_FOREIGN_FLUSHED, HAK_COUNTER_FLUSH_BUNDLES,
        HAK_COUNTER_SLABS_RELEASED,  HAK_COUNTER_WHALE_UNMAPS,    HAK_COUNTER_FLUSH_TO_SLABS,
        HAK_COUNTER_FOREIGN_ADOPTED, HAK_COUNTER_THREADS_EXITED,
    };
    uint64_t sum = 0;
    for (unsigned id = 1; id <= hak_shard_last_id(); id++) {
        for (unsigned index = 0; index < HAK_ARRAY_LENGTH(counters); index++)
            sum += hak_counter_read(&hak_shard_of_id(id)->counters, counters[index]);
        sum += hak_lanes_counts(hak_shard_of_id(id)).gives;
    }
    return sum;
}

/* ---- the steps; reclaim.lock held ----------------------------------------------------------- */

static size_t give_back_whales(struct hak_heap *heap)
{
    return hak_whale_trim(&heap->whales) + hak_kept_retry();
}

static size_t give_back_runs(void)
{
    size_t bytes = 0;
    for (unsigned id = 1; id <= hak_shard_last_id(); id++)
        bytes += hak_lanes_trim(hak_shard_of_id(id));
    return bytes;
}

static void give_back_slabs(bool may_reap)
{
    /* relaxed: a wish, obeyed sooner or later */
    __atomic_fetch_add(&hak_front_wishes, 1, __ATOMIC_RELAXED);
    hak_front_flush_cpus();
    for (unsigned i = 0; i < HAK_VACANT_MOST && hak_front_drop_vacant(UINT64_MAX); i++) {
    }
    for (unsigned id = 1; id <= hak_shard_last_id(); id++)
        hak_shard_drain(hak_shard_of_id(id));
    for (unsigned id = 1; id <= hak_shard_last_id(); id++)
        hak_shard_purge(hak_shard_of_id(id));
    hak_own_heaps_purge();
    if (may_reap)
        hak_heap_reap();
}

/* After a step that gives nothing the next follows at once. The last step's bytes do not count: it
 * may have made slabs free for other classes instead. */
static void take_steps(struct hak_heap *heap, struct hak_reclaim *call)
{
    size_t bytes = 0;
    if (call->steps == 0) {
        call->steps = 1;
        bytes = give_back_whales(heap);
    }
    if (bytes == 0 && call->steps == 1) {
        call->steps = 2;
        bytes = give_back_runs();
    }
    if (bytes == 0) {
        call->steps = 3;
        give_back_slabs(call->may_reap);
    }
}

/* ---- who walks, and when -------------------------------------------------------------------- */

/* Whether the last walk found nothing and nothing was given since. Lock held. */
static bool is_in_vain(void)
{
    if (reclaim.pause == 0 || given() != reclaim.given_then)
        return false;
    reclaim.pause--;
    return true;
}

/* All steps did not help. */
static void note_failure(void)
{
    hak_lock_acquire(&reclaim.lock);
    reclaim.pause = HAK_RECLAIM_PAUSE;
    reclaim.given_then = given();
    hak_lock_release(&reclaim.lock);
}

/* Takes the lock. Whether another thread's walk ended while we waited for it. */
static bool wait_for_turn(void)
{
    /* relaxed, both: the lock orders; a walk that ended just before may be seen or not */
    uint32_t before = __atomic_load_n(&reclaim.ended, __ATOMIC_RELAXED);
    hak_lock_acquire_over(&reclaim.lock);
    return __atomic_load_n(&reclaim.ended, __ATOMIC_RELAXED) != before;
}

bool hak_reclaim(struct hak_heap *heap, struct hak_reclaim *call)
{
    if (call->steps == 3) {
        note_failure();
        return false;
    }
    if (call->steps == 0 && call->own != NULL)
        hak_front_flush(call->own);
    bool others_walked = wait_for_turn() && !call->has_waited;
    bool stops = !others_walked && call->steps == 0 && is_in_vain();
    if (others_walked)
        call->has_waited = true;
    else if (!stops)
        take_steps(heap, call);
    if (!others_walked && !stops)
        /* relaxed: as above */
        __atomic_store_n(&reclaim.ended, reclaim.ended + 1, __ATOMIC_RELAXED);
    hak_lock_release_over(&reclaim.lock);
    return !stops;
}

/* ---- what lies free elsewhere --------------------------------------------------------------- */

static bool may_serve(struct hak_shard *other, struct hak_shard *shard)
{
    return !hak_bind_is_strict() || hak_shard_node(other) == hak_shard_node(shard);
}

void *hak_reclaim_run(struct hak_shard *shard, size_t size, size_t alignment, enum hak_zero zero)
{
    void *run = NULL;
    for (unsigned id = 1; id <= hak_shard_last_id() && run == NULL; id++) {
        struct hak_shard *other = hak_shard_of_id(id);
        if (may_serve(other, shard))
            run = hak_lanes_take_mapped(other, size, alignment, zero, shard->settings);
    }
    return run;
}

void *hak_reclaim_object(struct hak_shard *shard, unsigned class_id)
{
    struct hak_chain chain = hak_magazine_empty(class_id);
    unsigned last = hak_shard_last_id() < OTHERS_ASKED ? hak_shard_last_id() : OTHERS_ASKED;
    unsigned taken = 0;
    for (unsigned id = 1; id <= last && taken == 0; id++) {
        struct hak_shard *other = hak_shard_of_id(id);
        if (other != shard && may_serve(other, shard))
            taken = hak_pool_take_fresh(hak_shard_pool(other, class_id), class_id, 1, &chain);
    }
    return hak_chain_top(chain);
}
