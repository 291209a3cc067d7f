/* SPDX-License-Identifier: MIT */
/* A process of many threads may fork at any moment. Before it does, we wait until no other thread
 * is inside the heap's shared structures, and let none in until the fork is over (os/section.h):
 * the child finds every structure whole and every lock free, and between our handlers and the fork,
 * where other libraries' handlers run and libc takes the locks of its streams, nothing is held.
 * Threads that need the heap meanwhile are served beside it (heap/beside.h).
 *
 * The child does nothing here in proportion to threads or shards, and touches nothing of another
 * thread's: what lay in their fronts is taken apart by its later calls, some classes at a time.
 * What another thread held between two hands is lost to it (a bundle on its way to an inbox, a side
 * page, regions that were about to be unmapped). */
#include "api/fork.h"

#include <pthread.h>
#include <stdint.h>

#include "api/background.h"
#include "api/learning.h"
#include "api/placing.h"
#include "heap/child.h"
#include "heap/heap.h"
#include "os/section.h"

static void before(void)
{
    hak_section_freeze();
}

static void after_in_parent(void)
{
    hak_section_thaw();
}

static void after_in_child(void)
{
    hak_section_start_child();
    hak_heap_start_child(hak_heap_default());
    hak_placing_after_fork();
    hak_learning_after_fork(hak_heap_default());
    hak_background_after_fork();
}

void hak_fork_start(void)
{
    static uint32_t registered;
    /* relaxed: handlers that another thread is about to register come soon enough */
    if (!__atomic_exchange_n(&registered, 1, __ATOMIC_RELAXED))
        pthread_atfork(before, after_in_parent, after_in_child);
}
