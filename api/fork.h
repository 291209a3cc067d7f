/* SPDX-License-Identifier: MIT */
/* Around fork. */
#ifndef HAK_API_FORK_H
#define HAK_API_FORK_H

/* Registers the handlers, the first time. May call malloc. */
void hak_fork_start(void);

#endif
