/* SPDX-License-Identifier: MIT */
/* Empty objects: what a request for 0 bytes gets, where each access to memory is to be caught. They
 * are addresses without memory, 16 bytes apart in a window that no one may access, so a program
 * that reads or writes one ends by SIGSEGV. Each has a bit that says whether it is live.
 *
 * Memory: 8 KiB of bits in .bss, of which the kernel backs the pages that are used, and 1 MiB of
 * addresses once the first object was taken; never unmapped. They count as address space, not as
 * data. At most 65,536 live objects; take looks at 64 words of bits. No locks; any thread, also
 * while another forks. */
#ifndef HAK_TIERS_EMPTY_H
#define HAK_TIERS_EMPTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tiers/size_class.h"

/* An object; NULL if the kernel refused the window, or the words from `hint` on have no free bit:
 * the caller then takes memory. hint: any number; threads with distinct ones seldom meet. */
void *hak_empty_take(size_t hint);

/* Whether an object can begin at an address of the window. */
static inline bool hak_empty_begins(const void *object)
{
    return (uintptr_t)object % HAK_CLASS_STEP == 0;
}

/* Whether an object of the window is live. The caller knows from the page map that the address lies
 * there. */
bool hak_empty_is_live(const void *object);

/* Takes an object back. false: it is not live, or no object begins there. */
bool hak_empty_give(void *object);

#endif
