/* SPDX-License-Identifier: MIT */
/* What a front and its shard exchange: the slow halves of malloc and free, and flushes. They serve
 * both kinds of fronts: a thread's own (or a shared one that the caller holds), and the front of
 * the CPU that the caller runs on, which is named HAK_FRONT_OF_CPU. By the front's own thread, by
 * the holder, or by any thread for its CPU; inside a section, after a visit of the heap
 * (heap/tick.h). */
#ifndef HAK_FRONT_EXCHANGE_H
#define HAK_FRONT_EXCHANGE_H

#include "front/front.h"
#include "os/compiler.h"

/* The front of the caller's CPU, wherever the thread runs at each step. */
#define HAK_FRONT_OF_CPU ((struct hak_front *)NULL)

/* An object of a class that the pops did not find; NULL when out of memory. */
void *hak_front_refill(struct hak_front *front, unsigned class_id);

/* Takes back an object of the front's shard for which `loaded` has no room. */
void hak_front_overflow(struct hak_front *front, unsigned class_id, void *object);

/* Takes back an object of another shard for which `foreign` has no room. */
void hak_front_give_foreign(struct hak_front *front, unsigned class_id, void *object);

/* Whether the object, of this class, is in one of the magazines of a thread's front: a few
 * steps for each object in them. */
HAK_COLD bool hak_front_holds(const struct hak_front *front, unsigned class_id, const void *object);

/* Gives all objects to the shard. */
void hak_front_flush(struct hak_front *front);

/* Gives all objects of `count` classes from `first` on to the shard. */
void hak_front_flush_classes(struct hak_front *front, unsigned first, unsigned count);

/* Gives all objects to their slabs, where every shard finds them. For HAK_FRONT_OF_CPU: not in a
 * child of vfork. */
void hak_front_flush_to_slabs(struct hak_front *front);

/* Gives all objects in all CPU fronts to their slabs: closes the fronts, waits until no sequence is
 * under way, empties them and opens them again. Meanwhile all threads are served without a front.
 * Does nothing where the kernel refuses that wait. Not from inside malloc or free, except at a
 * thread's start; under no lock. */
void hak_front_flush_cpus(void);

/* At a tick: gives back foreign objects however few, spare magazines of classes without a refill
 * since the last tick, and loaded ones that have not changed for HAK_FRONT_IDLE_TICKS. */
void hak_front_shrink(struct hak_front *front);

/* The same, and pauses the classes without a refill since the last tick (front/pause.h). */
void hak_front_shrink_and_pause(struct hak_front *front);

#endif
