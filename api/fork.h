/* SPDX-License-Identifier: MIT */
/* The handlers that run around a fork. */
#ifndef HAK_API_FORK_H
#define HAK_API_FORK_H

/* Registers the handlers; only the first call does anything. May call malloc. */
void hak_fork_start(void);

#endif
