/* SPDX-License-Identifier: MIT */
/* The calling thread's state. */
#include "api/mine.h"

#include <stdint.h>

/* No page has this home, so nothing is pushed to it. */
const struct hak_front hak_front_none = {
    .home = UINT32_MAX,
    .near = HAK_FRONT_NOWHERE,
    .leaf = hak_page_map.nothing,
    .refused = {[0 ... HAK_CLASS_LAST] = HAK_MAGAZINE_OVERFULL},
};

/* The initial value of all threads: the loader relocates it before the first thread's copy is made
 * (in a static program, before libc starts). */
HAK_TLS struct hak_front *hak_front_mine = (struct hak_front *)&hak_front_none;

/* Open in all classes, so that the CPU's front is not used; but it has no objects, its home is no
 * shard, and its foreign magazines have no room. */
struct hak_front hak_front_apart = {
    .loaded = {[1 ... HAK_CLASS_LAST] = {1}},
    .near = HAK_FRONT_NOWHERE,
    .leaf = hak_page_map.nothing,
    .refused = {[0 ... HAK_CLASS_LAST] = HAK_MAGAZINE_OVERFULL},
};

HAK_TLS unsigned char hak_thread_state;
