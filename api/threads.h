/* SPDX-License-Identifier: MIT */
/* The program's threads: makes their fronts at their first call, and gives these back at their
 * end. */
#ifndef HAK_API_THREADS_H
#define HAK_API_THREADS_H

#include "api/mine.h"
#include "os/compiler.h"

/* From now on ending threads give their fronts back. Called by the starting thread. */
void hak_threads_start(void);

/* Called when the library is unloaded (for example a plugin that contains the archive): removes our
 * key, so that a thread that ends later calls no unmapped code. Other threads find its front. */
void hak_threads_end(void);

/* Makes the calling thread's front if that is possible now, or binds it to the key if it was made
 * before that existed. Returns NULL if the thread has no front, as with fronts per CPU. */
HAK_COLD struct hak_front *hak_thread_start(void);

/* The calling thread's front, made now if necessary; NULL if it has none. */
static inline struct hak_front *hak_thread_front(void)
{
    unsigned char state = hak_thread_state;
    if (hak_unlikely(hak_front_mine == &hak_front_apart))
        return NULL;
    if (hak_unlikely(state == HAK_THREAD_NEW || state == HAK_THREAD_UNBOUND))
        return hak_thread_start();
    return hak_mine_front();
}

/* Gives the calling thread a front of its own, also with fronts per CPU; NULL if that is
 * impossible. hak_thread_drop_own_front returns the thread to the fronts of CPUs, if there are
 * any. */
struct hak_front *hak_thread_own_front(void);
void hak_thread_drop_own_front(void);

/* Gives a thread that shares fronts one of its own, if the process has few threads by now. */
void hak_thread_earn_front(void);

/* hak_place_shards_and_wait for a thread that may have a front: it gives that up if fronts of CPUs
 * were opened. */
void hak_thread_place_shards_and_wait(void);

#endif
