/* SPDX-License-Identifier: MIT */
/* Where malloc goes when the fast path failed: to the heap, or, while the profiler counts
 * allocations (api/profiler.h), through its count. The fast path finds the classes hidden then, and
 * all calls come by here. */
#ifndef HAK_API_COUNTED_H
#define HAK_API_COUNTED_H

#include <stddef.h>

/* malloc after the fast path failed; sets errno. While allocations are counted it hands out what
 * lies at hand, nearly as fast as the fast path would, or what the heap notes for the profile. */
void *hak_malloc_slow(size_t size);

#endif
