/* SPDX-License-Identifier: MIT */
/* shard/grace.h: whoever waits outlasts the readers that had begun, not those that begin later. */
#include "shard/grace.h"

#include <pthread.h>

#include "tests/lib/process.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"
#include "tests/unit/shard/shaker.h"

enum { READERS = 6, ROUNDS = 20, ITEMS = 8 };

static unsigned inside;      /* the reader of the first case is in its section */
static unsigned released;    /* what the waiter must have seen */
static unsigned waited;

static void *wait_for_grace(void *argument)
{
    (void)argument;
    hak_grace_wait();
    /* acquire: pairs with the release in outlasts_a_reader */
    EXPECT_EQ(__atomic_load_n(&released, __ATOMIC_ACQUIRE), 1);
    __atomic_store_n(&waited, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void outlasts_a_reader(void)
{
    pthread_t thread;
    hak_grace_register();
    hak_grace_read_lock();
    hak_grace_read_lock(); /* sections nest */
    hak_grace_read_unlock();
    REQUIRE(pthread_create(&thread, NULL, wait_for_grace, NULL) == 0);
    for (unsigned i = 0; i < 50; i++) {
        shaker_pause(1000000);
        EXPECT_EQ(__atomic_load_n(&waited, __ATOMIC_ACQUIRE), 0);
    }
    __atomic_store_n(&released, 1, __ATOMIC_RELEASE);
    hak_grace_read_unlock();
    pthread_join(thread, NULL);
    EXPECT_EQ(waited, 1);
}

/* Items are taken out of sight, then spoilt after a grace period; no reader sees a spoilt one. */
struct item {
    uint64_t good;
};

static struct item items[ITEMS];
static struct item *current = &items[0];
static unsigned stop;

static void *read_items(void *argument)
{
    unsigned *faults = argument;
    /* relaxed: seen soon enough */
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        hak_grace_read_lock();
        /* acquire: pairs with the release in replace_items */
        struct item *item = __atomic_load_n(&current, __ATOMIC_ACQUIRE);
        for (unsigned look = 0; look < 200; look++)
            *faults += __atomic_load_n(&item->good, __ATOMIC_RELAXED) != 1;
        hak_grace_read_unlock();
    }
    return NULL;
}

static void *replace_items(void *argument)
{
    (void)argument;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        struct item *old = current;
        struct item *fresh = &items[round % ITEMS];
        __atomic_store_n(&fresh->good, 1, __ATOMIC_RELAXED);
        __atomic_store_n(&current, fresh, __ATOMIC_RELEASE); /* pairs with the readers' acquire */
        hak_grace_wait();
        __atomic_store_n(&old->good, 0, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    return NULL;
}

static unsigned reader_faults[READERS + 1];

static void *read_or_replace(void *argument)
{
    unsigned *faults = argument;
    return faults == &reader_faults[READERS] ? replace_items(NULL) : read_items(faults);
}

static void readers_see_nothing_spoilt(void)
{
    items[0].good = 1;
    shaker_run(READERS + 1, read_or_replace, reader_faults, sizeof reader_faults[0]);
    for (unsigned i = 0; i < READERS; i++)
        EXPECT_EQ(reader_faults[i], 0);
}

static unsigned long_reader_out;

static void *read_long(void *argument)
{
    (void)argument;
    hak_grace_read_lock();
    __atomic_store_n(&inside, 1, __ATOMIC_RELEASE); /* pairs with the acquire in forks */
    while (!__atomic_load_n(&long_reader_out, __ATOMIC_RELAXED))
        shaker_pause(100000);
    hak_grace_read_unlock();
    return NULL;
}

/* In the child of a fork the parent's readers are gone: it must not wait for them. */
static void forks(void)
{
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, read_long, NULL) == 0);
    while (!__atomic_load_n(&inside, __ATOMIC_ACQUIRE))
        shaker_pause(100000);
    hak_grace_before_fork();
    pid_t child = fork();
    if (child == 0) {
        hak_grace_after_fork_in_child();
        hak_grace_read_lock();
        hak_grace_read_unlock();
        hak_grace_wait();
        _exit(0);
    }
    hak_grace_after_fork_in_parent();
    EXPECT_EQ(process_wait(child, 20), 0);
    __atomic_store_n(&long_reader_out, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    hak_grace_wait();
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"waiting outlasts a reader", outlasts_a_reader},
        {"no reader sees what was spoilt", readers_see_nothing_spoilt},
        {"the child of a fork waits for nobody", forks},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
