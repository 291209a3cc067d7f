/* SPDX-License-Identifier: MIT */
/* Delay injection (--enable-inject): a call at each window in which threads may overtake one
 * another. In such a build it sometimes waits or yields, so a stress test meets within seconds what
 * a program meets within years. In other builds the calls compile to nothing. */
#ifndef HAK_OS_INJECT_H
#define HAK_OS_INJECT_H

#include "config.h"

void hak_inject_delay(void);

static inline void hak_inject(void)
{
    if (HAK_INJECT)
        hak_inject_delay();
}

#endif
