/* SPDX-License-Identifier: MIT */
/* Memory for the allocator's own structures: zeroed, cut from chunks that come from the kernel, and
 * never given back. Any thread. Start-up needs it before anything else works, so it calls no
 * library. */
#ifndef HAK_TIERS_META_H
#define HAK_TIERS_META_H

#include <stddef.h>

/* alignment: a power of two up to 4096. NULL if the kernel refuses. */
void *hak_meta_alloc(size_t size, size_t alignment);

/* Bytes taken from the kernel so far. */
size_t hak_meta_bytes(void);

#endif
