/* SPDX-License-Identifier: MIT */
/* Memory for the allocator's own structures: zeroed, never given back, bumped out of chunks taken
 * from the kernel. Any thread. It is what everything else stands on before start-up is done: no
 * library call is made. */
#ifndef HAK_TIERS_META_H
#define HAK_TIERS_META_H

#include <stddef.h>

/* alignment: a power of two up to 4096. NULL when the kernel refuses. */
void *hak_meta_alloc(size_t size, size_t alignment);

/* Bytes taken from the kernel so far. */
size_t hak_meta_bytes(void);

#endif
