/* SPDX-License-Identifier: MIT */
/* A process of many threads may fork at any moment: all locks are taken first, in the order in
 * which any thread nests them (the list of fronts, that of shards, shards, whales, own memory,
 * audit), so that the child finds every structure whole. A lock of ours is one word and held
 * for a bundle's work, so taking all takes microseconds.
 *
 * Other libraries' handlers may run on the forking thread between ours and the fork, and call
 * malloc: whoever registers after us runs before us on the way in, whoever did before us runs after
 * us, and a preloaded library's constructor runs after those of the program's other libraries. So
 * the thread has its front beforehand, and takes locks that it holds once more (os/lock.h).
 * (To be first, by -z initfirst, is no way out: a constructor that runs before libc's finds neither
 * environment nor arguments, and loading hwloc from there hides both from the program for good.)
 *
 * What another thread held between two hands at that moment is lost to the child (a bundle, an
 * inbox it was sorting, regions it was about to unmap); what lay in its front is not. */
#include "api/fork.h"

#include <pthread.h>
#include <stdint.h>

#include "api/background.h"
#include "api/learning.h"
#include "api/malloc.h"
#include "api/placement.h"
#include "api/start.h"
#include "shard/front.h"
#include "shard/front_cpu.h"
#include "shard/grace.h"
#include "shard/heap.h"

/* A thread that forks before it allocates: what its first malloc would do, under no lock. */
static void make_known(void)
{
    hak_thread_front();
}

static void before(void)
{
    make_known();
    hak_front_lock_list();
    hak_heap_lock(hak_heap_default());
}

static void after_in_parent(void)
{
    hak_heap_unlock(hak_heap_default());
    hak_front_unlock_list();
}

static void after_in_child(void)
{
    hak_heap_reset_locks(hak_heap_default());
    hak_cpu_fronts_after_fork();
    hak_grace_after_fork_in_child();
    hak_front_reset_list(hak_front_of_thread());
    hak_start_after_fork();
    hak_placement_after_fork();
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
