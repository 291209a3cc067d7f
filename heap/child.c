/* SPDX-License-Identifier: MIT */
/* What a child of a fork makes of the heap: nobody else is placing shards, draining CPU fronts or
 * reading; all other threads' fronts are nobody's. (A thread that waits for another lock while it
 * holds the placing lock lets forks pass.) */
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
