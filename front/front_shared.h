/* SPDX-License-Identifier: MIT */
/* Shared fronts: what serves threads that have no front of their own where CPU fronts are not to be
 * had. The same magazines as a thread's (front.h), a few sets for the process, each under a lock:
 * memory at hand grows with CPUs, not with threads, and no more is asked of the kernel than memory.
 *
 * Nobody waits: who finds the next few locks held is served without a front. So a handler of a
 * signal that comes while its thread holds one is served, too. Any thread, inside a section. */
#ifndef HAK_FRONT_FRONT_SHARED_H
#define HAK_FRONT_FRONT_SHARED_H

#include <stddef.h>

#include "front/front.h"

struct hak_shard_map;

enum {
    HAK_SHARED_FRONTS_MAX = 64,
    HAK_SHARED_FRONTS_PER_CPU = 2,    /* the holder of one may be preempted */
};

/* Makes them, for so many CPUs; nothing if they are made already. Without memory there are none,
 * and the next call tries again. */
void hak_shared_fronts_start(unsigned cpus, const struct hak_shard_map *map);

/* One for the caller, of the CPU it runs on if that is free; NULL: all that were looked at are
 * held, or there are none. To be put back. */
struct hak_front *hak_shared_front_take(void);
void hak_shared_front_put(struct hak_front *front);

/* Gives back what lies in those that nobody holds. */
void hak_shared_fronts_flush(void);

/* Adds all of them to figures (front.h). */
struct hak_front_rows;
void hak_shared_fronts_add_rows(struct hak_front_rows *rows);

/* Bytes of the objects in all of them, a moment ago. */
size_t hak_shared_fronts_bytes(void);

/* The child of a fork: who held one is gone. */
void hak_shared_fronts_after_fork(void);

#endif
