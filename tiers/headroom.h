/* SPDX-License-Identifier: MIT */
/* The headroom: how much memory the process may still take before the limit of its cgroup, or the
 * limit that an option sets. It is one number for all shards. Slabs, large runs and whales subtract
 * bytes that the program may touch from now on, and add bytes that were purged. Caches keep unused
 * memory only while the headroom exceeds a reserve. Any thread, no lock.
 *
 *   CONTAINER reads limit and usage of the topmost mounted group once, at start: later the process
 *             may have forbidden itself to open files. It does not see what other processes of the
 *             group take later, nor a change of the limit.
 *   CGROUP    reads the process's own group and those above it, once; that costs a short program
 *             5 % of its time
 *   WATCH     the same when the heap has grown, and again every 50 ms
 *   BYTES     reads the process's resident bytes when the heap has grown, and every 50 ms */
#ifndef HAK_TIERS_HEADROOM_H
#define HAK_TIERS_HEADROOM_H

#include <stddef.h>
#include <stdint.h>

enum hak_headroom_mode {
    HAK_HEADROOM_UNLIMITED, /* also before start */
    HAK_HEADROOM_CONTAINER,
    HAK_HEADROOM_CGROUP,
    HAK_HEADROOM_WATCH,
    HAK_HEADROOM_BYTES, /* a limit of this many resident bytes */
};

/* Called by the starting thread. CONTAINER and CGROUP open files here. */
void hak_headroom_start(enum hak_headroom_mode mode, size_t bytes);

/* Notes that the heap mapped this many more bytes. WATCH and BYTES open files from 32 MiB on, so
 * the caller must hold no lock. */
void hak_headroom_grow(size_t bytes);

/* WATCH and BYTES: asks the kernel again if 50 ms have passed. The caller must hold no lock. */
void hak_headroom_refresh(uint64_t now_ns);

/* So many bytes are about to get pages, or have lost them. */
void hak_headroom_take(size_t bytes);
void hak_headroom_give(size_t bytes);

/* Unused bytes that must be purged for the reserve to be whole; 0 without a limit. */
size_t hak_headroom_shortfall(void);

/* In the child of a fork. */
void hak_headroom_after_fork(void);

#endif
