/* SPDX-License-Identifier: MIT */
/* The calling thread's signal mask, by the system call, with all 64 bits. libc's wrappers drop its
 * private signals 32 and 33 from each mask that they set, even when they restore one. Signal 32
 * then kills a thread that waits for it (the helper of SIGEV_THREAD timers). */
#ifndef HAK_OS_SIGNALS_H
#define HAK_OS_SIGNALS_H

#include <stdint.h>

/* The mask: bit n - 1 for signal n. */
uint64_t hak_os_signals(void);

/* Sets it. */
void hak_os_set_signals(uint64_t mask);

/* Blocks all signals except libc's own, which keep their state (a thread must not block 33: setuid
 * waits for it). Returns the old mask, for hak_os_set_signals. */
uint64_t hak_os_block_signals(void);

#endif
