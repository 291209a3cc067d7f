/* SPDX-License-Identifier: MIT */
/* The calling thread's mask of signals, by the system call, with all 64 bits. libc's wrappers drop
 * its private signals 32 and 33 from each mask that they set, also from one that they only put
 * back: a thread that waits for signal 32 (the helper of SIGEV_THREAD timers does) is then killed
 * by it. */
#ifndef HAK_OS_SIGNALS_H
#define HAK_OS_SIGNALS_H

#include <stdint.h>

/* The mask: bit n - 1 for signal n. */
uint64_t hak_os_signals(void);

/* Sets it. */
void hak_os_set_signals(uint64_t mask);

/* Blocks all but libc's own, of which a thread must not be deaf to 33 (setuid waits for it), and
 * leaves those as they are. The mask as it was, for hak_os_set_signals. */
uint64_t hak_os_block_signals(void);

#endif
