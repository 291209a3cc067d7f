/* SPDX-License-Identifier: MIT */
/* The optional background thread (HAKMEM_BACKGROUND=1): it lets memory decay and empties the fronts
 * of ended threads even while the program does not call the library. */
#ifndef HAK_API_BACKGROUND_H
#define HAK_API_BACKGROUND_H

void hak_background_start(void);

/* In the child of a fork, which has no such thread: lets a later call start one. */
void hak_background_after_fork(void);

#endif
