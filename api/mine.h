/* SPDX-License-Identifier: MIT */
/* What is the calling thread's: its front, and how far it has come in its life. */
#ifndef HAK_API_MINE_H
#define HAK_API_MINE_H

#include <stdbool.h>
#include <stddef.h>

#include "front/front_cpu.h"
#include "os/compiler.h"

/* The calling thread's front; before its first allocation, after its end and where CPUs have the
 * fronts, hak_front_none. Never NULL: the fast paths do not ask. */
extern HAK_HIDDEN HAK_TLS struct hak_front *hak_front_mine;

/* A front with neither objects nor room, of no shard. Read-only: who writes to it is wrong. */
extern HAK_HIDDEN const struct hak_front hak_front_none;

/* Stands in hak_front_mine between a vfork and its return in the parent: without objects and
 * without room, so it serves nobody, and nobody writes it. The thread and its child are then served
 * without a front, and never by the CPU's. */
extern HAK_HIDDEN struct hak_front hak_front_apart;

enum hak_thread_state {
    HAK_THREAD_NEW,         /* never called us */
    HAK_THREAD_STARTING,    /* its front is being made, which may call us again */
    HAK_THREAD_UNBOUND,     /* it has one, but there was no key yet to give it back at its end */
    HAK_THREAD_RUNNING,
    HAK_THREAD_ENDING,      /* its destructors run; one more round of them is to come */
    HAK_THREAD_ENDED,       /* its front has been given back: no new one */
};

extern HAK_HIDDEN HAK_TLS unsigned char hak_thread_state;

static inline bool hak_thread_has_front(void)
{
    return hak_front_mine != &hak_front_none;
}

/* The calling thread's front, or NULL. */
static inline struct hak_front *hak_front_of_thread(void)
{
    return hak_thread_has_front() ? hak_front_mine : NULL;
}

/* From now on `front` is the calling thread's; NULL: none is. */
static inline void hak_front_set(struct hak_front *front)
{
    hak_front_mine = front != NULL ? front : (struct hak_front *)&hak_front_none;
}

/* Whether the slow halves of the CPU's front may be entered by this thread: not while it is being
 * made known, since that may call malloc from within, nor while it has a child by vfork. */
static inline int hak_thread_may_use_cpu_front(void)
{
    return hak_cpu_fronts_open() && hak_thread_state != HAK_THREAD_STARTING &&
           hak_front_mine != &hak_front_apart;
}

#endif
