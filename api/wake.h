/* SPDX-License-Identifier: MIT */
/* The first stage of waking up: enough to allocate. Any thread. */
#ifndef HAK_API_WAKE_H
#define HAK_API_WAKE_H

/* Idempotent and re-entrant: called by whatever may be a process's first call. */
void hak_start(void);

#endif
