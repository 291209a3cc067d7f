/* SPDX-License-Identifier: MIT */
/* Between malloc.c and malloc_slow.c: the calling thread's front, and the slow halves. */
#ifndef HAK_API_MALLOC_H
#define HAK_API_MALLOC_H

#include <stdbool.h>
#include <stddef.h>

#include "os/compiler.h"

struct hak_front;

/* The calling thread's front; before its first allocation, after its end and where CPUs have the
 * fronts, hak_front_none. Never NULL: the fast paths do not ask. */
extern HAK_HIDDEN HAK_TLS struct hak_front *hak_front_mine;

/* A front with neither objects nor room, of no shard. Read-only: who writes to it is wrong. */
extern HAK_HIDDEN const struct hak_front hak_front_none;

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

/* malloc without the hope that it is easy; sets errno. */
HAK_COLD void *hak_malloc_slow(size_t size);

/* free likewise. */
HAK_COLD void hak_free_slow(void *object);

#endif
