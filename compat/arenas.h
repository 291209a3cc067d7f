/* SPDX-License-Identifier: MIT */
/* jemalloc's arenas: number 0 is the default heap, each other a heap of its own. */
#ifndef HAK_COMPAT_ARENAS_H
#define HAK_COMPAT_ARENAS_H

#include <stdbool.h>
#include <stddef.h>

#include "hakmem.h"

enum {
    HAK_ARENAS_MAX = 4095, /* as many numbers as MALLOCX_ARENA can name */
    HAK_ARENAS_ALL = 4096  /* MALLCTL_ARENAS_ALL */
};

/* One more than the highest number ever used. */
unsigned hak_arenas_count(void);

/* Whether there is such an arena. */
bool hak_arenas_exist(size_t number);

/* The heap of an arena from 1; NULL: no such. */
struct hakmem_heap *hak_arenas_heap(size_t number);

/* The number of a new arena; 0: no memory, or too many. */
unsigned hak_arenas_create(void);

/* 0, or EFAULT: not an arena that was created, or in use. */
int hak_arenas_destroy(size_t number);
int hak_arenas_reset(size_t number);

/* Gives back unused memory, of one arena or of all. 0, or EFAULT. */
int hak_arenas_purge(size_t number);

/* The arena of an object; -1: not an object of an arena. */
int hak_arenas_of(const void *object);

/* Figures in jemalloc's words. */
struct hak_arena_figures {
    size_t small; /* held by the program, in objects up to 32 KiB */
    size_t large;
    size_t active; /* pages with objects in them */
    size_t dirty;  /* unused pages that are kept */
    size_t metadata;
    size_t mapped;
};

/* Of one arena or of all. False: no such. */
bool hak_arenas_figures(size_t number, struct hak_arena_figures *figures);

#endif
