/* SPDX-License-Identifier: MIT */
/* Sections: striped counts, and one count of the forks under way. */
#include "os/section.h"

#include <linux/futex.h>
#include <stddef.h>
#include <time.h>

#include "os/clock.h"
#include "os/cpu.h"
#include "os/syscall.h"

enum {
    STRIPES = 128,      /* a fork reads those in use, 8 KiB at most */
    STRIPES_EARLY = 16, /* that a start may touch */
    SPIN_ROUNDS = 200,
};

static const uint64_t NAP_NS = 50 * 1000;
static const uint64_t LATE_NS = 1000ul * 1000 * 1000;
static const uint64_t FREEZE_NS = 10000ul * 1000 * 1000; /* then the child is estranged */
static const uint64_t UNSURE_NS = 20ul * 1000 * 1000;    /* the count may be the caller's */
static const uint64_t RESUME_NS = 100ul * 1000 * 1000;   /* then it goes on despite a fork */

/* Where a thread is. A handler that interrupts ENTERING or LEAVING does not know whether the count
 * was made. */
enum place {
    OUTSIDE,
    ENTERING,
    INSIDE,
    LEAVING,
    LENT, /* inside but not counted, waiting for a lock */
};

struct stripe {
    uint32_t inside;
} __attribute__((aligned(HAK_CACHE_LINE)));

HAK_EARLY static struct {
    uint32_t frozen __attribute__((aligned(HAK_CACHE_LINE))); /* forks under way */
    /* Threads whose handler forks while they are inside. On another line than `frozen`, which each
     * entry reads. */
    uint32_t suspended __attribute__((aligned(HAK_CACHE_LINE)));
    uint32_t intruders; /* threads that went on inside despite a fork */
    uint32_t lenders;   /* uncounted threads that wait for a lock and hold another */
    uint32_t estranged; /* 1: a child that stays frozen */
    uint64_t next_stripe;
    struct stripe stripes[STRIPES_EARLY];
} sections;

static struct stripe stripes[STRIPES - STRIPES_EARLY]; /* the others */

/* State of the thread; its signal handlers read and write it, too. */
static HAK_TLS struct {
    uint32_t depth;
    uint32_t forks;     /* its own freezes under way */
    int32_t stripe;     /* bytes from `sections` to it, half a pointer; 0: none yet */
    uint8_t place;      /* enum place */
    uint8_t in_handler; /* a handler forks while the thread is inside */
    uint8_t suspended;  /* its count is taken back meanwhile */
    uint8_t intrudes;
    uint8_t unsure; /* the last freeze did not see all counts reach 0 */
    uint8_t alone;  /* the last freeze found one thread and did not look */
    uint8_t nested; /* locks held while it takes others */
} mine;

/* glibc 2.32 and later tell it. A process of one thread needs no atomic operation. */
extern char __libc_single_threaded __attribute__((weak));

bool hak_section_is_alone(void)
{
    return &__libc_single_threaded != NULL && __libc_single_threaded;
}

static struct stripe *stripe_at(unsigned index)
{
    return index < STRIPES_EARLY ? &sections.stripes[index] : &stripes[index - STRIPES_EARLY];
}

static struct stripe *own_stripe(void)
{
    if (hak_unlikely(mine.stripe == 0)) {
        /* seq_cst: ordered before is_frozen; pairs with the load in stripes_used */
        uint64_t turn = __atomic_fetch_add(&sections.next_stripe, 1, __ATOMIC_SEQ_CST);
        mine.stripe = (int32_t)((intptr_t)stripe_at(turn % STRIPES) - (intptr_t)&sections);
    }
    return (struct stripe *)((intptr_t)&sections + mine.stripe);
}

static unsigned stripes_used(void)
{
    /* seq_cst: where it matters, ordered after the own `frozen` is set; whoever takes a stripe
     * later sees that. Pairs with the addition in own_stripe */
    uint64_t turns = __atomic_load_n(&sections.next_stripe, __ATOMIC_SEQ_CST);
    return turns < STRIPES ? (unsigned)turns : STRIPES;
}

/* Sets the place for the thread's own signal handlers, which run on the thread: compiler ordering
 * is enough. */
static void be(enum place place)
{
    /* seq_cst, both: signal fences order the compiler's stores, and cost no instruction */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    mine.place = (uint8_t)place;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void count_in(struct stripe *stripe)
{
    if (hak_section_is_alone())
        /* relaxed: there is no other thread; a handler leaves the count as it found it */
        __atomic_store_n(&stripe->inside, stripe->inside + 1, __ATOMIC_RELAXED);
    else
        /* seq_cst: ordered before the load of `frozen`; pairs with the loads of the counts in
         * stripe_empties */
        __atomic_fetch_add(&stripe->inside, 1, __ATOMIC_SEQ_CST);
}

static void count_out(struct stripe *stripe)
{
    if (hak_section_is_alone())
        /* relaxed: as above */
        __atomic_store_n(&stripe->inside, stripe->inside - 1, __ATOMIC_RELAXED);
    else
        /* release: pairs with the load in stripe_empties, which sees what was done inside */
        __atomic_fetch_sub(&stripe->inside, 1, __ATOMIC_RELEASE);
}

/* Whether another thread's fork is under way. */
static bool is_frozen(void)
{
    /* seq_cst: ordered after the own count; pairs with the addition in hak_section_freeze */
    return __atomic_load_n(&sections.frozen, __ATOMIC_SEQ_CST) != mine.forks;
}

static void nap(uint64_t duration_ns)
{
    /* Waits on a local word, which no thread wakes, with a timeout: malloc calls futex anyway. */
    uint32_t word = 0;
    struct timespec duration = {0, (long)duration_ns};
    hak_syscall4(SYS_futex, (uintptr_t)&word, FUTEX_WAIT_PRIVATE, 0, (uintptr_t)&duration);
}

/* ---- entering ------------------------------------------------------------------------------- */

bool hak_section_enter(void)
{
    if (hak_unlikely(mine.depth != 0)) {
        /* A handler that forks could meet locks that the interrupted frame holds. */
        if (mine.in_handler)
            return false;
        mine.depth++;
        return true;
    }
    /* relaxed: avoids touching the counts during a fork; the load after count_in decides */
    if (hak_unlikely(__atomic_load_n(&sections.frozen, __ATOMIC_RELAXED) != mine.forks))
        return false;
    struct stripe *stripe = own_stripe();
    mine.depth = 1;
    be(ENTERING);
    count_in(stripe);
    be(INSIDE);
    if (hak_likely(!is_frozen()))
        return true;
    hak_section_leave();
    return false;
}

void hak_section_leave(void)
{
    if (hak_unlikely(mine.depth > 1)) {
        mine.depth--;
        return;
    }
    be(LEAVING);
    count_out(own_stripe());
    be(OUTSIDE);
    mine.depth = 0;
    if (hak_unlikely(mine.intrudes)) {
        mine.intrudes = 0;
        /* release: ordered after all that was done inside; the copy in a child reads it */
        __atomic_fetch_sub(&sections.intruders, 1, __ATOMIC_RELEASE);
    }
}

bool hak_section_enter_late(void)
{
    if (hak_section_enter())
        return true;
    uint64_t deadline = hak_os_now_ns() + LATE_NS;
    while (mine.forks == 0 && !hak_section_is_estranged() && hak_os_now_ns() < deadline) {
        nap(NAP_NS);
        if (hak_section_enter())
            return true;
    }
    return false;
}

bool hak_section_is_inside(void)
{
    return mine.depth != 0;
}

/* ---- around a fork -------------------------------------------------------------------------- */

/* Waits until a stripe counts 0; false after too long. `own`: how much of the count may be the
 * caller's. */
static bool stripe_empties(const struct stripe *stripe, uint32_t own, uint64_t began_ns)
{
    for (unsigned round = 0;; round++) {
        /* seq_cst: ordered after the own `frozen` is set; also an acquire that pairs with
         * count_out */
        uint32_t inside = __atomic_load_n(&stripe->inside, __ATOMIC_SEQ_CST);
        if (inside == 0)
            return true;
        if (round < SPIN_ROUNDS) {
            hak_os_pause();
            continue;
        }
        if (hak_os_now_ns() - began_ns > (inside <= own ? UNSURE_NS : FREEZE_NS))
            return false;
        nap(NAP_NS);
    }
}

/* After a stripe has been 0, no thread stays in it: later ones are refused. */
static bool all_stripes_empty(void)
{
    uint64_t began = hak_os_now_ns();
    bool is_between = mine.place == ENTERING || mine.place == LEAVING;
    bool all = true;
    unsigned used = stripes_used();
    for (unsigned index = 0; index < used; index++) {
        const struct stripe *stripe = stripe_at(index);
        uint32_t own = is_between && stripe == own_stripe();
        all &= stripe_empties(stripe, own, began);
    }
    return all;
}

/* Takes back the count of a thread that is inside while its handler forks. */
static void suspend(void)
{
    mine.in_handler = mine.depth != 0;
    if (mine.place != INSIDE)
        return;
    mine.suspended = 1;
    /* seq_cst: ordered before the count: a child sees one or the other */
    __atomic_fetch_add(&sections.suspended, 1, __ATOMIC_SEQ_CST);
    be(LEAVING);
    count_out(own_stripe());
    be(LENT);
}

void hak_section_freeze(void)
{
    /* Set first: a signal handler that forks during the wait below must find that nothing is known
     * yet. */
    if (mine.forks == 0) {
        mine.unsure = 1;
        mine.alone = 0;
    }
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    /* relaxed: it never changes again in this process */
    bool is_first = mine.forks++ == 0 && !__atomic_load_n(&sections.estranged, __ATOMIC_RELAXED);
    /* seq_cst: ordered before the loads of the counts; pairs with is_frozen */
    __atomic_fetch_add(&sections.frozen, 1, __ATOMIC_SEQ_CST);
    if (!is_first)
        return;
    mine.alone = hak_section_is_alone();
    if (mine.alone) {
        mine.in_handler = mine.depth != 0;
        mine.unsure = 0;
        return;
    }
    suspend();
    mine.unsure = !all_stripes_empty();
}

/* Counts the caller in again when no other fork is under way, or after a while in any case: that
 * fork's handlers may be waiting for the caller's frame to finish. */
static void resume(void)
{
    uint64_t deadline = hak_os_now_ns() + RESUME_NS;
    for (;;) {
        count_in(own_stripe());
        if (!is_frozen())
            return;
        count_out(own_stripe());
        if (hak_os_now_ns() > deadline)
            break;
        nap(NAP_NS);
    }
    /* seq_cst: ordered before all that is done inside: a child with a copy of that has this, too */
    if (!mine.intrudes)
        __atomic_fetch_add(&sections.intruders, 1, __ATOMIC_SEQ_CST);
    mine.intrudes = 1;
    count_in(own_stripe());
}

void hak_section_thaw(void)
{
    if (mine.forks == 0)
        return; /* the child of a fork made by a prepare handler */
    /* Set first: a handler that forks from here on leaves the rest to this frame. */
    bool resumes = mine.forks == 1 && mine.suspended && mine.place == LENT;
    if (resumes)
        be(ENTERING);
    mine.forks--;
    /* seq_cst: threads that enter see what the forking thread did */
    __atomic_fetch_sub(&sections.frozen, 1, __ATOMIC_SEQ_CST);
    if (mine.forks != 0)
        return;
    mine.in_handler = 0;
    if (!resumes)
        return;
    resume();
    be(INSIDE);
    if (!mine.suspended)
        return; /* this is the child of a handler that forked */
    mine.suspended = 0;
    /* seq_cst: after the count */
    __atomic_fetch_sub(&sections.suspended, 1, __ATOMIC_SEQ_CST);
}

/* The child has one thread, the caller, so nothing needs to be atomic. A frame that was interrupted
 * inside continues inside. */
void hak_section_start_child(void)
{
    bool is_strange = sections.estranged || mine.unsure || sections.suspended != mine.suspended ||
                      sections.intruders != mine.intrudes || sections.lenders != 0;
    if (mine.suspended && mine.place == LENT)
        be(INSIDE);
    mine.suspended = 0;
    mine.forks = 0;
    mine.in_handler = 0;
    sections.suspended = 0;
    sections.lenders = 0;
    sections.intruders = mine.intrudes;
    sections.estranged = is_strange;
    sections.frozen = is_strange;
    if (is_strange || mine.alone)
        return;
    for (unsigned index = 0; index < stripes_used(); index++)
        stripe_at(index)->inside = 0;
    if (mine.place == INSIDE)
        own_stripe()->inside = 1;
}

bool hak_section_is_estranged(void)
{
    /* relaxed: written before the child has threads */
    return __atomic_load_n(&sections.estranged, __ATOMIC_RELAXED) != 0;
}

/* ---- waiting for a lock --------------------------------------------------------------------- */

bool hak_section_wait_suspended(void)
{
    if (hak_section_is_estranged())
        return mine.depth != 0;
    /* seq_cst: pairs with suspend */
    if (mine.place != INSIDE || __atomic_load_n(&sections.suspended, __ATOMIC_SEQ_CST) == 0)
        return false;
    uint64_t deadline = hak_os_now_ns() + RESUME_NS;
    /* seq_cst: ordered before the count: a child sees one or the other */
    if (mine.nested != 0)
        __atomic_fetch_add(&sections.lenders, 1, __ATOMIC_SEQ_CST);
    be(LEAVING);
    count_out(own_stripe());
    be(LENT);
    while (__atomic_load_n(&sections.suspended, __ATOMIC_SEQ_CST) != 0 &&
           hak_os_now_ns() < deadline)
        nap(NAP_NS);
    be(ENTERING);
    resume();
    be(INSIDE);
    if (mine.nested != 0) /* seq_cst: after the count */
        __atomic_fetch_sub(&sections.lenders, 1, __ATOMIC_SEQ_CST);
    return false;
}

void hak_section_nest(int change)
{
    mine.nested = (uint8_t)(mine.nested + change);
}
