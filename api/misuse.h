/* SPDX-License-Identifier: MIT */
/* What a pointer meets that is freed or resized but is no live object of ours. Any thread. */
#ifndef HAK_API_MISUSE_H
#define HAK_API_MISUSE_H

#include "os/compiler.h"
#include "shard/found.h"

/* What can be told of the pointer. */
enum hak_misuse {
    HAK_MISUSE_FOREIGN,  /* an address that we never handed out */
    HAK_MISUSE_INTERIOR, /* inside our memory, but not where an object begins */
    HAK_MISUSE_FREED,    /* where an object begins that looks free already */
    HAK_MISUSE_WRITTEN,  /* what was freed, and written to afterwards */
};

/* One line on stderr, then the end of the program; HAKMEM_MISUSE may forgo the end, or both:
 * then it returns, and the caller does nothing more with the pointer. `function` is the name as
 * the program knows it. Holds no lock and takes none; errno is left as it was. */
HAK_COLD void hak_misuse(const char *function, const void *pointer, enum hak_misuse what);

/* The same of all that was found in freed memory and waits. */
HAK_COLD void hak_misuse_tell_found(void);

/* At the end of a slow call, outside the heap: what was found on its way is told. */
static inline void hak_misuse_tell(void)
{
    if (hak_unlikely(hak_found_any()))
        hak_misuse_tell_found();
}

#endif
