/* SPDX-License-Identifier: MIT */
/* A mutex of one word on a futex: for slow paths only, never held over a system call but those of
 * purging. Needs no initialisation beyond zeroes, no libc, survives fork when held by the forking
 * thread (the child may unlock or hak_lock_reset it). Not recursive, but for a thread that forks.
 *
 * Word: 0 free, 1 held, 2 held and somebody sleeps (Drepper, "Futexes are tricky", mutex2); 3 and 4
 * the same, by a thread that forks: other libraries' fork handlers run on it while it holds the
 * lock and may call malloc, so for this thread acquiring and releasing it again are nothing. */
#ifndef HAK_OS_LOCK_H
#define HAK_OS_LOCK_H

#include <stdint.h>

#include "os/compiler.h"

struct hak_lock {
    uint32_t word;
};

enum {
    HAK_LOCK_FORKS = 2,    /* what a word is more while its holder forks */
};

/* Locks that the calling thread holds over a fork. */
extern HAK_HIDDEN HAK_TLS uint32_t hak_lock_forks;

void hak_lock_wait(struct hak_lock *lock);   /* takes the lock, sleeping; or has it already */
void hak_lock_wake(struct hak_lock *lock);   /* wakes one sleeper */

static inline int hak_lock_try(struct hak_lock *lock)
{
    uint32_t expected = 0;
    /* acquire: pairs with the release in hak_lock_release */
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
    /* relaxed: such a word was written by the calling thread, or it would not be here */
    if (hak_unlikely(__atomic_load_n(&lock->word, __ATOMIC_RELAXED) > HAK_LOCK_FORKS))
        return;
    /* release: what was done under the lock is seen by the next holder's acquire */
    if (hak_unlikely(__atomic_exchange_n(&lock->word, 0, __ATOMIC_RELEASE) == 2))
        hak_lock_wake(lock);
}

/* The holder is about to fork, and has forked, in the parent: it holds the lock after both. */
static inline void hak_lock_begin_fork(struct hak_lock *lock)
{
    hak_lock_forks++;
    /* relaxed, here and below: the lock stays with the thread; a sleeper only counts itself in */
    __atomic_fetch_add(&lock->word, HAK_LOCK_FORKS, __ATOMIC_RELAXED);
}

static inline void hak_lock_end_fork(struct hak_lock *lock)
{
    __atomic_fetch_sub(&lock->word, HAK_LOCK_FORKS, __ATOMIC_RELAXED);
    hak_lock_forks--;
}

static inline void hak_lock_acquire_to_fork(struct hak_lock *lock)
{
    hak_lock_acquire(lock);
    hak_lock_begin_fork(lock);
}

static inline void hak_lock_release_after_fork(struct hak_lock *lock)
{
    hak_lock_end_fork(lock);
    hak_lock_release(lock);
}

/* The child of a fork: whoever else held or waited for the lock is gone. */
static inline void hak_lock_reset(struct hak_lock *lock)
{
    /* relaxed: the child has one thread */
    if (__atomic_exchange_n(&lock->word, 0, __ATOMIC_RELAXED) > HAK_LOCK_FORKS)
        hak_lock_forks--;
}

#endif
