/* SPDX-License-Identifier: MIT */
/* The first stage of the start, after which the library can allocate. Any thread. */
#ifndef HAK_API_WAKE_H
#define HAK_API_WAKE_H

/* Starts the heap unless that has been done. Each call that may be the process's first one calls
 * this. */
void hak_start(void);

#endif
