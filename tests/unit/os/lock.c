/* SPDX-License-Identifier: MIT */
/* os/lock.c: one holder at a time, and nobody sleeps for ever. */
#include "os/lock.h"

#include <sched.h>

#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

enum {
    THREADS = 4,
    ROUNDS = 50000
};

static struct hak_lock lock;
static unsigned long sum; /* plain: only the lock keeps it right */
static int inside;

static void *add(void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        hak_lock_acquire(&lock);
        if (inside++ != 0)
            EXPECT(!"two inside");
        sum++;
        if (i % 512 == 0)
            sched_yield(); /* held over a switch: the others sleep */
        inside--;
        hak_lock_release(&lock);
    }
    return NULL;
}

static void excludes(void)
{
    sum = 0;
    threads_run(THREADS, add, NULL, 0);
    EXPECT_EQ(sum, THREADS * ROUNDS);
    EXPECT_EQ(lock.word, 0);
}

static void tries(void)
{
    EXPECT(hak_lock_try(&lock));
    EXPECT(!hak_lock_try(&lock));
    hak_lock_release(&lock);
    EXPECT(hak_lock_try(&lock));
    hak_lock_reset(&lock);
    EXPECT(hak_lock_try(&lock));
    hak_lock_release(&lock);
}

/* A thread that forks: it may take the lock once more, and holds it when it gives that back. */
static void *add_once(void *argument)
{
    (void)argument;
    hak_lock_acquire(&lock);
    sum++;
    hak_lock_release(&lock);
    return NULL;
}

static void forks(void)
{
    pthread_t threads[THREADS];
    sum = 0;
    hak_lock_acquire_to_fork(&lock);
    EXPECT_EQ(hak_lock_forks, 1);
    for (unsigned i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, add_once, NULL) == 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        hak_lock_acquire(&lock);
        EXPECT(!hak_lock_try(&lock));
        EXPECT_EQ(sum, 0);
        hak_lock_release(&lock);
    }
    hak_lock_release_after_fork(&lock);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    EXPECT_EQ(sum, THREADS);
    EXPECT_EQ(lock.word, 0);
    EXPECT_EQ(hak_lock_forks, 0);
    /* As the child does it. Another lock is an ordinary one all the while. */
    struct hak_lock other = {0};
    hak_lock_acquire_to_fork(&lock);
    hak_lock_acquire(&other);
    EXPECT_EQ(other.word, 1);
    hak_lock_release(&other);
    EXPECT_EQ(other.word, 0);
    hak_lock_reset(&lock);
    EXPECT_EQ(lock.word, 0);
    EXPECT_EQ(hak_lock_forks, 0);
}

/* Begun and ended under other threads' feet: nobody sleeps for ever. */
static void *fork_often(void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < ROUNDS / 10; i++) {
        hak_lock_acquire(&lock);
        hak_lock_begin_fork(&lock);
        if (inside++ != 0)
            EXPECT(!"two inside");
        hak_lock_acquire(&lock);
        sum++;
        hak_lock_release(&lock);
        if (i % 64 == 0)
            sched_yield();
        inside--;
        hak_lock_end_fork(&lock);
        hak_lock_release(&lock);
    }
    return NULL;
}

static void *add_or_fork(void *argument)
{
    /* relaxed: a turn */
    static unsigned turn;
    return __atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED) == 0 ? fork_often(argument)
                                                               : add(argument);
}

static void forks_among_others(void)
{
    sum = 0;
    threads_run(THREADS, add_or_fork, NULL, 0);
    EXPECT_EQ(sum, (THREADS - 1) * ROUNDS + ROUNDS / 10);
    EXPECT_EQ(lock.word, 0);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a held lock cannot be had", tries},
        {"threads exclude one another", excludes},
        {"a thread that forks may take it once more", forks},
        {"forking excludes, too", forks_among_others},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
