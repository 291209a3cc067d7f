/* SPDX-License-Identifier: MIT */
/* os/lock.c: one holder at a time, and no thread sleeps for ever. */
#include "os/lock.h"

#include <sched.h>

#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

enum { THREADS = 4, ROUNDS = 50000 };

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

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a held lock cannot be had", tries},
        {"threads exclude one another", excludes},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
