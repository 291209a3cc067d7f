/* SPDX-License-Identifier: MIT */
/* The heap in the child of a fork. No other thread places shards, drains CPU fronts or reads, so
 * their locks and marks are reset. The fronts of all other threads are without a thread. (A thread
 * that waits for another lock while it holds the placing lock lets forks pass, so the caller may be
 * such a thread.) */
#include "heap/child.h"

#include "front/front_cpu.h"
#include "front/front_shared.h"
#include "front/fronts.h"
#include "os/section.h"
#include "shard/grace.h"

void hak_heap_start_child(struct hak_heap *heap)
{
    if (!hak_section_is_inside())
        hak_lock_reset(&heap->placing);
    hak_cpu_fronts_after_fork();
    hak_shared_fronts_after_fork();
    hak_grace_after_fork_in_child();
    hak_front_start_child();
}
