/* SPDX-License-Identifier: MIT */
/* os/section.c: a fork waits for threads inside, lets no other in, and never waits for itself. */
#include "os/section.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "os/clock.h"
#include "os/lock.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

enum {
    PAUSE_NS = 20 * 1000 * 1000,
};

static unsigned step; /* how far a thread has come; atomic */

static void come_to(unsigned number)
{
    __atomic_store_n(&step, number, __ATOMIC_SEQ_CST);
}

static int is_at(unsigned number)
{
    return __atomic_load_n(&step, __ATOMIC_SEQ_CST) >= number;
}

static void wait_for(unsigned number)
{
    while (!is_at(number))
        sched_yield();
}

static void entries_nest(void)
{
    EXPECT(!hak_section_is_inside());
    EXPECT(hak_section_enter());
    EXPECT(hak_section_enter());
    hak_section_leave();
    EXPECT(hak_section_is_inside());
    hak_section_leave();
    EXPECT(!hak_section_is_inside());
}

static void *freeze_once(void *unused)
{
    hak_section_freeze();
    come_to(1);
    wait_for(2);
    hak_section_thaw();
    come_to(3);
    return unused;
}

static void a_freeze_waits(void)
{
    pthread_t thread;
    come_to(0);
    EXPECT(hak_section_enter());
    REQUIRE(pthread_create(&thread, NULL, freeze_once, NULL) == 0);
    hak_os_sleep_ns(PAUSE_NS);
    EXPECT(!is_at(1));
    EXPECT(hak_section_enter()); /* from inside one may always */
    hak_section_leave();
    EXPECT(!is_at(1));
    hak_section_leave();
    wait_for(1);
    EXPECT(!hak_section_enter());
    EXPECT(!hak_section_is_inside());
    come_to(2);
    EXPECT(hak_section_enter_late());
    hak_section_leave();
    pthread_join(thread, NULL);
}

static unsigned entered, released, done; /* atomic */

static unsigned read_number(const unsigned *number)
{
    return __atomic_load_n(number, __ATOMIC_SEQ_CST);
}

static void *enter_and_wait(void *unused)
{
    EXPECT(hak_section_enter());
    __atomic_fetch_add(&entered, 1, __ATOMIC_SEQ_CST);
    while (read_number(&released) != read_number(&entered))
        sched_yield();
    hak_section_leave();
    return unused;
}

static void *freeze_and_thaw(void *unused)
{
    hak_section_freeze();
    __atomic_fetch_add(&done, 1, __ATOMIC_SEQ_CST);
    hak_section_thaw();
    return unused;
}

/* Threads use the counts one after another: a fork looks at all counts, however many threads there
 * have been. */
static void every_thread_is_waited_for(void)
{
    enum { TURNS = 150 };
    pthread_t guest, freezer;
    for (unsigned turn = 0; turn < TURNS; turn++) {
        REQUIRE(pthread_create(&guest, NULL, enter_and_wait, NULL) == 0);
        while (read_number(&entered) == turn)
            sched_yield();
        REQUIRE(pthread_create(&freezer, NULL, freeze_and_thaw, NULL) == 0);
        while (read_number(&done) == turn && hak_section_enter())
            hak_section_leave(); /* until the freeze is announced */
        sched_yield();
        EXPECT_EQ(read_number(&done), turn);
        __atomic_store_n(&released, turn + 1, __ATOMIC_SEQ_CST);
        pthread_join(guest, NULL);
        pthread_join(freezer, NULL);
    }
}

/* The thread that forks uses the heap between its handlers, as long as it is the only one. */
static void the_forker_may_enter(void)
{
    pthread_t thread;
    hak_section_freeze();
    EXPECT(hak_section_enter());
    hak_section_leave();
    come_to(0);
    REQUIRE(pthread_create(&thread, NULL, freeze_once, NULL) == 0);
    wait_for(1);
    EXPECT(!hak_section_enter());
    come_to(2);
    wait_for(3);
    EXPECT(hak_section_enter());
    hak_section_leave();
    pthread_join(thread, NULL);
    hak_section_thaw();
}

/* ---- many ----------------------------------------------------------------------------------- */

static unsigned inside, frozen; /* atomic */

static void *come_and_go(void *argument)
{
    unsigned freezes = *(unsigned *)argument;
    for (unsigned i = 0; i < 20000; i++) {
        if (freezes != 0 && i % 200 == 0) {
            hak_section_freeze();
            __atomic_fetch_add(&frozen, 1, __ATOMIC_SEQ_CST);
            EXPECT_EQ(__atomic_load_n(&inside, __ATOMIC_SEQ_CST), 0);
            __atomic_fetch_sub(&frozen, 1, __ATOMIC_SEQ_CST);
            hak_section_thaw();
        }
        if (!hak_section_enter())
            continue;
        __atomic_fetch_add(&inside, 1, __ATOMIC_SEQ_CST);
        EXPECT_EQ(__atomic_load_n(&frozen, __ATOMIC_SEQ_CST), 0);
        __atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST);
        hak_section_leave();
    }
    return NULL;
}

static void nobody_is_inside(void)
{
    unsigned freezes[4] = {1, 1, 0, 0};
    threads_run(4, come_and_go, freezes, sizeof freezes[0]);
}

/* ---- suspended ------------------------------------------------------------------------------ */

static struct hak_lock lock;
static unsigned bad_children;

/* A handler that forks while its thread holds a lock. */
static void fork_in_handler(int number)
{
    (void)number;
    hak_section_freeze();
    if (hak_section_is_inside() && hak_section_enter())
        bad_children++; /* what the interrupted frame holds must not be met again */
    pid_t child = fork();
    if (child == 0) {
        hak_section_start_child();
        _exit(hak_section_is_estranged());
    }
    hak_section_thaw();
    if (process_wait(child, 20) != 0)
        bad_children++;
}

static void *take_lock(void *unused)
{
    EXPECT(hak_section_enter());
    come_to(1);
    hak_lock_acquire(&lock);
    hak_lock_release(&lock);
    hak_section_leave();
    come_to(2);
    return unused;
}

static void a_holder_may_fork(void)
{
    pthread_t thread;
    bad_children = 0;
    come_to(0);
    signal(SIGUSR1, fork_in_handler);
    EXPECT(hak_section_enter());
    hak_lock_acquire(&lock);
    REQUIRE(pthread_create(&thread, NULL, take_lock, NULL) == 0);
    wait_for(1);
    hak_os_sleep_ns(PAUSE_NS); /* the other sleeps for the lock, and is inside */
    uint64_t began = hak_os_now_ns();
    raise(SIGUSR1);
    /* Ten seconds would reach the bound, and make an estranged child. */
    EXPECT_LE(hak_os_now_ns() - began, 9000ul * 1000 * 1000);
    EXPECT(!is_at(2));
    hak_lock_release(&lock);
    hak_section_leave();
    pthread_join(thread, NULL);
    EXPECT_EQ(bad_children, 0);
    EXPECT(hak_section_enter());
    hak_section_leave();
}

/* ---- estranged ------------------------------------------------------------------------------ */

static void *hold_and_fork(void *unused)
{
    EXPECT(hak_section_enter());
    hak_section_freeze();
    come_to(1);
    wait_for(2);
    hak_section_thaw();
    hak_section_leave();
    return unused;
}

/* Two threads fork from inside at once: neither waits for the other, and the child does not touch
 * the structures that the other held. */
static void two_at_once(void)
{
    pthread_t thread;
    come_to(0);
    EXPECT(hak_section_enter());
    REQUIRE(pthread_create(&thread, NULL, hold_and_fork, NULL) == 0);
    wait_for(1);
    hak_section_freeze();
    pid_t child = fork();
    if (child == 0) {
        hak_section_start_child();
        int good = hak_section_is_estranged();
        lock.word = 1;           /* the other's */
        hak_lock_acquire(&lock); /* the frame that was interrupted goes on */
        hak_lock_release(&lock);
        hak_section_leave();
        good &= !hak_section_enter() && !hak_section_enter_late();
        hak_section_freeze();
        hak_section_thaw();
        _exit(good && !hak_section_enter() ? 0 : 1);
    }
    come_to(2);
    hak_section_thaw();
    hak_section_leave();
    pthread_join(thread, NULL);
    EXPECT_EQ(process_wait(child, 20), 0);
    EXPECT(hak_section_enter_late());
    hak_section_leave();
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"entries nest", entries_nest},
        {"a fork waits for the threads inside, and lets no other in", a_freeze_waits},
        {"a fork waits for the last of many threads, too", every_thread_is_waited_for},
        {"the thread that forks may enter, unless another forks too", the_forker_may_enter},
        {"no thread is inside while a fork is under way", nobody_is_inside},
        {"a handler may fork while its thread holds a lock", a_holder_may_fork},
        {"two handlers may do so at once", two_at_once},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
