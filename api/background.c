/* SPDX-License-Identifier: MIT */
/* One thread, started only if an option asks for it. It lets unused memory decay, unmaps regions
 * whose grace period is over, reads the machine again when CPUs are new, and empties the CPUs'
 * fronts after calls found no memory. It blocks all signals, so the program's handlers never run on
 * it. */
#include "api/background.h"

#include <pthread.h>
#include <stdint.h>

#include "api/mine.h"
#include "api/misuse.h"
#include "api/placing.h"
#include "api/publish.h"
#include "heap/beside.h"
#include "heap/heap.h"
#include "heap/purge.h"
#include "heap/tick.h"
#include "os/clock.h"
#include "os/signals.h"

static const uint64_t INTERVAL_NS = 100ul * 1000 * 1000;

static int wanted; /* written by the starting thread, before any fork */

static void *run(void *unused)
{
    (void)unused;
    /* It does not count as a thread of the program: it needs no front, and must not cause the
     * shards to be placed. */
    hak_thread_state = HAK_THREAD_ENDED;
    for (;;) {
        hak_os_sleep_ns(INTERVAL_NS);
        hak_place_new_cpus();
        if (!hak_heap_enter())
            continue;
        hak_heap_flush_if_refused(hak_heap_default());
        uint64_t now = hak_os_now_ns();
        hak_heap_tick(hak_heap_default(), now);
        /* Reaps only when slabs rest. Otherwise pages that the next burst will use would go with
         * their regions. */
        if (hak_heap_slabs_rest(hak_heap_default(), now))
            hak_heap_reap();
        hak_heap_leave();
        hak_misuse_tell();
        hak_publish_now();
    }
    return NULL;
}

static void start_thread(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    if (pthread_attr_init(&attributes) != 0)
        return;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    uint64_t signals = hak_os_block_signals();
    /* Refused, for example by a limit of threads: the slow paths do the same work, later. */
    (void)pthread_create(&thread, &attributes, run, NULL);
    hak_os_set_signals(signals);
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
