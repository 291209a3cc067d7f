/* SPDX-License-Identifier: MIT */
/* Whose something is, told even when its thread ended without a word: the kernel marks the robust
 * mutexes of a thread that ends. No system call but in the kernel's own course of ending. */
#ifndef HAK_OS_OWNER_H
#define HAK_OS_OWNER_H

#include <pthread.h>
#include <stdbool.h>

struct hak_owner {
    pthread_mutex_t mutex;
    bool is_owned;       /* written by the owner; where it is false nobody can have died */
};

/* The calling thread becomes the owner of what nobody owns, or of what a fork took from its owner.
 * All zeroes is nobody's. Its memory must stay until it is dropped. */
void hak_owner_take(struct hak_owner *owner);

/* The calling thread, its owner, gives it up. */
void hak_owner_drop(struct hak_owner *owner);

/* Whether the owner's thread has ended; then it is nobody's. Any thread, one at a time. */
bool hak_owner_bury(struct hak_owner *owner);

#endif
