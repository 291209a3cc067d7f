/* SPDX-License-Identifier: MIT */
/* A mutex of one word on a futex, for slow paths only. Take it only inside a section
 * (os/section.h), so that no lock is held while another thread forks. Zeroes initialise it; it
 * needs no libc. Not recursive.
 *
 * Word: 0 free, 1 held, 2 held with a sleeper (Drepper, "Futexes are tricky", mutex2). */
#ifndef HAK_OS_LOCK_H
#define HAK_OS_LOCK_H

#include <stdint.h>

#include "os/compiler.h"

struct hak_lock {
    uint32_t word;
};

void hak_lock_wait(struct hak_lock *lock); /* takes the lock, sleeping */
void hak_lock_wake(struct hak_lock *lock); /* wakes one sleeper */

/* For a lock under which others are taken: see hak_section_nest. */
void hak_lock_acquire_over(struct hak_lock *lock);
int hak_lock_try_over(struct hak_lock *lock);
void hak_lock_release_over(struct hak_lock *lock);

static inline int hak_lock_try(struct hak_lock *lock)
{
    uint32_t expected = 0;
    /* acquire: pairs with the release in hak_lock_release; relaxed: else the caller has nothing */
    return __atomic_compare_exchange_n(&lock->word, &expected, 1, 0, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static inline void hak_lock_acquire(struct hak_lock *lock)
{
    if (hak_unlikely(!hak_lock_try(lock)))
        hak_lock_wait(lock);
}

static inline void hak_lock_release(struct hak_lock *lock)
{
    /* release: pairs with the acquire in hak_lock_try and hak_lock_wait */
    if (hak_unlikely(__atomic_exchange_n(&lock->word, 0, __ATOMIC_RELEASE) == 2))
        hak_lock_wake(lock);
}

/* In the child of a fork, where other holders and waiters do not exist. For locks that a thread may
 * hold while it waits for another. */
static inline void hak_lock_reset(struct hak_lock *lock)
{
    /* relaxed: the child has one thread */
    __atomic_store_n(&lock->word, 0, __ATOMIC_RELAXED);
}

#endif
