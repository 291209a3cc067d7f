/* SPDX-License-Identifier: MIT */
/* Shared fronts serve threads without a front of their own, where there are no CPU fronts. The same
 * magazines as a thread's (front.h), a few sets for the process, each under a lock: memory at hand
 * grows with CPUs, not with threads, and they need nothing but memory from the kernel.
 *
 * No thread waits: one that finds the next few locks held is served without a front. So a signal
 * handler whose thread holds one is served, too. Any thread, inside a section. */
#ifndef HAK_FRONT_FRONT_SHARED_H
#define HAK_FRONT_FRONT_SHARED_H

#include <stddef.h>

#include "front/front.h"

struct hak_shard_map;

enum {
    HAK_SHARED_FRONTS_MAX = 64,
    HAK_SHARED_FRONTS_PER_CPU = 2, /* the holder of one may be preempted */
};

/* Makes them, for this many CPUs; does nothing if they are made. Without memory there are none, and
 * the next call tries again. */
void hak_shared_fronts_start(unsigned cpus, const struct hak_shard_map *map);

/* Takes one for the caller, of its CPU if that is free; NULL: all that it looked at are held, or
 * there are none. The caller puts it back. */
struct hak_front *hak_shared_front_take(void);
void hak_shared_front_put(struct hak_front *front);

/* Flushes those that no thread holds. */
void hak_shared_fronts_flush(void);

/* Adds all of them to figures (front.h). */
struct hak_front_rows;
void hak_shared_fronts_add_rows(struct hak_front_rows *rows);

/* Bytes of the objects in all of them, a moment ago. */
size_t hak_shared_fronts_bytes(void);

/* In the child of a fork: frees the locks of threads that are gone. */
void hak_shared_fronts_after_fork(void);

#endif
