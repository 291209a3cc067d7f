/* SPDX-License-Identifier: MIT */
/* Paused classes: how a thread that its front serves comes to look at the clock.
 *
 * A front counts its slow calls, and a thread that makes none never lets memory decay. So each tick
 * pauses the classes that are not in demand: their `loaded` has neither object nor room, though it
 * is not closed, and what was in it waits as `spare`. The fast paths need no extra test; they fail
 * as they do at an empty or full magazine. A call of a paused class looks at the clock and is
 * served from the spare magazine.
 *
 * What that may cost is bounded. A class opens after HAK_PAUSE_CALLS calls, but for the last one
 * of those that are called at all: it goes on watching the clock for HAK_PAUSE_CALLS_OF_LAST calls.
 * A program that calls more often between two ticks is left alone until its next tick.
 *
 * By the front's own thread, or by who holds a shared front. Fronts of CPUs are never paused. */
#ifndef HAK_FRONT_PAUSE_H
#define HAK_FRONT_PAUSE_H

#include <stdbool.h>

#include "front/front.h"

enum {
    HAK_PAUSE_CALLS = 32,           /* of a class, between two ticks, before it opens, */
    HAK_PAUSE_CALLS_OF_LAST = 1024, /* or if no other paused class is called */
};

static inline bool hak_front_is_paused(const struct hak_front *front, unsigned class_id)
{
    return front->loaded[class_id].word == HAK_FRONT_PAUSED;
}

/* At a tick: calls are counted anew. */
void hak_pause_begin(struct hak_front *front);

/* Pauses a class that is open, and whose spare magazine is empty. */
void hak_pause_class(struct hak_front *front, unsigned class_id);

/* Counts a call of a paused class: whether it may stay paused. */
bool hak_pause_goes_on(struct hak_front *front, unsigned class_id);

/* Opens a paused class: what waited is loaded again. */
void hak_pause_end(struct hak_front *front, unsigned class_id);

/* While another thread forks, when no clock is looked at: opens the class if it is paused, and
 * returns whether it was. front: NULL for the CPU's, whose classes never are. */
HAK_COLD bool hak_pause_ends_beside(struct hak_front *front, unsigned class_id);

#endif
