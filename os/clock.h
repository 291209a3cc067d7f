/* SPDX-License-Identifier: MIT */
/* Time since an arbitrary start; it never goes back. */
#ifndef HAK_OS_CLOCK_H
#define HAK_OS_CLOCK_H

#include <stdint.h>

/* Nanoseconds, at the machine's full resolution (about 20 ns a call). */
uint64_t hak_os_now_ns(void);

/* Nanoseconds with the resolution of the scheduler's tick (about 5 ns a call). */
uint64_t hak_os_coarse_now_ns(void);

/* Sleeps; returns early if a signal handler ran. */
void hak_os_sleep_ns(uint64_t duration_ns);

#endif
