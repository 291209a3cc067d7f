/* SPDX-License-Identifier: MIT */
/* Few threads and many. Each of the first threads has a front of its own, which is fastest. The
 * next threads have a front for small objects only; beyond a bound, threads have none. They use the
 * fronts of the CPUs instead, or fronts under locks where CPUs have none (front/front_shared.h). So
 * the number of CPUs, not of threads, bounds what sleeping threads keep. Any thread. */
#ifndef HAK_API_CROWD_H
#define HAK_API_CROWD_H

#include <stdbool.h>
#include <stddef.h>

#include "os/compiler.h"

struct hak_front;

enum {
    HAK_CROWD_FEW_PER_CPU = 2, /* threads for each CPU that have a front for all classes */
    HAK_CROWD_PER_CPU = 16,    /* threads for each CPU that have any front */
};

/* Whether one more thread may have a front of its own; always with HAKMEM_FRONT=thread. Inside a
 * section, under no lock. */
bool hak_crowd_has_room(void);

/* The same, as far as the counts tell without a search. */
bool hak_crowd_seems_small(void);

/* Opens the fronts that threads share: for a thread whose front serves small objects only
 * (hak_crowd_gather), or for one without a front, which it counts (hak_crowd_join). Inside a
 * section. */
HAK_COLD void hak_crowd_gather(void);
HAK_COLD void hak_crowd_join(void);

/* A shared front for a thread that can use neither its own nor the CPU's; NULL if there is none, or
 * the thread may not use one now. The caller puts it back. Inside a section. */
struct hak_front *hak_crowd_front(void);

/* With many threads: which fronts serve them, and the numbers of threads in words; else NULL. */
const char *hak_crowd_kind(void);
const char *hak_crowd_tell(char *text, size_t size);

/* Flushes the shared fronts, and the CPU's front that this thread can reach. Inside a section. */
void hak_crowd_flush(void);

#endif
