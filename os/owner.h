/* SPDX-License-Identifier: MIT */
/* Ownership that shows when the owning thread has ended, even without its cooperation: the kernel
 * marks the robust mutexes of a thread that ends. The kernel does that at thread exit, so no other
 * system call is needed. */
#ifndef HAK_OS_OWNER_H
#define HAK_OS_OWNER_H

#include <pthread.h>
#include <stdbool.h>

struct hak_owner {
    pthread_mutex_t mutex;
    bool is_owned; /* written by the owner; false: no owner can have died */
};

/* The calling thread becomes the owner of something that has no owner, or whose owner a fork left
 * behind. All zeroes: no owner. The memory must stay until the owner drops it. */
void hak_owner_take(struct hak_owner *owner);

/* The owner gives up its ownership. */
void hak_owner_drop(struct hak_owner *owner);

/* Whether the owner's thread has ended; if so, it has no owner any more. Any thread, one at a
 * time. */
bool hak_owner_bury(struct hak_owner *owner);

#endif
