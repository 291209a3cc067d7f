/* SPDX-License-Identifier: MIT */
/* What is the calling thread's. */
#include "api/mine.h"

#include <stdint.h>

/* Its home is an id that no page has. */
const struct hak_front hak_front_none = {
    .home = UINT32_MAX, .near = HAK_FRONT_NOWHERE, .leaf = hak_page_map.nothing
};

/* Relocated in the image that threads' copies are made of, which is done before the first of them
 * (ld.so: before the initial thread's; a static program: before libc starts). */
HAK_TLS struct hak_front *hak_front_mine = (struct hak_front *)&hak_front_none;

/* Open in all classes, so that the CPU's front is not asked; but with nothing to pop, no shard's to
 * be pushed on, and no room for foreign ones. */
struct hak_front hak_front_apart = {
    .loaded = {[1 ... HAK_CLASS_LAST] = 1},
    .near = HAK_FRONT_NOWHERE, .leaf = hak_page_map.nothing
};

HAK_TLS unsigned char hak_thread_state;
