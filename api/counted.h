/* SPDX-License-Identifier: MIT */
/* Where malloc goes when the fast path failed: to the heap, or, while the profiler counts
 * allocations (api/profiler.h), through its count. The fast path finds the classes hidden then, and
 * all calls come by here. */
#ifndef HAK_API_COUNTED_H
#define HAK_API_COUNTED_H

#include <stddef.h>

/* malloc after the fast path failed; sets errno. While the profiler counts, it pops from the front,
 * nearly as fast as the fast path would, or lets the heap make an object that the profile notes. */
void *hak_malloc_slow(size_t size);

#endif
