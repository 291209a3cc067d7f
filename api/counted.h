/* SPDX-License-Identifier: MIT */
/* Where malloc goes when the fast path failed: to the heap, or, while the profiler counts
 * allocations (api/profiler.h), through its count. The fast paths find all classes hidden then, so
 * all calls come this way.
 *
 * This is a long way for each malloc, so there is a shorter one: the page of code that holds
 * malloc, and nothing else, is replaced by another page, whose first instruction jumps to
 * hak_malloc_counted. The kernel moves the page (mremap): no code is written, and none is ever
 * writable. This happens once, before the process has a second thread, and not while a debugger has
 * a breakpoint in malloc. */
#ifndef HAK_API_COUNTED_H
#define HAK_API_COUNTED_H

#include <stddef.h>

#include "os/compiler.h"

/* malloc after the fast path failed; sets errno. While the profiler counts, this pops from the
 * front, nearly as fast as the fast path, or lets the heap make an object that the profile
 * notes. */
void *hak_malloc_slow(size_t size);

/* As above for the other entry points: hak_allocate behind the count. */
void *hak_allocate_counted(size_t size);

/* malloc while allocations are counted. */
void *hak_malloc_counted(size_t size);

enum { HAK_DETOUR_BYTES = 4096 };

/* Where the compiler and the linker put malloc, and the page that can replace it. */
struct hak_detour {
    const char *page; /* NULL: none for this architecture */
    void *(*malloc_begin)(size_t);
    void (*malloc_end)(void *); /* free, which begins the next page */
};
extern HAK_HIDDEN const struct hak_detour hak_detour;

/* After hak_profiler_start, by the thread that starts the library: replaces malloc's page if
 * allocations are counted. */
void hak_counted_start(void);

#endif
