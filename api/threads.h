/* SPDX-License-Identifier: MIT */
/* Threads of the program: their fronts are made at their first call, and given back at their
 * end. */
#ifndef HAK_API_THREADS_H
#define HAK_API_THREADS_H

#include "api/mine.h"
#include "os/compiler.h"

/* From now on fronts are given back when their threads end. By the starting thread. */
void hak_threads_start(void);

/* A library that is closed (a plugin that has the archive in it) leaves no destructor of ours
 * behind: a thread that ends later must not run what is unmapped. Its front is found by others. */
void hak_threads_end(void);

/* Makes the calling thread's front, if that may be done now, or sees to it that it is given back;
 * where fronts are kept per CPU, makes the thread known to RCU, and returns NULL. */
HAK_COLD struct hak_front *hak_thread_start(void);

/* The calling thread's front, made now if need be; NULL where none may be used. */
static inline struct hak_front *hak_thread_front(void)
{
    unsigned char state = hak_thread_state;
    if (hak_unlikely(hak_front_mine == &hak_front_apart))
        return NULL;
    if (hak_unlikely(state == HAK_THREAD_NEW || state == HAK_THREAD_UNBOUND))
        return hak_thread_start();
    return hak_front_of_thread();
}

/* The same also where fronts are kept per CPU: the thread is then served by its own from now
 * on; and back to the CPU's, where there are such. */
struct hak_front *hak_thread_own_front(void);
void hak_thread_drop_own_front(void);

/* One of many threads has a front of its own from now on, if there are few by now. */
void hak_thread_earn_front(void);

/* hak_place_shards_and_wait, for a thread that may have a front: CPUs' fronts take its place where
 * they were opened. */
void hak_thread_place_shards_and_wait(void);

#endif
