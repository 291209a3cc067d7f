/* SPDX-License-Identifier: MIT */
/* Grace periods; only this module uses liburcu. A thread enters a read section to read memory that
 * another thread may be about to unmap: once for a bundle, never for an object.
 *
 * liburcu ends the process if it has no memory to register a thread, or if membarrier is refused
 * when it waits; neither may happen inside malloc. So the library's constructor registers a pool of
 * readers with liburcu (hak_grace_start), and a read section borrows one: meanwhile liburcu takes
 * the reader for the thread's own, also in nested sections and signal handlers; afterwards the
 * thread is as before. A thread that finds no free reader does without the read. No thread waits:
 * hak_grace_has_passed answers now or later.
 *
 * The state of a reader is in its slot here, not in liburcu's word, which is written without a
 * barrier (liburcu makes up for that by membarrier).
 *
 *     enter                                     hak_grace_begin, hak_grace_has_passed
 *     borrower = the thread   (A, exchange)     the memory was unlinked       (C)
 *     full barrier                              full barrier
 *     look at shared memory   (B)               look at borrower (D)
 *     ...
 *     sections + 1, borrower = 0 (release)      look at both (acquire)
 *
 * Either D sees A, and the grace period includes the section; or B sees C, and the section does not
 * reach the memory. Because of the two full barriers at least one holds. A section has ended when
 * its slot is free or counts one more section.
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
    /* The most, and the least if there are any: two for each CPU that the process may use. Each
     * makes the start 0.7 us longer (docs/decisions/014-readers-are-borrowed.md). */
    HAK_GRACE_READERS = 64,
    HAK_GRACE_READERS_LEAST = 4,
    HAK_GRACE_TRIES = 4,    /* slots that a section tries */
    HAK_GRACE_POLLS = 2000, /* of hak_grace_poll: some 100 us */
};

struct hak_grace_slot {
    uintptr_t borrower;            /* the mark of the thread that has it, or 0 */
    uint64_t sections;             /* number that ended; written by the borrower */
    struct urcu_bp_reader *reader; /* NULL: lost; written at start, and by a fork's child */
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

/* An open section, on its thread's stack. */
struct hak_grace_section {
    struct hak_grace_slot *slot;
    struct urcu_bp_reader *own; /* the thread's reader before, or NULL */
};

/* The read sections that were open when the grace period began. */
struct hak_grace_period {
    uint64_t awaited; /* bit n: that of slot n */
    uint64_t sections[HAK_GRACE_READERS];
};

/* Makes the pool; by the library's constructor. A second call does nothing. Without memory the pool
 * stays empty. */
void hak_grace_start(void);

/* A mark of the calling thread, different for all threads of a process, also after a fork. */
static inline uintptr_t hak_grace_mark(void)
{
    return (uintptr_t)&URCU_TLS(urcu_bp_reader);
}

/* Borrows a reader and begins a read section; false: none is free. A signal handler may do the same
 * in the middle of this, with another slot: it restores the thread's state. */
static inline bool hak_grace_enter(struct hak_grace_section *section)
{
    /* acquire: pairs with the release in hak_grace_start */
    unsigned readers = __atomic_load_n(&hak_grace_readers, __ATOMIC_ACQUIRE);
    unsigned first = hak_os_cpu();
    for (unsigned try = 0; try < HAK_GRACE_TRIES && try < readers; try++) {
        struct hak_grace_slot *slot = &hak_grace_slots[(first + try) & (readers - 1)];
        struct urcu_bp_reader *reader = slot->reader;
        uintptr_t nobody = 0;
        /* relaxed: a hint; seq_cst: A above, and the acquire of what the last borrower wrote */
        if (reader == NULL || __atomic_load_n(&slot->borrower, __ATOMIC_RELAXED) != 0 ||
            !__atomic_compare_exchange_n(&slot->borrower, &nobody, hak_grace_mark(), 0,
                                         __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
            continue;
        hak_os_barrier_after_exchange(); /* pairs with the fence in hak_grace_begin */
        *section = (struct hak_grace_section){slot, URCU_TLS(urcu_bp_reader)};
        URCU_TLS(urcu_bp_reader) = reader;
        rcu_read_lock();
        return true;
    }
    __atomic_fetch_add(&hak_grace_figures.refused, 1, __ATOMIC_RELAXED); /* relaxed: a figure */
    return false;
}

static inline void hak_grace_leave(const struct hak_grace_section *section)
{
    rcu_read_unlock();
    URCU_TLS(urcu_bp_reader) = section->own;
    /* release, both: pair with the acquires in hak_grace_begin and hak_grace_has_passed; the reads
     * of the section come before. relaxed: no other thread writes it meanwhile */
    uint64_t sections = __atomic_load_n(&section->slot->sections, __ATOMIC_RELAXED) + 1;
    __atomic_store_n(&section->slot->sections, sections, __ATOMIC_RELEASE);
    __atomic_store_n(&section->slot->borrower, 0, __ATOMIC_RELEASE);
}

/* Begins a grace period, after the memory was unlinked. Never waits. */
void hak_grace_begin(struct hak_grace_period *period);

/* Whether all sections of the period have ended. */
bool hak_grace_has_passed(struct hak_grace_period *period);

/* The same, tried up to HAK_GRACE_POLLS times. */
bool hak_grace_poll(struct hak_grace_period *period);

/* In the child of a fork: frees the readers that other threads had borrowed. Constant work. */
void hak_grace_after_fork_in_child(void);

#endif
