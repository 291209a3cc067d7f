/* SPDX-License-Identifier: MIT */
/* Around fork. */
#ifndef HAK_API_FORK_H
#define HAK_API_FORK_H

/* Registers the handlers; once. */
void hak_fork_start(void);

#endif
