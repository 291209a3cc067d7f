/* SPDX-License-Identifier: MIT */
/* Delay injection (--enable-inject): at each window in which threads may overtake one another
 * stands a call that, in such a build, now and then waits a little or gives up the CPU, so that a
 * stress test meets in seconds what a program meets in years. Otherwise the calls are nothing. */
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
