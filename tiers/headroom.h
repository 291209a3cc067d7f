/* SPDX-License-Identifier: MIT */
/* How much memory the process may still take before the limit of its cgroup (or the one that an
 * option says): one number for all shards. Slabs, large runs and whales take and give back: what
 * they may touch from then on, and what has no pages any more. Unused memory is kept only while
 * there is more left than a reserve. Any thread, no lock.
 *
 *   CONTAINER the limit and what is used of the group at the top of what is mounted are read at
 *             start, then nothing: a process may have forbidden itself to open files. What others
 *             of the group take meanwhile, and a limit that is changed, is not seen.
 *   CGROUP    the same of the process's own group and those above it, which costs a short program
 *             a twentieth of its time
 *   WATCH     the same when the heap has grown, and again every 50 ms
 *   BYTES     what is resident, read when the heap has grown, and again every 50 ms */
#ifndef HAK_TIERS_HEADROOM_H
#define HAK_TIERS_HEADROOM_H

#include <stddef.h>
#include <stdint.h>

enum hak_headroom_mode {
    HAK_HEADROOM_UNLIMITED,    /* also before start */
    HAK_HEADROOM_CONTAINER,
    HAK_HEADROOM_CGROUP,
    HAK_HEADROOM_WATCH,
    HAK_HEADROOM_BYTES,        /* so many resident bytes */
};

/* By the starting thread. CONTAINER and CGROUP open files here. */
void hak_headroom_start(enum hak_headroom_mode mode, size_t bytes);

/* The heap maps so many bytes more. WATCH and BYTES open no files before it has 32 MiB. Not under a
 * lock. */
void hak_headroom_grow(size_t bytes);

/* Asks the kernel again if that is wanted and it is time. Not under a lock. */
void hak_headroom_refresh(uint64_t now_ns);

/* Bytes that are about to get pages, or have lost them. */
void hak_headroom_take(size_t bytes);
void hak_headroom_give(size_t bytes);

/* Unused bytes that must go back for the reserve to be whole; 0 where there is no limit. */
size_t hak_headroom_shortfall(void);

/* In the child of a fork. */
void hak_headroom_after_fork(void);

#endif
