/* SPDX-License-Identifier: MIT */
/* shard/grace.h: a grace period outlasts the sections that had begun, not those that begin later;
 * readers are borrowed and given back, whether or not the thread is registered with liburcu. */
#define _GNU_SOURCE
#include "shard/grace.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "os/signals.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"
#include "tests/unit/shaker.h"

enum { READERS = 6, ROUNDS = 200, ITEMS = 8 };

static unsigned borrowed(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < HAK_GRACE_READERS; i++)
        count += __atomic_load_n(&hak_grace_slots[i].borrower, __ATOMIC_RELAXED) != 0;
    return count;
}

/* Another thread's section, to be begun and ended on demand. */
static unsigned begun;
static unsigned may_end;

static void *stay_inside(void *argument)
{
    struct hak_grace_section section = {NULL, NULL};
    EXPECT(hak_grace_enter(&section));
    __atomic_store_n(&begun, 1, __ATOMIC_RELEASE); /* pairs with begin_elsewhere */
    while (!__atomic_load_n(&may_end, __ATOMIC_ACQUIRE))
        shaker_pause(100000);
    hak_grace_leave(&section);
    return argument;
}

static pthread_t begin_elsewhere(void)
{
    pthread_t thread;
    begun = 0;
    may_end = 0;
    if (!EXPECT(pthread_create(&thread, NULL, stay_inside, NULL) == 0))
        exit(1);
    while (!__atomic_load_n(&begun, __ATOMIC_ACQUIRE))
        shaker_pause(100000);
    return thread;
}

static void end_elsewhere(pthread_t thread)
{
    __atomic_store_n(&may_end, 1, __ATOMIC_RELEASE); /* pairs with stay_inside */
    pthread_join(thread, NULL);
}

static void outlasts_a_reader(void)
{
    struct hak_grace_period period;
    hak_grace_start();
    hak_grace_begin(&period);
    EXPECT(hak_grace_has_passed(&period)); /* no thread is inside */
    pthread_t thread = begin_elsewhere();
    hak_grace_begin(&period);
    for (unsigned i = 0; i < 10; i++)
        EXPECT(!hak_grace_poll(&period));
    end_elsewhere(thread);
    EXPECT(hak_grace_has_passed(&period));
    EXPECT_EQ(borrowed(), 0);
}

/* A slot that is always taken, but by another section each time, delays no grace period. */
static void later_sections_do_not_count(void)
{
    struct hak_grace_period period;
    struct hak_grace_section section = {NULL, NULL};
    cpu_set_t here, all;
    hak_grace_start();
    sched_getaffinity(0, sizeof all, &all); /* on one CPU, for one slot */
    CPU_ZERO(&here);
    CPU_SET(sched_getcpu(), &here);
    sched_setaffinity(0, sizeof here, &here);
    REQUIRE(hak_grace_enter(&section));
    struct hak_grace_slot *slot = section.slot;
    hak_grace_begin(&period);
    EXPECT(!hak_grace_has_passed(&period));
    hak_grace_leave(&section);
    REQUIRE(hak_grace_enter(&section));
    EXPECT(section.slot == slot);
    EXPECT(hak_grace_has_passed(&period));
    hak_grace_leave(&section);
    sched_setaffinity(0, sizeof all, &all);
}

/* Meanwhile liburcu sees the thread in a section, by whichever reader it has; then as before. */
static void thread_is_what_it_was(void)
{
    struct hak_grace_section outer = {NULL, NULL}, inner = {NULL, NULL};
    hak_grace_start();
    struct urcu_bp_reader *own = URCU_TLS(urcu_bp_reader);
    rcu_read_lock();
    REQUIRE(hak_grace_enter(&outer));
    EXPECT(URCU_TLS(urcu_bp_reader) != own);
    EXPECT(rcu_read_ongoing());
    rcu_read_lock(); /* as a handler of a signal might */
    REQUIRE(hak_grace_enter(&inner));
    EXPECT(inner.slot != outer.slot);
    EXPECT_EQ(borrowed(), 2);
    hak_grace_leave(&inner);
    rcu_read_unlock();
    EXPECT(rcu_read_ongoing());
    hak_grace_leave(&outer);
    EXPECT(URCU_TLS(urcu_bp_reader) == own);
    EXPECT(rcu_read_ongoing());
    rcu_read_unlock();
    EXPECT(!rcu_read_ongoing());
    EXPECT_EQ(borrowed(), 0);
}

static unsigned waited;

static void *wait_for_liburcu(void *argument)
{
    synchronize_rcu();
    __atomic_store_n(&waited, 1, __ATOMIC_RELEASE); /* pairs with liburcu_knows */
    return argument;
}

/* The readers are in liburcu's list: a thread that waits by liburcu's own means waits for our
 * sections, too. */
static void liburcu_knows(void)
{
    pthread_t waiter;
    waited = 0;
    hak_grace_start();
    pthread_t thread = begin_elsewhere();
    REQUIRE(pthread_create(&waiter, NULL, wait_for_liburcu, NULL) == 0);
    for (unsigned i = 0; i < 50; i++) {
        shaker_pause(1000000);
        EXPECT_EQ(__atomic_load_n(&waited, __ATOMIC_ACQUIRE), 0);
    }
    end_elsewhere(thread);
    pthread_join(waiter, NULL);
    EXPECT_EQ(waited, 1);
}

/* More sections at once than there are readers: refused, until one is given back. */
static void pool_may_be_empty(void)
{
    static struct hak_grace_section sections[HAK_GRACE_READERS];
    struct hak_grace_section section = {NULL, NULL};
    unsigned begun_here = 0;
    hak_grace_start();
    while (begun_here < HAK_GRACE_READERS && hak_grace_enter(&sections[begun_here]))
        begun_here++;
    EXPECT_GE(begun_here, HAK_GRACE_TRIES);
    if (begun_here == HAK_GRACE_TRIES)
        EXPECT(!hak_grace_enter(&section) || (hak_grace_leave(&section), 1));
    while (begun_here-- > 0)
        hak_grace_leave(&sections[begun_here]);
    EXPECT_EQ(borrowed(), 0);
    REQUIRE(hak_grace_enter(&section));
    hak_grace_leave(&section);
}

/* Items are taken out of reach, then spoilt after a grace period; no reader sees a spoilt one. */
struct item {
    uint64_t good;
};

static struct item items[ITEMS];
static struct item *current = &items[0];
static unsigned stop;

static void *read_items(void *argument)
{
    unsigned *faults = argument;
    struct hak_grace_section section = {NULL, NULL};
    /* relaxed: seen soon enough */
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        if (!hak_grace_enter(&section))
            continue;
        /* acquire: pairs with the release in replace_items */
        struct item *item = __atomic_load_n(&current, __ATOMIC_ACQUIRE);
        for (unsigned look = 0; look < 200; look++)
            *faults += __atomic_load_n(&item->good, __ATOMIC_RELAXED) != 1;
        hak_grace_leave(&section);
    }
    return NULL;
}

static void *replace_items(void *argument)
{
    struct hak_grace_period period;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        struct item *old = current;
        struct item *fresh = &items[round % ITEMS];
        __atomic_store_n(&fresh->good, 1, __ATOMIC_RELAXED);
        __atomic_store_n(&current, fresh, __ATOMIC_RELEASE); /* pairs with the readers' acquire */
        hak_grace_begin(&period);
        while (!hak_grace_poll(&period))
            shaker_pause(1000);
        __atomic_store_n(&old->good, 0, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    return argument;
}

static unsigned reader_faults[READERS + 1];

static void *read_or_replace(void *argument)
{
    unsigned *faults = argument;
    return faults == &reader_faults[READERS] ? replace_items(NULL) : read_items(faults);
}

static void readers_see_nothing_spoilt(void)
{
    hak_grace_start();
    items[0].good = 1;
    shaker_run(READERS + 1, read_or_replace, reader_faults, sizeof reader_faults[0]);
    for (unsigned i = 0; i < READERS; i++)
        EXPECT_EQ(reader_faults[i], 0);
    EXPECT_EQ(borrowed(), 0);
}

static unsigned readers_left(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < HAK_GRACE_READERS; i++)
        count += hak_grace_slots[i].reader != NULL;
    return count;
}

/* In the child: readers that the parent's other thread held are free, our own section goes on. */
static int child_is_right(const struct hak_grace_section *section, unsigned readers)
{
    struct hak_grace_period period;
    hak_grace_after_fork_in_child();
    int good = borrowed() == 1 && readers_left() == readers;
    hak_grace_begin(&period);
    good = good && !hak_grace_has_passed(&period);
    hak_grace_leave(section);
    good = good && hak_grace_has_passed(&period);
    synchronize_rcu(); /* nor does liburcu find anybody inside */
    return good ? 0 : 1;
}

static void forks(void)
{
    struct hak_grace_section section = {NULL, NULL};
    hak_grace_start();
    pthread_t thread = begin_elsewhere();
    REQUIRE(hak_grace_enter(&section));
    pid_t child = fork();
    if (child == 0)
        _exit(child_is_right(&section, hak_grace_readers));
    EXPECT_EQ(process_wait(child, 20), 0);
    hak_grace_leave(&section);
    end_elsewhere(thread);
}

/* liburcu's handlers, called by the program: before ours they take the readers away, which were
 * another thread's; after ours they leave them. */
static void *fork_with_liburcu(void *argument)
{
    unsigned first = *(unsigned *)argument;
    urcu_bp_before_fork();
    pid_t child = fork();
    if (child != 0) {
        urcu_bp_after_fork_parent();
        EXPECT_EQ(process_wait(child, 20), 0);
        return NULL;
    }
    struct hak_grace_section section = {NULL, NULL};
    if (first)
        hak_grace_after_fork_in_child();
    urcu_bp_after_fork_child();
    rcu_read_lock(); /* takes a reader that is free again, perhaps one that was in the pool */
    if (!first)
        hak_grace_after_fork_in_child();
    unsigned has = hak_grace_enter(&section);
    if (has)
        hak_grace_leave(&section);
    int good =
        readers_left() == (first ? hak_grace_readers : 0) && has == first && rcu_read_ongoing();
    for (unsigned i = 0; i < hak_grace_readers; i++)
        good = good && hak_grace_slots[i].reader != URCU_TLS(urcu_bp_reader);
    rcu_read_unlock();
    synchronize_rcu();
    _exit(good ? 0 : 1);
}

static void forks_with_liburcu(void)
{
    hak_grace_start(); /* on the main thread: the others' readers are not theirs */
    for (unsigned first = 0; first < 2; first++) {
        pthread_t thread;
        REQUIRE(pthread_create(&thread, NULL, fork_with_liburcu, &first) == 0);
        pthread_join(thread, NULL);
    }
}

/* The signals of the thread that starts it are what they were, libc's own included. */
static int start_keeps_signals(void)
{
    uint64_t mask = UINT64_C(3) << 31 | 1 << (SIGUSR1 - 1);
    hak_os_set_signals(mask);
    hak_grace_start();
    return hak_os_signals() == mask && readers_left() >= HAK_GRACE_READERS_LEAST ? 0 : 1;
}

/* No memory: no readers, and no abort. */
static int start_without_memory(void)
{
    struct hak_grace_section section = {NULL, NULL};
    struct rlimit limit = {1 << 20, 1 << 20};
    setrlimit(RLIMIT_AS, &limit);
    hak_grace_start();
    return readers_left() == 0 && !hak_grace_enter(&section) ? 0 : 1;
}

static void in_a_child(int (*body)(void))
{
    pid_t child = fork();
    if (child == 0)
        _exit(body());
    EXPECT_EQ(process_wait(child, 20), 0);
}

static void start_harms_nobody(void)
{
    REQUIRE(readers_left() == 0); /* this case first */
    in_a_child(start_keeps_signals);
    in_a_child(start_without_memory);
}

/* A thread that started the pool ends: its own reader goes, the pool's stay. */
static void *start_and_end(void *argument)
{
    hak_grace_start();
    return argument;
}

static void starter_may_end(void)
{
    pid_t child = fork();
    if (child == 0) {
        pthread_t thread;
        pthread_create(&thread, NULL, start_and_end, NULL);
        pthread_join(thread, NULL);
        int good = readers_left() >= HAK_GRACE_READERS_LEAST;
        for (unsigned i = 0; i < hak_grace_readers; i++)
            good = good && hak_grace_slots[i].reader->alloc;
        _exit(good ? 0 : 1);
    }
    EXPECT_EQ(process_wait(child, 20), 0);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"the start ends no process and changes no mask", start_harms_nobody},
        {"the thread that started it may end", starter_may_end},
        {"a grace period outlasts a reader", outlasts_a_reader},
        {"later sections do not prolong it", later_sections_do_not_count},
        {"a thread stays registered with liburcu as it was", thread_is_what_it_was},
        {"liburcu waits for our sections, too", liburcu_knows},
        {"a thread that finds no reader is refused", pool_may_be_empty},
        {"no reader sees spoilt memory", readers_see_nothing_spoilt},
        {"in a fork's child the others' readers are free", forks},
        {"liburcu's own fork handlers do no harm", forks_with_liburcu},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
