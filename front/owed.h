/* SPDX-License-Identifier: MIT */
/* Work that threads leave to the next thread that enters the heap: one word of flags. Any
 * thread. */
#ifndef HAK_FRONT_OWED_H
#define HAK_FRONT_OWED_H

#include <stdint.h>

#include "os/compiler.h"

/* What the next entries into the heap have to do: */
enum hak_owed {
    HAK_OWED_DEFERRED = 1, /* runs and whales */
    HAK_OWED_FRONTS = 2,   /* fronts whose threads are gone */
};

extern HAK_HIDDEN uint32_t hak_owed;

static inline void hak_owe(enum hak_owed what)
{
    /* release: after what is owed was put into its list; pairs with the acquire in
     * hak_owe_no_more */
    __atomic_fetch_or(&hak_owed, (uint32_t)what, __ATOMIC_RELEASE);
}

static inline void hak_owe_no_more(enum hak_owed what)
{
    /* relaxed: a flag that is set from now on stays. All entries read this line, so a tick does not
     * write it for nothing. */
    if ((__atomic_load_n(&hak_owed, __ATOMIC_RELAXED) & (uint32_t)what) == 0)
        return;
    /* acquire: before the look at the list; pairs with the release in hak_owe */
    __atomic_fetch_and(&hak_owed, ~(uint32_t)what, __ATOMIC_ACQUIRE);
}

#endif
