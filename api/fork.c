/* SPDX-License-Identifier: MIT */
/* A thread may fork while others use the heap. Our handler waits until no other thread is inside
 * the heap's shared structures, and admits none until the fork is over (os/section.h). So in the
 * child all structures are consistent and all locks free. It holds no lock while other libraries'
 * handlers run and libc takes the locks of its streams. Threads that need the heap meanwhile are
 * served beside it (heap/beside.h).
 *
 * The handler in the child does no work that grows with threads or shards, and leaves other
 * threads' fronts alone: later calls empty those, some classes at a time. Memory that another
 * thread was just moving is lost to the child: a bundle on its way to an inbox, a side page,
 * regions that were about to be unmapped. */
#include "api/fork.h"

#include <pthread.h>
#include <stdint.h>

#include "api/background.h"
#include "api/learning.h"
#include "api/own_fronts.h"
#include "api/placing.h"
#include "api/profiler.h"
#include "api/publish.h"
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
    hak_thread_heap_fronts_after_fork();
    hak_placing_after_fork();
    hak_learning_after_fork(hak_heap_default());
    hak_profiler_after_fork();
    hak_publish_after_fork();
    hak_background_after_fork();
}

void hak_fork_start(void)
{
    static uint32_t registered;
    /* relaxed: it does no harm to return before another thread has registered the handlers */
    if (!__atomic_exchange_n(&registered, 1, __ATOMIC_RELAXED))
        pthread_atfork(before, after_in_parent, after_in_child);
}
