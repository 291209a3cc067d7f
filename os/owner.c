/* SPDX-License-Identifier: MIT */
/* Owners by robust mutexes (set_robust_list(2); pthread_mutexattr_setrobust(3)). */
#include "os/owner.h"

#include <errno.h>

void hak_owner_take(struct hak_owner *owner)
{
    pthread_mutexattr_t attributes;
    owner->is_owned = false;
    if (pthread_mutexattr_init(&attributes) != 0)
        return;
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    bool is_made = pthread_mutex_init(&owner->mutex, &attributes) == 0;
    pthread_mutexattr_destroy(&attributes);
    bool is_taken = is_made && pthread_mutex_lock(&owner->mutex) == 0;
    /* release: pairs with the acquire in hak_owner_bury */
    __atomic_store_n(&owner->is_owned, is_taken, __ATOMIC_RELEASE);
}

void hak_owner_drop(struct hak_owner *owner)
{
    if (!owner->is_owned)
        return;
    pthread_mutex_unlock(&owner->mutex);
    /* release: the mutex leaves the thread's list before its memory is reused */
    __atomic_store_n(&owner->is_owned, false, __ATOMIC_RELEASE);
}

bool hak_owner_bury(struct hak_owner *owner)
{
    /* acquire: pairs with the release in hak_owner_take */
    if (!__atomic_load_n(&owner->is_owned, __ATOMIC_ACQUIRE))
        return false;
    int refused = pthread_mutex_trylock(&owner->mutex);
    if (refused == EOWNERDEAD)
        pthread_mutex_consistent(&owner->mutex);
    if (refused == EOWNERDEAD || refused == 0)
        pthread_mutex_unlock(&owner->mutex);
    if (refused != EOWNERDEAD)
        return false; /* 0: its owner is about to drop it */
    __atomic_store_n(&owner->is_owned, false, __ATOMIC_RELAXED); /* relaxed: no other user */
    return true;
}
