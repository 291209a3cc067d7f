/* SPDX-License-Identifier: MIT */
/* What a thread's front and its shard exchange: the slow halves of malloc and free, and flushes. By
 * the front's own thread, inside a section, after a visit of the heap (heap/visit.h). */
#ifndef HAK_FRONT_EXCHANGE_H
#define HAK_FRONT_EXCHANGE_H

#include "front/front.h"
#include "os/compiler.h"

/* An object of a class of which `loaded` gave none; NULL when out of memory. */
HAK_COLD void *hak_front_refill(struct hak_front *front, unsigned class_id);

/* Takes an object back into a full `loaded` magazine. */
HAK_COLD void hak_front_overflow(struct hak_front *front, unsigned class_id, void *object);

/* Takes back an object of another shard. */
void hak_front_give_foreign(struct hak_front *front, unsigned class_id, void *object);

/* Whether the object, of this class, is in one of the front's magazines: a few steps for each
 * object in them. */
HAK_COLD bool hak_front_holds(const struct hak_front *front, unsigned class_id,
                              const void *object);

/* Gives back all objects. */
void hak_front_flush(struct hak_front *front);

/* Gives back all objects of `count` classes from `first` on. */
void hak_front_flush_classes(struct hak_front *front, unsigned first, unsigned count);

/* Gives back foreign objects however few, spare magazines of classes that were not missed since the
 * last call, and loaded ones that nobody has changed since the last call but one. */
void hak_front_shrink(struct hak_front *front);

#endif
