/* SPDX-License-Identifier: MIT */
/* Reports pointers that are freed or resized but are no live objects of this heap. Any thread. */
#ifndef HAK_API_MISUSE_H
#define HAK_API_MISUSE_H

#include <stdbool.h>

#include "api/options.h"
#include "os/compiler.h"
#include "shard/found.h"

/* What is known of the pointer. */
enum hak_misuse {
    HAK_MISUSE_FOREIGN,  /* not in memory of this heap */
    HAK_MISUSE_INTERIOR, /* in this heap's memory, but no object begins there */
    HAK_MISUSE_FREED,    /* an object begins there, but it seems to be free */
    HAK_MISUSE_HEAP,     /* of another heap than the one that it was given to */
    HAK_MISUSE_WRITTEN,  /* a freed object that was written to afterwards */
    HAK_MISUSE_SIZE,     /* a live object of another size than the caller says */
};

/* Writes one line on stderr and aborts, unless HAKMEM_MISUSE says otherwise. If it returns, the
 * caller ignores the pointer. function: the name that the program called. Takes no lock, and the
 * caller holds none; does not change errno. */
HAK_COLD void hak_misuse(const char *function, const void *pointer, enum hak_misuse what);

/* Whether each pointer is looked at when it is freed (HAKMEM_MISUSE=check): threads then have no
 * fronts, so that slabs know of each object whether it is free. */
static inline bool hak_misuse_is_checked(void)
{
    return hak_options.misuse == HAK_MISUSE_CHOICE_CHECK;
}

/* Whether what a request for 0 bytes gets has no memory (tiers/empty.h), so that each access to it
 * is caught: unless HAKMEM_MISUSE is warn or ignore, once that is known. */
extern bool hak_misuse_catches_empty;

/* Obeys the option. By the thread that starts the library. */
void hak_misuse_start(void);

/* The same for all that was found in freed memory and not yet reported. */
HAK_COLD void hak_misuse_tell_found(void);

/* At the end of a slow call, outside the heap: reports what it found in freed memory. */
static inline void hak_misuse_tell(void)
{
    if (hak_unlikely(hak_found_any()))
        hak_misuse_tell_found();
}

#endif
