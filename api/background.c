/* SPDX-License-Identifier: MIT */
/* One thread, started only if asked for, that lets unused memory decay, unmaps regions whose grace
 * period is over, looks at the machine again when CPUs are new, and empties the CPUs' fronts when
 * memory was out. It blocks all signals, so that the program's handlers never run on it. */
#include "api/background.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>

#include "api/start.h"
#include "os/clock.h"
#include "shard/beside.h"
#include "shard/heap.h"

static const uint64_t INTERVAL_NS = 100ul * 1000 * 1000;

static int wanted;    /* written by the starting thread, before any fork */

static void *run(void *unused)
{
    (void)unused;
    hak_thread_front();    /* makes the thread known to liburcu */
    for (;;) {
        hak_os_sleep_ns(INTERVAL_NS);
        hak_place_strangers();
        if (!hak_heap_enter())
            continue;
        hak_heap_relieve(hak_heap_default());
        hak_heap_tick(hak_heap_default(), hak_os_now_ns());
        hak_heap_reap(hak_heap_default());
        hak_heap_leave();
    }
    return NULL;
}

static void start_thread(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, old;
    if (pthread_attr_init(&attributes) != 0)
        return;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    /* Refused (a limit of threads): the slow paths go on doing the same work, later. */
    (void)pthread_create(&thread, &attributes, run, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
}

void hak_background_start(void)
{
    wanted = 1;
    start_thread();
}

void hak_background_after_fork(void)
{
    if (wanted)
        start_thread();
}
