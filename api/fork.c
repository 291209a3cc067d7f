/* SPDX-License-Identifier: MIT */
/* A process of many threads may fork at any moment: all locks are taken first, in the order in
 * which any thread nests them (liburcu's, fronts, shards, whales, own memory), so that the child
 * finds every structure whole. liburcu's come first because a thread that makes itself known there
 * may allocate. A lock of ours is one word and held for a bundle's work, so taking all takes
 * microseconds; only a grace period that somebody waits for just then makes the fork wait, too.
 *
 * What another thread held between two hands at that moment is lost to the child (a bundle, an
 * inbox it was sorting, regions it was about to unmap); what lay in its front is not. */
#include "api/fork.h"

#include <pthread.h>

#include "api/background.h"
#include "api/learning.h"
#include "api/malloc.h"
#include "api/placement.h"
#include "shard/front.h"
#include "shard/front_cpu.h"
#include "shard/grace.h"
#include "shard/heap.h"

static void before(void)
{
    hak_grace_before_fork();
    hak_front_lock_list();
    hak_heap_lock(hak_heap_default());
}

static void after_in_parent(void)
{
    hak_heap_unlock(hak_heap_default());
    hak_front_unlock_list();
    hak_grace_after_fork_in_parent();
}

static void after_in_child(void)
{
    hak_heap_reset_locks(hak_heap_default());
    hak_cpu_fronts_after_fork();
    hak_grace_after_fork_in_child();
    hak_front_reset_list(hak_front_mine);
    hak_placement_after_fork();
    hak_learning_after_fork(hak_heap_default());
    hak_background_after_fork();
}

void hak_fork_start(void)
{
    pthread_atfork(before, after_in_parent, after_in_child);
}
