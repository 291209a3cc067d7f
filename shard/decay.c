/* SPDX-License-Identifier: MIT */
/* Looks at the clock: see the header. */
#include "shard/decay.h"

#include "os/clock.h"

enum {
    CALLS_PER_LOOK = 4,    /* a call of a large tier takes longer than a look at the coarse clock */
};

void hak_decay_look(struct hak_heap *heap, struct hak_shard *shard)
{
    /* relaxed, all: hints; of two threads that tick at once, one does it in vain */
    uint32_t calls = __atomic_load_n(&shard->large_calls, __ATOMIC_RELAXED) + 1;
    __atomic_store_n(&shard->large_calls, calls, __ATOMIC_RELAXED);
    if (calls % CALLS_PER_LOOK != 0)
        return;
    uint64_t now = hak_os_coarse_now_ns();
    if (now - __atomic_load_n(&shard->last_look_ns, __ATOMIC_RELAXED) <
        hak_decay_pause_ns(shard->policy))
        return;
    __atomic_store_n(&shard->last_look_ns, now, __ATOMIC_RELAXED);
    hak_shard_tick(shard, now);
    hak_heap_tick_next(heap, now);
}

static int rests(const struct hak_pool *pool, uint64_t decay_ns, uint64_t now_ns)
{
    /* relaxed: a hint; written under the space's lock */
    uint64_t last = __atomic_load_n(&pool->space.given_ns, __ATOMIC_RELAXED);
    return hak_pool_dirty_bytes(pool) == 0 || (now_ns > last && now_ns - last > decay_ns);
}

int hak_decay_slabs_rest(struct hak_heap *heap, uint64_t now_ns)
{
    uint64_t decay_ns = heap->policy->decay_ns;
    int all = 1;
    for (unsigned id = 1; id <= hak_shard_last_id() && all; id++) {
        const struct hak_shard *shard = hak_shard_of_id(id);
        all = rests(&shard->tiny, decay_ns, now_ns) && rests(&shard->mid, decay_ns, now_ns);
    }
    return all;
}
