/* SPDX-License-Identifier: MIT */
/* How much memory the process may still take before the limit of its cgroup (or the one that an
 * option says): one number for all shards, read from the kernel now and then, and kept up to date
 * in between by what large runs and whales take and give back. Unused memory is kept only while
 * there is more left than a reserve. Any thread, no lock; files are opened here and nowhere else
 * once the library has started, at most every 50 ms, and only where a limit is in force. */
#ifndef HAK_TIERS_HEADROOM_H
#define HAK_TIERS_HEADROOM_H

#include <stddef.h>
#include <stdint.h>

enum hak_headroom_mode {
    HAK_HEADROOM_UNLIMITED,    /* also before start */
    HAK_HEADROOM_CGROUP,       /* look for one when the heap has grown */
    HAK_HEADROOM_BYTES,        /* so many resident bytes */
};

/* By the starting thread; opens nothing. */
void hak_headroom_start(enum hak_headroom_mode mode, size_t bytes);

/* The heap maps so many bytes more. The first 32 MiB are nobody's business: small programs open no
 * files. Not under a lock. */
void hak_headroom_grow(size_t bytes);

/* Asks the kernel again if it is time. Not under a lock. */
void hak_headroom_refresh(uint64_t now_ns);

/* Bytes that are about to get pages, or have lost them. */
void hak_headroom_take(size_t bytes);
void hak_headroom_give(size_t bytes);

/* Unused bytes that must go back for the reserve to be whole; 0 where there is no limit. */
size_t hak_headroom_missing(void);

/* In the child of a fork. */
void hak_headroom_after_fork(void);

#endif
