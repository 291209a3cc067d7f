/* SPDX-License-Identifier: MIT */
/* CPU fronts: opened once, their slow halves, drained from outside. Any thread; each step that
 * touches a front is one of the sequences of front_cpu.h, and what a step has taken is the taker's
 * alone until the next step. Fields beside the magazines (fill, missed, shard) are hints that
 * threads of one CPU write over each other's: single words, relaxed. */
#include "front/front_cpu.h"

#include <errno.h>

#include "front/fronts.h"
#include "os/apart.h"
#include "os/bits.h"
#include "os/cpu.h"
#include "os/inject.h"
#include "os/lock.h"
#include "os/memory.h"
#include "os/rseq.h"
#include "os/section.h"
#include "shard/found.h"
#include "shard/give.h"
#include "shard/refill.h"
#include "shard/shard_map.h"
#include "tiers/meta.h"

enum {
    STRIDE = 1 << HAK_CPU_FRONT_SHIFT,
    TURNS_PER_MS = 2 * 1000 * 1000,    /* of the self-test's spinning, about */
    SELF_TESTS = 8,
    ROUNDS_TO_GIVE = 4,                /* others may fill the foreign magazine that we emptied */
};

_Static_assert(sizeof(struct hak_front) <= STRIDE, "a front fits its stride, HAK_CPU_FRONT_SHIFT");

struct hak_cpu_fronts hak_cpu_fronts;

static struct hak_lock draining;
static bool trusted;    /* the self-test was passed, the rest is set; by the starting thread */

/* Fronts that are opened late. */
static struct {
    ptrdiff_t rseq;                   /* 0: not to be had. Constant after the start */
    struct hak_os_rseq_mark *mark;    /* published by release */
    uint32_t is_seen;                 /* a mark was cleared; relaxed */
    uint32_t is_open;                 /* so, and no fence is asked for; relaxed */
} late;

static HAK_TLS bool is_marked;


static struct hak_front *front_at(char *base, unsigned cpu)
{
    return (struct hak_front *)(base + (size_t)cpu * STRIDE);
}

static struct hak_front *front_of(unsigned cpu)
{
    return front_at(hak_cpu_fronts.base, cpu);
}

/* The front of the CPU that the caller runs on, a moment ago: for its hints. */
static struct hak_front *front_here(void)
{
    unsigned cpu = hak_os_cpu();
    return front_of(cpu < hak_cpu_fronts.ids ? cpu : 0);
}

struct hak_front *hak_cpu_front_here(void)
{
    return front_here();
}

static struct hak_shard *shard_of(const struct hak_front *front)
{
    /* acquire: pairs with the release in hak_cpu_fronts_attach */
    return __atomic_load_n(&front->shard, __ATOMIC_ACQUIRE);
}

/* ---- opening -------------------------------------------------------------------------------- */

/* A sequence that is disturbed must be restarted. The disturbance interrupts us and only then
 * sets the flag, so a sequence that sees the flag was not restarted when it had to be. All tests
 * together spin for so many milliseconds at the most. */
static bool sequences_restart(const struct hak_cpu_fronts *fronts, unsigned patience_ms)
{
    uint64_t turns = (uint64_t)patience_ms * TURNS_PER_MS;
    for (unsigned test = 0; test < SELF_TESTS && turns != 0; test++) {
        uint32_t flag = 0;
        if (hak_os_disturb_begin(fronts->rseq, &flag) != 0)
            return false;
        bool restarted = hak_cpu_spin(fronts, &flag, &turns);
        hak_os_disturb_end();
        if (restarted)
            return true;
        /* Seen without a restart: either the kernel is not to be trusted, or the disturbance was
         * over before the sequence began. Another chance tells them apart. */
    }
    return false;
}

static void make_fronts(char *base, unsigned ids, const struct hak_shard_map *map)
{
    for (unsigned cpu = 0; cpu < ids; cpu++)
        hak_front_init(front_at(base, cpu), cpu, hak_shard_map_at(map, cpu, 0));
}

static void publish(const struct hak_cpu_fronts *fronts)
{
    hak_cpu_fronts.base = fronts->base;
    hak_cpu_fronts.ids = fronts->ids;
    /* release, all: whoever finds them, as the child of a fork in between, finds them made */
    __atomic_store_n(&hak_cpu_fronts.rseq, fronts->rseq, __ATOMIC_RELEASE);
    __atomic_store_n(&trusted, true, __ATOMIC_RELEASE);
    __atomic_store_n(&hak_cpu_fronts.limit, fronts->ids, __ATOMIC_RELEASE);
}

int hak_cpu_fronts_start(unsigned ids, const struct hak_shard_map *map)
{
    /* The self-test's own, until it is passed: nobody else finds fronts that may close again. */
    struct hak_cpu_fronts fronts = { .limit = ids, .ids = ids };
    if (trusted)
        return 0;    /* the child of a fork that came when all was done here */
    int refused = HAK_THREAD_SANITIZER ? -EOPNOTSUPP : hak_os_rseq_find(&fronts.rseq);
    if (refused)
        return refused;
    unsigned patience_ms = hak_os_disturb_patience_ms();
    if (patience_ms == 0)
        return -EBUSY;
    size_t size = hak_align_up((size_t)ids * STRIDE, hak_os_page_size());
    fronts.base = hak_apart_map_meta(size, STRIDE);
    if (fronts.base == NULL)
        return -ENOMEM;
    if (!sequences_restart(&fronts, patience_ms)) {
        hak_apart_release_meta(fronts.base, size, STRIDE);
        return -EPROTO;
    }
    make_fronts(fronts.base, ids, map);
    publish(&fronts);
    return 0;
}

/* ---- opening late --------------------------------------------------------------------------- */

void hak_cpu_fronts_prepare(void)
{
    if (HAK_THREAD_SANITIZER || hak_os_rseq_find(&late.rseq) != 0)
        late.rseq = 0;
}

static const struct hak_os_rseq_mark *mark_made(void)
{
    /* acquire: pairs with the release below */
    struct hak_os_rseq_mark *mark = __atomic_load_n(&late.mark, __ATOMIC_ACQUIRE);
    if (mark != NULL)
        return mark;
    mark = hak_meta_alloc(sizeof *mark, _Alignof(struct hak_os_rseq_mark));
    if (mark == NULL || !hak_os_rseq_make_mark(mark))
        return NULL;
    /* release: it is made when it is found. Two threads may make one each, and leave both */
    __atomic_store_n(&late.mark, mark, __ATOMIC_RELEASE);
    return mark;
}

void hak_cpu_fronts_watch(void)
{
    /* relaxed: it never becomes 0 again */
    if (late.rseq == 0 || __atomic_load_n(&late.is_seen, __ATOMIC_RELAXED) != 0)
        return;
    if (is_marked && hak_os_rseq_is_clear(late.rseq)) {
        __atomic_store_n(&late.is_seen, 1, __ATOMIC_RELAXED);
        return;
    }
    const struct hak_os_rseq_mark *mark = mark_made();
    is_marked = mark != NULL && hak_os_rseq_leave_mark(late.rseq, mark);
}

int hak_cpu_fronts_open_late(unsigned ids, const struct hak_shard_map *map)
{
    if (hak_cpu_fronts_open())
        return 0;
    if (late.rseq == 0 || ids == 0)
        return -EOPNOTSUPP;
    if (__atomic_load_n(&late.is_seen, __ATOMIC_RELAXED) == 0)    /* relaxed: as above */
        return -EAGAIN;
    if (!hak_lock_try_over(&draining))
        return -EAGAIN;
    int refused = 0;
    if (!trusted) {
        size_t size = hak_align_up((size_t)ids * STRIDE, hak_os_page_size());
        char *base = hak_apart_map_meta(size, STRIDE);
        refused = base != NULL ? 0 : -ENOMEM;
        if (base != NULL) {
            /* relaxed: the release in publish is what it is found by */
            __atomic_store_n(&late.is_open, 1, __ATOMIC_RELAXED);
            make_fronts(base, ids, map);
            publish(&(struct hak_cpu_fronts){ids, ids, base, late.rseq});
        }
    }
    hak_lock_release_over(&draining);
    return refused;
}

void hak_cpu_fronts_attach(const struct hak_shard_map *map)
{
    for (unsigned cpu = 0; hak_cpu_fronts_exist() && cpu < hak_cpu_fronts.ids; cpu++) {
        struct hak_shard *shard = hak_shard_map_at(map, cpu, 0);
        struct hak_front *front = front_of(cpu);
        /* relaxed: a sequence that still sees the old home sorts an object the long way, no more;
         * release: the shard was built before it is found here */
        __atomic_store_n(&front->shard, shard, __ATOMIC_RELEASE);
        __atomic_store_n(&front->home, shard->id, __ATOMIC_RELAXED);
    }
}

/* ---- the slow halves ------------------------------------------------------------------------ */

static void note_missed(struct hak_front *front, unsigned class_id, unsigned fill)
{
    unsigned bundle = hak_classes[class_id].bundle;
    unsigned next = fill * 2 > bundle ? bundle : fill * 2;
    /* relaxed, both: hints */
    __atomic_store_n(&front->fill[class_id], (uint16_t)next, __ATOMIC_RELAXED);
    __atomic_store_n(&front->missed[class_id], 1, __ATOMIC_RELAXED);
}

/* What lies in a magazine of the CPU's front, which is empty then; 0 if nothing does, or if each
 * try was disturbed. */
static struct hak_chain take(size_t slot, unsigned class_id, unsigned tries)
{
    return hak_cpu_take(slot, hak_magazine_empty(class_id), tries);
}

/* Bytes in spare magazines of a front, about: threads of its CPU may be adding others. */
static void note_spare(struct hak_front *front, unsigned class_id, int sign)
{
    const struct hak_class *class = &hak_classes[class_id];
    /* relaxed: a hint, which every shrinking counts afresh */
    __atomic_fetch_add(&front->spare_bytes, (uint32_t)sign * class->bundle * class->size,
                       __ATOMIC_RELAXED);
}

/* A chain that came out of a magazine goes to the shard. */
static void give_back(struct hak_shard *shard, unsigned class_id, struct hak_chain chain)
{
    unsigned length = hak_chain_length(class_id, chain);
    hak_count(&shard->counters, HAK_COUNTER_FLUSH_OBJECTS, length);
    hak_count_objects(&shard->classes[class_id].flushed, length);
    hak_shard_accept_part(shard, class_id, chain);
}

static struct hak_chain chain_from_shard(unsigned class_id)
{
    struct hak_front *front = front_here();
    struct hak_shard *shard = shard_of(front);
    unsigned fill = __atomic_load_n(&front->fill[class_id], __ATOMIC_RELAXED);
    struct hak_chain chain = hak_shard_refill(shard, class_id, fill);
    if (!hak_chain_is_empty(chain))
        note_missed(front, class_id, fill);
    return chain;
}

/* A chain for a CPU that was found without an object: the loaded one, if it is there after all, for
 * another thread filled it, or its link is broken; the spare one; or the shard's. 0: no memory. */
static struct hak_chain find_chain(unsigned class_id)
{
    const struct hak_front *here = front_here();
    /* relaxed: a hint */
    struct hak_chain loaded = {__atomic_load_n(&here->loaded[class_id].word, __ATOMIC_RELAXED)};
    struct hak_chain chain = HAK_NO_CHAIN;
    if (hak_unlikely(!hak_chain_is_empty(loaded)))
        chain = take(hak_slot_loaded(class_id), class_id, HAK_CPU_TRIES);
    if (!hak_chain_is_empty(chain)) {
        hak_count(&shard_of(here)->counters, HAK_COUNTER_FRONT_INTERRUPTED, 1);
        return chain;
    }
    chain = take(hak_slot_spare(class_id), class_id, HAK_CPU_TRIES);
    if (hak_chain_is_empty(chain))
        return chain_from_shard(class_id);
    note_spare(front_here(), class_id, -1);
    return chain;
}

void *hak_cpu_front_refill(unsigned class_id)
{
    struct hak_chain chain;
    struct hak_chain rest = HAK_NO_CHAIN;
    do {
        chain = find_chain(class_id);
        if (hak_chain_is_empty(chain))
            return NULL;
    } while (hak_unlikely(!hak_found_chain_below(class_id, chain, &rest)));    /* given up */
    void *object = hak_chain_top(chain);
    hak_inject();
    if (!hak_chain_is_empty(rest) &&
        !hak_cpu_install(hak_slot_loaded(class_id), rest, HAK_CPU_TRIES))
        give_back(shard_of(front_here()), class_id, rest);
    return object;
}

/* Puts a chain behind the loaded one; what does not fit goes to the shard. */
static void put_spare(struct hak_shard *shard, unsigned class_id, struct hak_chain chain)
{
    struct hak_front *front = front_here();
    size_t slot = hak_slot_spare(class_id);
    /* relaxed: a hint */
    int32_t bytes = (int32_t)__atomic_load_n(&front->spare_bytes, __ATOMIC_RELAXED);
    if (bytes >= HAK_FRONT_SPARE_BYTES) {
        give_back(shard, class_id, chain);
        return;
    }
    if (hak_cpu_install(slot, chain, HAK_CPU_TRIES)) {
        note_spare(front, class_id, 1);
        return;
    }
    struct hak_chain behind = take(slot, class_id, HAK_CPU_TRIES);
    hak_inject();
    if (!hak_cpu_install(slot, chain, HAK_CPU_TRIES))
        give_back(shard, class_id, chain);
    if (!hak_chain_is_empty(behind))
        give_back(shard, class_id, behind);
}

void hak_cpu_front_overflow(unsigned class_id, void *object)
{
    struct hak_chain single = hak_magazine_empty(class_id);
    hak_magazine_push(&single, object);
    size_t slot = hak_slot_loaded(class_id);
    struct hak_chain chain = take(slot, class_id, HAK_CPU_TRIES);
    struct hak_shard *shard = shard_of(front_here());
    hak_inject();
    if (!hak_cpu_install(slot, single, HAK_CPU_TRIES))
        hak_shard_give_to_slabs(class_id, single);
    if (hak_chain_is_empty(chain))
        return;
    put_spare(shard, class_id, chain);
}

/* As in hak_front_give_foreign: 1 if the chain is taken care of. */
static bool keep_foreign(struct hak_front *front, unsigned class_id, struct hak_chain chain)
{
    /* relaxed, both: hints */
    int32_t bytes = (int32_t)__atomic_load_n(&front->spare_bytes, __ATOMIC_RELAXED);
    struct hak_chain spare = {__atomic_load_n(&front->spare[class_id].word, __ATOMIC_RELAXED)};
    if (bytes >= HAK_FRONT_SPARE_BYTES || !hak_chain_is_empty(spare) ||
        !hak_shard_leaves_foreign(shard_of(front), class_id, chain))
        return false;
    hak_inject();
    if (hak_cpu_install(hak_slot_spare(class_id), chain, HAK_CPU_TRIES))
        note_spare(front, class_id, 1);
    else
        give_back(shard_of(front), class_id, chain);
    return true;
}

void hak_cpu_front_give_foreign(unsigned class_id, void *object)
{
    size_t slot = hak_slot_foreign(class_id);
    for (unsigned round = 0; round < ROUNDS_TO_GIVE; round++) {
        if (hak_cpu_push_at(slot, object, HAK_CPU_TRIES) == HAK_CPU_PUSHED)
            return;
        struct hak_chain chain = take(slot, class_id, HAK_CPU_TRIES);
        if (hak_chain_is_empty(chain))
            break;    /* no front to be had, or taken meanwhile */
        struct hak_front *front = front_here();
        if (!keep_foreign(front, class_id, chain))
            hak_shard_take_foreign(shard_of(front), class_id, chain);
    }
    struct hak_chain single = hak_magazine_empty(class_id);
    hak_magazine_push(&single, object);
    hak_shard_give_to_slabs(class_id, single);
}

/* ---- shrinking and draining ----------------------------------------------------------------- */

/* One try for each magazine: what is not to be had now is at the next tick. */
static void shrink_class(struct hak_front *front, unsigned class_id, uint32_t *kept_bytes)
{
    struct hak_shard *shard = shard_of(front);
    const struct hak_class *class = &hak_classes[class_id];
    struct hak_chain chain = take(hak_slot_foreign(class_id), class_id, HAK_CPU_ONE_TRY);
    if (!hak_chain_is_empty(chain))
        hak_shard_take_foreign(shard, class_id, chain);
    /* relaxed, all: hints */
    struct hak_chain loaded = {__atomic_load_n(&front->loaded[class_id].word, __ATOMIC_RELAXED)};
    bool keeps_nothing = shard->policy->decay_ns == 0;
    bool is_unused = hak_front_is_unused(front, class_id, loaded) || keeps_nothing;
    bool is_missed = __atomic_exchange_n(&front->missed[class_id], 0, __ATOMIC_RELAXED);
    if (is_missed && !keeps_nothing) {
        struct hak_chain spare = {__atomic_load_n(&front->spare[class_id].word, __ATOMIC_RELAXED)};
        *kept_bytes += (class->bundle - hak_chain_room(spare)) * class->size;
        return;
    }
    chain = take(hak_slot_spare(class_id), class_id, HAK_CPU_ONE_TRY);
    if (!hak_chain_is_empty(chain))
        give_back(shard, class_id, chain);
    chain = HAK_NO_CHAIN;
    if (is_unused)
        chain = take(hak_slot_loaded(class_id), class_id, HAK_CPU_ONE_TRY);
    if (!hak_chain_is_empty(chain))
        give_back(shard, class_id, chain);
    unsigned fill = __atomic_load_n(&front->fill[class_id], __ATOMIC_RELAXED);
    if (fill > 1)
        __atomic_store_n(&front->fill[class_id], (uint16_t)(fill / 2), __ATOMIC_RELAXED);
}

void hak_cpu_front_shrink(struct hak_front *front)
{
    uint32_t kept_bytes = 0;
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++)
        shrink_class(front, class_id, &kept_bytes);
    /* relaxed: a hint */
    __atomic_store_n(&front->spare_bytes, kept_bytes, __ATOMIC_RELAXED);
}

static void give_to_slabs(struct hak_shard *shard, unsigned class_id, struct hak_chain chain,
                          enum hak_counter counter)
{
    unsigned length = hak_chain_length(class_id, chain);
    hak_count(&shard->counters, counter, length);
    hak_count_objects(&shard->classes[class_id].flushed, length);
    hak_shard_give_to_slabs(class_id, chain);
}

static void empty_magazine(struct hak_front *front, unsigned class_id, struct hak_chain *magazine,
                           enum hak_counter counter)
{
    struct hak_chain chain = *magazine;
    if (hak_chain_is_empty(chain))
        return;
    *magazine = hak_magazine_empty(class_id);
    give_to_slabs(shard_of(front), class_id, chain, counter);
}

/* One front whose CPU runs no sequence on it. */
static void empty_front(struct hak_front *front)
{
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++) {
        empty_magazine(front, class_id, &front->loaded[class_id], HAK_COUNTER_FLUSH_OBJECTS);
        empty_magazine(front, class_id, &front->spare[class_id], HAK_COUNTER_FLUSH_OBJECTS);
        empty_magazine(front, class_id, &front->foreign[class_id], HAK_COUNTER_FOREIGN_FLUSHED);
    }
}

void hak_cpu_front_empty(void)
{
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++) {
        const size_t slots[] = {hak_slot_loaded(class_id), hak_slot_spare(class_id),
                                hak_slot_foreign(class_id)};
        for (unsigned index = 0; index < HAK_ARRAY_LENGTH(slots); index++) {
            struct hak_chain chain = take(slots[index], class_id, HAK_CPU_TRIES);
            if (!hak_chain_is_empty(chain))
                give_to_slabs(shard_of(front_here()), class_id, chain,
                              index < 2 ? HAK_COUNTER_FLUSH_OBJECTS : HAK_COUNTER_FOREIGN_FLUSHED);
        }
    }
}

void hak_cpu_fronts_drain(void)
{
    /* relaxed: set before there are any */
    if (!hak_cpu_fronts_exist() || __atomic_load_n(&late.is_open, __ATOMIC_RELAXED) != 0)
        return;
    hak_lock_acquire_over(&draining);
    /* acquire: as in hak_cpu_fronts_open */
    unsigned open = __atomic_load_n(&hak_cpu_fronts.limit, __ATOMIC_ACQUIRE);
    /* Each sequence reads limit after its first restartable instruction, so one that began before
     * the fence is restarted by it, and then finds the fronts closed. Without a fence one may be
     * about to commit: then what lies there stays, or it would be handed out twice. */
    __atomic_store_n(&hak_cpu_fronts.limit, 0, __ATOMIC_SEQ_CST);
    hak_inject();
    if (open != 0 && hak_os_rseq_fence() == 0) {
        for (unsigned cpu = 0; cpu < hak_cpu_fronts.ids; cpu++)
            empty_front(front_of(cpu));
    }
    /* release: what was emptied is seen by the next sequence */
    __atomic_store_n(&hak_cpu_fronts.limit, open, __ATOMIC_RELEASE);
    hak_lock_release_over(&draining);
}

unsigned hak_cpu_fronts_add_rows(struct hak_front_rows *rows, unsigned first, unsigned count)
{
    unsigned ids = hak_cpu_fronts_exist() ? hak_cpu_fronts.ids : 0;
    for (unsigned cpu = first; cpu < ids && cpu - first < count; cpu++)
        hak_front_rows_add(rows, front_of(cpu));
    return ids;
}

size_t hak_cpu_fronts_bytes(void)
{
    size_t bytes = 0;
    for (unsigned cpu = 0; hak_cpu_fronts_exist() && cpu < hak_cpu_fronts.ids; cpu++)
        bytes += hak_front_bytes(front_of(cpu));
    return bytes;
}

void hak_cpu_fronts_after_fork(void)
{
    /* The caller's own frame may be draining, interrupted by the handler that forked. */
    if (hak_section_is_inside())
        return;
    hak_lock_reset(&draining);
    /* relaxed: the child has one thread. A drain of the parent's may have had them closed; or the
     * parent was about to open them, which the child does when it places its shards. */
    __atomic_store_n(&hak_cpu_fronts.limit, trusted ? hak_cpu_fronts.ids : 0, __ATOMIC_RELAXED);
}
