/* SPDX-License-Identifier: MIT */
/* The life of CPU fronts: opened once, at the start or late, and closed for the moments in which
 * another thread empties them. Any thread. */
#include "front/front_cpu.h"

#include <errno.h>

#include "os/apart.h"
#include "os/bits.h"
#include "os/cpu.h"
#include "os/inject.h"
#include "os/lock.h"
#include "os/memory.h"
#include "os/rseq.h"
#include "os/section.h"
#include "shard/shard_map.h"
#include "tiers/meta.h"

enum {
    STRIDE = 1 << HAK_CPU_FRONT_SHIFT,
    TURNS_PER_MS = 2 * 1000 * 1000, /* of the self-test's spinning, about */
    SELF_TESTS = 8,
};

_Static_assert(sizeof(struct hak_front) <= STRIDE, "a front fits its stride, HAK_CPU_FRONT_SHIFT");

struct hak_cpu_fronts hak_cpu_fronts;

static struct hak_lock closing;
static bool trusted; /* the self-test was passed, the rest is set; by the starting thread */

/* Fronts that are opened late. */
static struct {
    ptrdiff_t rseq;                /* 0: there is none. Constant after the start */
    struct hak_os_rseq_mark *mark; /* published by the release in mark_made */
    uint32_t is_seen;              /* a mark was cleared; relaxed */
    uint32_t is_open;              /* opened late, without the fence; relaxed */
} late;

static HAK_TLS bool is_marked;

static struct hak_front *front_at(char *base, unsigned cpu)
{
    return (struct hak_front *)(base + (size_t)cpu * STRIDE);
}

/* ---- opening -------------------------------------------------------------------------------- */

/* A sequence that is disturbed must be restarted. The disturbance interrupts us and only then
 * sets the flag, so a sequence that sees the flag was not restarted when it had to be. All tests
 * together spin for this many milliseconds at the most. */
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
    /* release, all: pair with the acquires in front_cpu.h; whoever finds the fronts, also the child
     * of a fork in between, finds them made */
    __atomic_store_n(&hak_cpu_fronts.rseq, fronts->rseq, __ATOMIC_RELEASE);
    __atomic_store_n(&trusted, true, __ATOMIC_RELEASE);
    __atomic_store_n(&hak_cpu_fronts.limit, fronts->ids, __ATOMIC_RELEASE);
}

int hak_cpu_fronts_start(unsigned ids, const struct hak_shard_map *map)
{
    /* Only the self-test sees these until it is passed: no other thread finds fronts that may close
     * again. */
    struct hak_cpu_fronts fronts = {.limit = ids, .ids = ids};
    if (trusted)
        return 0; /* the child of a fork that came when all was done here */
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
    /* release: pairs with the acquire above; the mark is made when it is found. Two threads may
     * make one each, and leave both */
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
    if (__atomic_load_n(&late.is_seen, __ATOMIC_RELAXED) == 0) /* relaxed: as above */
        return -EAGAIN;
    if (!hak_lock_try_over(&closing))
        return -EAGAIN;
    int refused = 0;
    if (!trusted) {
        size_t size = hak_align_up((size_t)ids * STRIDE, hak_os_page_size());
        char *base = hak_apart_map_meta(size, STRIDE);
        refused = base != NULL ? 0 : -ENOMEM;
        if (base != NULL) {
            /* relaxed: the release in publish orders it */
            __atomic_store_n(&late.is_open, 1, __ATOMIC_RELAXED);
            make_fronts(base, ids, map);
            publish(&(struct hak_cpu_fronts){ids, ids, base, late.rseq});
        }
    }
    hak_lock_release_over(&closing);
    return refused;
}

void hak_cpu_fronts_attach(const struct hak_shard_map *map)
{
    for (unsigned cpu = 0; hak_cpu_fronts_exist() && cpu < hak_cpu_fronts.ids; cpu++)
        hak_front_attach(hak_cpu_front_of(cpu), hak_shard_map_at(map, cpu, 0));
}

/* ---- closing for a while --------------------------------------------------------------------- */

bool hak_cpu_fronts_close(void)
{
    /* relaxed: it is set before any front exists */
    if (!hak_cpu_fronts_exist() || __atomic_load_n(&late.is_open, __ATOMIC_RELAXED) != 0)
        return false;
    hak_lock_acquire_over(&closing);
    bool were_open = hak_cpu_fronts_open();
    /* Each sequence reads limit after its first restartable instruction, so the fence restarts one
     * that began before it, and that one then finds the fronts closed. Without a fence a sequence
     * may be about to commit, so the objects must stay there, or they would be handed out twice.
     * seq_cst: the store comes before the fence */
    __atomic_store_n(&hak_cpu_fronts.limit, 0, __ATOMIC_SEQ_CST);
    hak_inject();
    if (were_open && hak_os_rseq_fence() == 0)
        return true;
    if (were_open)
        hak_cpu_fronts_reopen();
    else
        hak_lock_release_over(&closing);
    return false;
}

void hak_cpu_fronts_reopen(void)
{
    /* release: the next sequence, which reads limit first, finds the magazines as they were
     * emptied */
    __atomic_store_n(&hak_cpu_fronts.limit, hak_cpu_fronts.ids, __ATOMIC_RELEASE);
    hak_lock_release_over(&closing);
}

unsigned hak_cpu_fronts_add_rows(struct hak_front_rows *rows, unsigned first, unsigned count)
{
    unsigned ids = hak_cpu_fronts_exist() ? hak_cpu_fronts.ids : 0;
    for (unsigned cpu = first; cpu < ids && cpu - first < count; cpu++)
        hak_front_rows_add(rows, hak_cpu_front_of(cpu));
    return ids;
}

size_t hak_cpu_fronts_bytes(void)
{
    size_t bytes = 0;
    for (unsigned cpu = 0; hak_cpu_fronts_exist() && cpu < hak_cpu_fronts.ids; cpu++)
        bytes += hak_front_bytes(hak_cpu_front_of(cpu));
    return bytes;
}

void hak_cpu_fronts_after_fork(void)
{
    /* The caller may be a signal handler that interrupted a drain of its own thread. */
    if (hak_section_is_inside())
        return;
    hak_lock_reset(&closing);
    /* relaxed: the child has one thread. A drain of the parent's may have had them closed; or the
     * parent was about to open them, which the child does when it places its shards. */
    __atomic_store_n(&hak_cpu_fronts.limit, trusted ? hak_cpu_fronts.ids : 0, __ATOMIC_RELAXED);
}
