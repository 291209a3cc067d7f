/* SPDX-License-Identifier: MIT */
/* Grace periods: the one place that names liburcu. A read section stands around each look into
 * memory that somebody else may be about to unmap; it is entered once a bundle, never per object.
 *
 * liburcu's way of making a thread known ends the process where memory is short, and its way of
 * waiting does where membarrier is refused; neither may happen inside malloc. So the library's
 * constructor makes a pool of liburcu's readers known (hak_grace_start), and a read section borrows
 * one: for its time the reader is the thread's own to liburcu, nested sections and handlers of
 * signals included, and afterwards the thread is what it was. Who finds none to borrow is refused,
 * and does without looking. Nobody waits: hak_grace_has_passed is asked, now and later.
 *
 * What we know of a reader is in its slot, not in liburcu's word: that is written without a
 * barrier, for which liburcu makes up by membarrier.
 *
 *
 *     enter                                     hak_grace_begin, hak_grace_has_passed
 *     borrower = the thread   (A, exchange)     what is to go was taken out of sight (C)
 *     full barrier                              full barrier
 *     look at shared memory   (B)               look at borrower (D)
 *     ...
 *     sections + 1, borrower = 0 (release)      look at both (acquire)
 *
 * Either D sees A, and the section is waited for, or B sees C, and the section meets nothing that
 * goes: two full barriers, so they cannot miss each other both. A section that is waited for has
 * ended when its slot is free or counts one more section than it did.
 *
 * liburcu's small functions are compiled in, with initial-exec TLS: the library's own copies use
 * general-dynamic TLS, whose first access in a thread may call malloc. */
#ifndef HAK_SHARD_GRACE_H
#define HAK_SHARD_GRACE_H

#define _LGPL_SOURCE
#include <urcu-bp.h>
#undef _LGPL_SOURCE

#include <stdbool.h>
#include <stdint.h>

#include "os/compiler.h"
#include "os/cpu.h"

enum {
    /* At most, and at least if there are any: two for each CPU that the process may use, for each
     * costs its start 0.7 us (docs/decisions/014-readers-are-borrowed.md). */
    HAK_GRACE_READERS = 64,
    HAK_GRACE_READERS_LEAST = 4,
    HAK_GRACE_TRIES = 4,       /* slots that are looked at for a free one */
    HAK_GRACE_POLLS = 2000,    /* of hak_grace_poll: some 100 us */
};

struct hak_grace_slot {
    uintptr_t borrower;                /* the thread that has it, by its mark, or 0 */
    uint64_t sections;                 /* that have ended; written by the borrower */
    struct urcu_bp_reader *reader;     /* NULL: lost; written at start, and by a fork's child */
} __attribute__((aligned(HAK_CACHE_LINE)));

extern struct hak_grace_slot hak_grace_slots[HAK_GRACE_READERS];

/* How many of the slots are in use: 0 or a power of two. Written at start. */
extern uint32_t hak_grace_readers;

/* How often: begun, found to have passed, and sections refused for want of a reader. Relaxed. */
struct hak_grace_figures {
    uint64_t begun;
    uint64_t passed;
    uint64_t refused;
};

extern struct hak_grace_figures hak_grace_figures;

/* A section under way: on the stack of who is in it. */
struct hak_grace_section {
    struct hak_grace_slot *slot;
    struct urcu_bp_reader *own;        /* what the thread was to liburcu before, or NULL */
};

/* Read sections that had begun when the grace period did. */
struct hak_grace_period {
    uint64_t awaited;                  /* bit n: that of slot n */
    uint64_t sections[HAK_GRACE_READERS];
};

/* Makes the pool; by the library's constructor, and for nothing a second time. Where there is no
 * memory for it the pool stays empty. */
void hak_grace_start(void);

/* What tells threads apart, also after a fork: two of one address space have not the same. */
static inline uintptr_t hak_grace_mark(void)
{
    return (uintptr_t)&URCU_TLS(urcu_bp_reader);
}

/* Borrows a reader and begins a read section. A handler of a signal that comes at any point of this
 * may do the same with another slot: what it changes of the thread's it puts back. */
static inline bool hak_grace_enter(struct hak_grace_section *section)
{
    /* acquire: pairs with the release in hak_grace_start */
    unsigned readers = __atomic_load_n(&hak_grace_readers, __ATOMIC_ACQUIRE);
    unsigned first = hak_os_cpu();
    for (unsigned try = 0; try < HAK_GRACE_TRIES && try < readers; try++) {
        struct hak_grace_slot *slot = &hak_grace_slots[(first + try) & (readers - 1)];
        struct urcu_bp_reader *reader = slot->reader;
        uintptr_t nobody = 0;
        /* relaxed: a look; seq_cst: A above, and the acquire of what the last borrower wrote */
        if (reader == NULL || __atomic_load_n(&slot->borrower, __ATOMIC_RELAXED) != 0 ||
            !__atomic_compare_exchange_n(&slot->borrower, &nobody, hak_grace_mark(), 0,
                                         __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
            continue;
        hak_os_barrier_after_exchange();    /* pairs with the fence in hak_grace_begin */
        *section = (struct hak_grace_section){ slot, URCU_TLS(urcu_bp_reader) };
        URCU_TLS(urcu_bp_reader) = reader;
        rcu_read_lock();
        return true;
    }
    __atomic_fetch_add(&hak_grace_figures.refused, 1, __ATOMIC_RELAXED);    /* relaxed: a figure */
    return false;
}

static inline void hak_grace_leave(const struct hak_grace_section *section)
{
    rcu_read_unlock();
    URCU_TLS(urcu_bp_reader) = section->own;
    /* release, both: pair with the acquires in hak_grace_begin and hak_grace_has_passed; what the
     * section read it had read before. relaxed: nobody else writes it meanwhile */
    uint64_t sections = __atomic_load_n(&section->slot->sections, __ATOMIC_RELAXED) + 1;
    __atomic_store_n(&section->slot->sections, sections, __ATOMIC_RELEASE);
    __atomic_store_n(&section->slot->borrower, 0, __ATOMIC_RELEASE);
}

/* Begins a grace period: after what is to go was taken out of sight. Never waits. */
void hak_grace_begin(struct hak_grace_period *period);

/* Whether all sections that had begun have ended. */
bool hak_grace_has_passed(struct hak_grace_period *period);

/* The same, asked HAK_GRACE_POLLS times if need be. */
bool hak_grace_poll(struct hak_grace_period *period);

/* In the child of a fork: what other threads had borrowed is free. Constant work. */
void hak_grace_after_fork_in_child(void);

#endif
