/* SPDX-License-Identifier: MIT */
/* Threads' fronts: made, attached to shards, given back; those that threads leave behind. */
#ifndef HAK_FRONT_FRONTS_H
#define HAK_FRONT_FRONTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "front/front.h"
#include "os/compiler.h"

struct hak_shard_map;

/* A front for a thread, attached to a shard of its node, perhaps with the objects of a thread that
 * ended (front/vacant.h); NULL when out of memory. */
struct hak_front *hak_front_create(const struct hak_shard_map *map);

/* Sets how many threads have fronts that are open in all classes; at first all. Fronts of later
 * threads are closed for classes above HAK_TINY_MAX, of which a sleeping thread would keep a MiB or
 * more. */
void hak_front_set_few(unsigned threads);

/* Opens a front in all classes, if there are few by now. By its own thread. */
bool hak_front_reopen(struct hak_front *front);

/* Threads that have fronts, a moment ago. */
unsigned hak_front_count(void);

/* Whether fewer threads than `limit` have fronts, not counting some that ended without notice.
 * Inside a section, under no lock. */
bool hak_front_has_room(unsigned limit);

/* Gives back all objects and the front itself. By its own thread. */
void hak_front_destroy(struct hak_front *front);

/* Gives the front back at its thread's end: some objects may stay in it for the next thread. By its
 * own thread. */
void hak_front_end(struct hak_front *front);

/* Fronts that have waited for a thread since this time are taken apart from now on, as those that
 * hak_front_collect finds. Inside a section, under no lock. */
void hak_front_collect_vacant(uint64_t before_ns);

/* Empties one front that has waited for a thread since this time; false: there is none. Inside a
 * section, under no lock. */
bool hak_front_drop_vacant(uint64_t before_ns);

/* Gives the front back without its objects, for others to take apart: while the heap is frozen. By
 * its own thread, at its end. */
void hak_front_leave(struct hak_front *front);

/* Attaches the front to a shard for good; NULL: to that of the CPU again. What it holds goes back
 * first. By its own thread. */
void hak_front_pin(struct hak_front *front, struct hak_shard *shard,
                   const struct hak_shard_map *map);

/* Attaches the front to the shard of the CPU that the thread runs on, so that one which migrates is
 * corrected within a bundle, and obeys hak_front_wishes. By its own thread. */
void hak_front_follow(struct hak_front *front, const struct hak_shard_map *map);

/* Attaches all fronts again, one after another. The thread that placed the shards calls this. */
void hak_front_attach_all(const struct hak_shard_map *map);

/* Looks for fronts whose threads are gone (left, lost to a fork, or ended without notice because
 * they first allocated in their last destructors), and takes some classes of one apart. Called
 * while HAK_OWED_FRONTS is set; clears it when none is left. Inside a section, under no lock. */
void hak_front_collect(void);

/* In the child of a fork: all fronts but the caller's have lost their threads. Touches none of
 * them. */
void hak_front_start_child(void);

/* Adds all threads' fronts to figures; of more than `most` only the youngest, because threads begin
 * and end under the lock that this holds. */
void hak_front_rows_add_all(struct hak_front_rows *rows, unsigned most);

/* Bytes of the objects in all threads' fronts, a moment ago. */
size_t hak_front_bytes_of_all(void);

#endif
