/* SPDX-License-Identifier: MIT */
/* HAKMEM_PUBLISH=1: the statistics in a page that other processes may read (stats/published.h).
 * Slow calls write it again, at most ten times a second. Any thread. */
#ifndef HAK_API_PUBLISH_H
#define HAK_API_PUBLISH_H

#include "api/misuse.h"
#include "heap/beside.h"
#include "heap/tick.h"
#include "os/compiler.h"

/* Makes the page and fills it in once. If that fails, one line says why. Called by the starting
 * thread. */
void hak_publish_start(void);

/* Goes on with the page by one portion. Returns at once if another thread is at it. Outside the
 * heap, under no lock. */
HAK_COLD void hak_publish_now(void);

/* At the end of a slow call. */
static inline void hak_publish_tell(void)
{
    /* relaxed: a hint */
    if (hak_unlikely(__atomic_load_n(&hak_tick_watch.ticked, __ATOMIC_RELAXED) != 0))
        hak_publish_now();
}

/* The end of a slow call: reports outside the heap what the call found. */
static inline void hak_publish_leave_heap(void)
{
    hak_heap_leave();
    hak_misuse_tell();
    hak_publish_tell();
}

/* In the child of a fork: the page is its parent's. The first slow call of the child that has time
 * for it makes a new one. */
void hak_publish_after_fork(void);

#endif
