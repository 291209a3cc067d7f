/* SPDX-License-Identifier: MIT */
/* Between malloc.c and malloc_slow.c: the calling thread's front, and the slow halves. */
#ifndef HAK_API_MALLOC_H
#define HAK_API_MALLOC_H

#include <stddef.h>

#include "os/compiler.h"

struct hak_front;

/* The calling thread's front; NULL before its first allocation, after its end, and wherever fronts
 * may not be used. */
extern HAK_HIDDEN HAK_TLS struct hak_front *hak_front_mine;

/* malloc without the hope that it is easy; sets errno. */
HAK_COLD void *hak_malloc_slow(size_t size);

/* free likewise. */
HAK_COLD void hak_free_slow(void *object);

#endif
