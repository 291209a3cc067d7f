/* SPDX-License-Identifier: MIT */
/* What others must know of placement by name (hakmem.h has the functions). Any thread. */
#ifndef HAK_API_PLACEMENT_H
#define HAK_API_PLACEMENT_H

/* In the child of a fork: its lock is free. */
void hak_placement_after_fork(void);

#endif
