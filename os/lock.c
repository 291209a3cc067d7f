/* SPDX-License-Identifier: MIT */
/* The slow halves of the futex mutex: spin a little, then sleep. Any thread.
 *
 * 0 --try--> 1 --release--> 0          nobody sleeps: no system call on either side
 * 1 --wait--> 2 --release--> 0 + wake  the woken takes it as 2, since others may still sleep
 * 3 --wait--> 4                        the same while the holder forks */
#include "os/lock.h"

#include <linux/futex.h>
#include <stddef.h>

#include "os/cpu.h"
#include "os/syscall.h"

HAK_TLS uint32_t hak_lock_forks;

enum {
    /* Sections under these locks are short: about a microsecond of waiting often saves two trips
     * into the kernel. With one CPU, or a holder that is preempted, more would be lost time. */
    SPIN_ROUNDS = 40,
};

/* Whether the lock was got without sleeping. */
static int spin(struct hak_lock *lock)
{
    for (int round = 0; round < SPIN_ROUNDS; round++) {
        /* relaxed: only looks; hak_lock_try orders */
        uint32_t word = __atomic_load_n(&lock->word, __ATOMIC_RELAXED);
        if (word == 0 && hak_lock_try(lock))
            return 1;
        if (word >= 2)
            return 0; /* others gave up already: queue with them; or a fork, which takes long */
        hak_os_pause();
    }
    return 0;
}

/* Takes a lock that is free; else counts the caller among the sleepers. What the word is then, 0 if
 * the lock was got. As 2: others may still sleep, which is true, or costs one needless wake. */
static uint32_t take_or_queue(struct hak_lock *lock)
{
    /* relaxed: only looks; the exchange orders */
    uint32_t word = __atomic_load_n(&lock->word, __ATOMIC_RELAXED);
    for (;;) {
        uint32_t wanted = word == 0 ? 2 : (word + 1) & ~UINT32_C(1);
        /* acquire: pairs with the release in hak_lock_release */
        if (word == wanted || __atomic_compare_exchange_n(&lock->word, &word, wanted, 0,
                                                          __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return word == 0 ? 0 : wanted;
    }
}

HAK_COLD void hak_lock_wait(struct hak_lock *lock)
{
    /* relaxed: a word of this kind that is another thread's is told by the count, which is ours */
    if (hak_lock_forks != 0 && __atomic_load_n(&lock->word, __ATOMIC_RELAXED) > HAK_LOCK_FORKS)
        return;
    if (spin(lock))
        return;
    uint32_t word;
    /* A signal, a stray wake or a changed word only sends us round again. */
    while ((word = take_or_queue(lock)) != 0)
        hak_syscall4(SYS_futex, (uintptr_t)&lock->word, FUTEX_WAIT_PRIVATE, word, (uintptr_t)NULL);
}

HAK_COLD void hak_lock_wake(struct hak_lock *lock)
{
    hak_syscall3(SYS_futex, (uintptr_t)&lock->word, FUTEX_WAKE_PRIVATE, 1);
}
