/* SPDX-License-Identifier: MIT */
/* The slow halves of the futex mutex: spin briefly, then sleep. Any thread.
 *
 * 0 --try--> 1 --release--> 0          no sleeper: no system call on either side
 * 1 --wait--> 2 --release--> 0 + wake  the woken thread sets 2, since others may still sleep
 *
 * Sleeps are short: a handler that forks may interrupt the holder and then wait for this thread to
 * leave its section (os/section.h). */
#include "os/lock.h"

#include <linux/futex.h>
#include <stddef.h>
#include <time.h>

#include "os/cpu.h"
#include "os/section.h"
#include "os/syscall.h"

enum {
    /* These locks are held briefly: spinning for about a microsecond often saves two system calls.
     * With one CPU, or a preempted holder, longer spinning would only lose time. */
    SPIN_ROUNDS = 40,
    SLEEP_NS = 2 * 1000 * 1000,
};

/* Whether the lock was acquired without sleeping. */
static int spin(struct hak_lock *lock)
{
    for (int round = 0; round < SPIN_ROUNDS; round++) {
        /* relaxed: only a hint; hak_lock_try orders */
        uint32_t word = __atomic_load_n(&lock->word, __ATOMIC_RELAXED);
        if (word == 0 && hak_lock_try(lock))
            return 1;
        if (word == 2)
            return 0; /* others sleep already: join them */
        hak_os_pause();
    }
    return 0;
}

HAK_COLD void hak_lock_wait(struct hak_lock *lock)
{
    const struct timespec sleep = {0, SLEEP_NS};
    if (spin(lock))
        return;
    /* Sets 2, since others may still sleep; if none does, that costs one needless wake. acquire:
     * pairs with the release in hak_lock_release. A signal, a spurious wake or a timeout only
     * repeats the loop. */
    while (__atomic_exchange_n(&lock->word, 2, __ATOMIC_ACQUIRE) != 0) {
        /* Takes it by force: the word is 2, and its holder is not in this process. */
        if (hak_section_wait_suspended())
            return;
        hak_syscall4(SYS_futex, (uintptr_t)&lock->word, FUTEX_WAIT_PRIVATE, 2, (uintptr_t)&sleep);
    }
}

HAK_COLD void hak_lock_wake(struct hak_lock *lock)
{
    hak_syscall3(SYS_futex, (uintptr_t)&lock->word, FUTEX_WAKE_PRIVATE, 1);
}

void hak_lock_acquire_over(struct hak_lock *lock)
{
    hak_lock_acquire(lock);
    hak_section_nest(1);
}

int hak_lock_try_over(struct hak_lock *lock)
{
    if (!hak_lock_try(lock))
        return 0;
    hak_section_nest(1);
    return 1;
}

void hak_lock_release_over(struct hak_lock *lock)
{
    hak_section_nest(-1);
    hak_lock_release(lock);
}
