/* SPDX-License-Identifier: MIT */
/* When a heap looks at the clock, and what it does then: see the header. */
#include "heap/tick.h"

#include "front/exchange.h"
#include "front/front_cpu.h"
#include "front/fronts.h"
#include "front/pause.h"
#include "front/vacant.h"
#include "heap/own_heap.h"
#include "heap/place.h"
#include "learn/audit.h"
#include "os/clock.h"
#include "os/kept.h"
#include "shard/upkeep.h"

enum {
    CALLS_PER_LOOK = 64,             /* slow calls of a front */
    LARGE_CALL = CALLS_PER_LOOK / 4, /* a call of a large tier counts as this many: it takes longer
                                        than a look at the coarse clock */
    VACANT_PAUSES = 2, /* between ticks, until a front that no thread took goes back */
};

struct hak_tick_watch hak_tick_watch;

/* ---- everywhere ----------------------------------------------------------------------------- */

void hak_heap_tick_next(struct hak_heap *heap, uint64_t now_ns)
{
    enum { TICKS_IN_A_ROW = 16 };
    /* relaxed, all: hints; two threads may take the same turn. A shard with work left keeps the
     * turn for up to TICKS_IN_A_ROW calls, so that memory which nobody uses any more goes back
     * soon. */
    unsigned turn = __atomic_load_n(&heap->next_tick, __ATOMIC_RELAXED);
    unsigned id = turn / TICKS_IN_A_ROW % hak_shard_last_id() + 1;
    if (hak_unlikely(__atomic_load_n(&hak_tick_watch.is_on, __ATOMIC_RELAXED) != 0))
        __atomic_store_n(&hak_tick_watch.ticked, 1, __ATOMIC_RELAXED);
    bool goes_on = hak_shard_tick(hak_shard_of_id(id), now_ns);
    unsigned next = goes_on ? turn + 1 : turn - turn % TICKS_IN_A_ROW + TICKS_IN_A_ROW;
    __atomic_store_n(&heap->next_tick, next, __ATOMIC_RELAXED);
    hak_own_heaps_tick_next(now_ns);
    hak_whale_tick(&heap->whales, heap->settings, now_ns);
    if (heap->settings->audit != NULL && hak_audit_waiting(heap->settings->audit) >= HAK_AUDIT_MANY)
        hak_audit_flush(heap->settings->audit);
}

/* Fronts that wait for a thread since before this time go back; 0: none. */
static uint64_t vacant_before(const struct hak_settings *settings, uint64_t now_ns)
{
    uint64_t wait_ns = VACANT_PAUSES * hak_decay_pause_ns(settings);
    return settings->decay_ns == UINT64_MAX || now_ns < wait_ns ? 0 : now_ns - wait_ns;
}

void hak_heap_tick(struct hak_heap *heap, uint64_t now_ns)
{
    enum { TICKS_MOST = 1000 };
    uint64_t before = vacant_before(heap->settings, now_ns);
    for (unsigned i = 0; i < HAK_VACANT_MOST && hak_front_drop_vacant(before); i++) {
    }
    hak_whale_tick(&heap->whales, heap->settings, now_ns);
    /* No malloc waits for this, so each shard decays to the end. TICKS_MOST is the bound if other
     * threads free as fast. */
    hak_kept_retry();
    for (unsigned id = 1; id <= hak_shard_last_id(); id++)
        for (unsigned ticks = 0; ticks < TICKS_MOST; ticks++)
            if (!hak_shard_tick(hak_shard_of_id(id), now_ns))
                break;
    hak_own_heaps_tick(now_ns);
    if (heap->settings->audit != NULL)
        hak_audit_flush(heap->settings->audit);
}

/* ---- now and then --------------------------------------------------------------------------- */

/* Whether the caller may look through the shard. Of threads that begin or wake together one does:
 * the others come within an eighth of the pause between ticks, when there is nothing new to
 * find. */
static bool claims_turn(struct hak_shard *shard, uint64_t now_ns, uint64_t pause_ns)
{
    enum { SPREAD = 8 };
    /* relaxed, both: a turn, which publishes nothing */
    uint64_t last = __atomic_load_n(&shard->last_look_ns, __ATOMIC_RELAXED);
    return now_ns - last >= pause_ns / SPREAD &&
           __atomic_compare_exchange_n(&shard->last_look_ns, &last, now_ns, 0, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED);
}

/* Decays and shrinks, once in hak_decay_pause_ns at most. relaxed, here and below: hints; two
 * threads that tick at once do the same work twice */
static HAK_COLD void tick(struct hak_heap *heap, struct hak_front *front, struct hak_front *hints,
                          bool is_watch)
{
    uint64_t now = hak_os_coarse_now_ns();
    bool is_due = now - __atomic_load_n(&hints->last_tick_ns, __ATOMIC_RELAXED) >=
                  hak_decay_pause_ns(heap->settings);
    /* With HAKMEM_DECAY=0 fronts keep nothing either; what watches the clock empties them once a
     * tick, not at each call. */
    if (heap->settings->decay_ns == 0 && (is_due || !is_watch))
        hak_front_flush(front);
    if (!is_due) {
        hak_shard_hurry(hak_front_shard(hints), now);
        return;
    }
    __atomic_store_n(&hints->last_tick_ns, now, __ATOMIC_RELAXED);
    hak_heap_meet_cpu(heap, hak_os_cpu());
    if (heap->settings->decay_ns != UINT64_MAX)
        hak_front_shrink_and_pause(front);
    else
        hak_front_shrink(front);
    hak_front_collect_vacant(vacant_before(heap->settings, now));
    hak_front_collect();
    struct hak_shard *shard = hak_front_shard(hints);
    if (!claims_turn(shard, now, hak_decay_pause_ns(heap->settings)))
        return;
    hak_shard_tick(shard, now);
    hak_heap_tick_next(heap, now);
}

/* After a trim, or when memory is short: empties the CPU's front, which only the CPU's own threads
 * can reach where the kernel refuses the fence. relaxed, all: hints; two threads that see the wish
 * at once both obey it */
static inline void obey_on_cpu(struct hak_front *hints)
{
    uint32_t wishes = __atomic_load_n(&hak_front_wishes, __ATOMIC_RELAXED);
    if (hak_likely(wishes == __atomic_load_n(&hints->wishes_seen, __ATOMIC_RELAXED)))
        return;
    hak_front_flush_to_slabs(HAK_FRONT_OF_CPU);
    /* If the thread has moved meanwhile, this CPU's front is emptied another time. */
    if (hak_cpu_front_here() == hints)
        __atomic_store_n(&hints->wishes_seen, wishes, __ATOMIC_RELAXED);
}

/* is_watch: a call of a paused class, which looks at the clock (front/pause.h). */
static inline void count_calls(struct hak_heap *heap, struct hak_front *front, unsigned calls,
                               bool is_watch)
{
    struct hak_front *hints = front != HAK_FRONT_OF_CPU ? front : hak_cpu_front_here();
    if (front != HAK_FRONT_OF_CPU)
        hak_front_follow(front, hak_heap_map(heap));
    else
        obey_on_cpu(hints);
    /* relaxed, both: a hint; threads of one CPU may lose each other's calls */
    calls += __atomic_load_n(&hints->slow_calls, __ATOMIC_RELAXED);
    bool is_due = is_watch || calls >= CALLS_PER_LOOK;
    __atomic_store_n(&hints->slow_calls, is_due ? 0 : calls, __ATOMIC_RELAXED);
    if (hak_likely(!is_due))
        return;
    if (front != HAK_FRONT_OF_CPU)
        hak_cpu_fronts_watch();
    tick(heap, front, hints, is_watch);
}

void hak_heap_visit(struct hak_heap *heap, struct hak_front *front)
{
    count_calls(heap, front, 1, false);
}

void hak_heap_visit_for_class(struct hak_heap *heap, struct hak_front *front, unsigned class_id)
{
    bool is_paused = front != HAK_FRONT_OF_CPU && hak_front_is_paused(front, class_id);
    count_calls(heap, front, 1, is_paused);
}

void hak_heap_visit_for_large(struct hak_heap *heap, struct hak_front *front)
{
    count_calls(heap, front, LARGE_CALL, false);
}

void hak_heap_visit_without_front(struct hak_heap *heap, struct hak_shard *shard)
{
    /* relaxed, all: hints; two threads may tick at once, one of them in vain */
    uint32_t calls = __atomic_load_n(&shard->large_calls, __ATOMIC_RELAXED) + 1;
    __atomic_store_n(&shard->large_calls, calls, __ATOMIC_RELAXED);
    if (calls % (CALLS_PER_LOOK / LARGE_CALL) != 0)
        return;
    uint64_t now = hak_os_coarse_now_ns();
    if (now - __atomic_load_n(&shard->last_look_ns, __ATOMIC_RELAXED) <
        hak_decay_pause_ns(shard->settings))
        return;
    __atomic_store_n(&shard->last_look_ns, now, __ATOMIC_RELAXED);
    hak_shard_tick(shard, now);
    hak_heap_tick_next(heap, now);
}

static bool rests(const struct hak_pool *pool, uint64_t decay_ns, uint64_t now_ns)
{
    /* relaxed: a hint; written under the space's lock */
    uint64_t last = __atomic_load_n(&pool->space.given_ns, __ATOMIC_RELAXED);
    return hak_pool_dirty_bytes(pool) == 0 || (now_ns > last && now_ns - last > decay_ns);
}

bool hak_heap_slabs_rest(struct hak_heap *heap, uint64_t now_ns)
{
    uint64_t decay_ns = heap->settings->decay_ns;
    bool all = true;
    for (unsigned id = 1; id <= hak_shard_last_id() && all; id++) {
        const struct hak_shard *shard = hak_shard_of_id(id);
        all = rests(&shard->tiny, decay_ns, now_ns) && rests(&shard->mid, decay_ns, now_ns);
    }
    return all;
}
