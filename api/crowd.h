/* SPDX-License-Identifier: MIT */
/* Few threads and many. A few have a front each: that is fastest. The next have one for small
 * objects, and threads beyond those have none; what they lack all of them share: the fronts of
 * CPUs, and where these are not to be had, fronts under locks (shard/front_shared.h). So what
 * sleeping threads keep at hand is bounded by CPUs, however many there are. Any thread. */
#ifndef HAK_API_CROWD_H
#define HAK_API_CROWD_H

#include <stdbool.h>
#include <stddef.h>

#include "os/compiler.h"

struct hak_front;

enum {
    HAK_CROWD_FEW_PER_CPU = 2,    /* threads, for each CPU, that have fronts for all classes; */
    HAK_CROWD_PER_CPU = 16,       /* that have fronts at all */
};

/* Whether a thread that asks for a front of its own is to have one. Where HAKMEM_FRONT=thread asks
 * for it each is. Inside a section, under no lock. */
bool hak_crowd_has_room(void);

/* The same as far as it is known without a search. */
bool hak_crowd_seems_small(void);

/* Sees to it that there is something that threads share, for one whose front is closed in part; the
 * same for one that has none, which is counted. Inside a section. */
HAK_COLD void hak_crowd_gather(void);
HAK_COLD void hak_crowd_join(void);

/* A shared front for a thread that has neither its own nor the CPU's; NULL: there is none, or it is
 * not to use one now. To be put back. Inside a section. */
struct hak_front *hak_crowd_front(void);

/* How the others are served where there are many threads, and in words how many are; else NULL. */
const char *hak_crowd_kind(void);
const char *hak_crowd_tell(char *text, size_t size);

/* Gives back what lies in fronts that the crowd shares, as far as it can be reached from here.
 * Inside a section. */
void hak_crowd_flush(void);

#endif
