/* SPDX-License-Identifier: MIT */
/* The calling thread's state: its front, and the stage of its life. */
#ifndef HAK_API_MINE_H
#define HAK_API_MINE_H

#include <stdbool.h>
#include <stddef.h>

#include "front/front_cpu.h"
#include "os/compiler.h"

/* The calling thread's front; hak_front_none before its first allocation, after its end, and with
 * fronts per CPU. Never NULL: the fast paths do not test for that. */
extern HAK_HIDDEN HAK_TLS struct hak_front *hak_front_mine;

/* A front of no shard, with neither objects nor room. It lies in read-only memory. */
extern HAK_HIDDEN const struct hak_front hak_front_none;

/* The value of hak_front_mine between a vfork and its return in the parent: it has neither objects
 * nor room, and nothing writes to it. Thread and child are then served without a front, and not by
 * the CPU's. */
extern HAK_HIDDEN struct hak_front hak_front_apart;

enum hak_thread_state {
    HAK_THREAD_NEW,      /* has not called us yet */
    HAK_THREAD_STARTING, /* is making its front, which may call us again */
    HAK_THREAD_UNBOUND,  /* has a front, but there was no key yet to give it back at the end */
    HAK_THREAD_RUNNING,
    HAK_THREAD_ENDING, /* its destructors run; there will be one more round */
    HAK_THREAD_ENDED,  /* has given its front back, and gets no new one */
};

extern HAK_HIDDEN HAK_TLS unsigned char hak_thread_state;

static inline bool hak_thread_has_front(void)
{
    return hak_front_mine != &hak_front_none;
}

/* The calling thread's front, or NULL. */
static inline struct hak_front *hak_mine_front(void)
{
    return hak_thread_has_front() ? hak_front_mine : NULL;
}

/* Sets the calling thread's front; NULL: it has none. */
static inline void hak_mine_set(struct hak_front *front)
{
    hak_front_mine = front != NULL ? front : (struct hak_front *)&hak_front_none;
}

/* Whether this thread may use the slow paths of the CPU's front: not while it is starting, since
 * that may call malloc, and not while it has a child by vfork. */
static inline bool hak_thread_may_use_cpu_front(void)
{
    return hak_cpu_fronts_open() && hak_thread_state != HAK_THREAD_STARTING &&
           hak_front_mine != &hak_front_apart;
}

#endif
