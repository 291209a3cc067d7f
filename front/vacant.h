/* SPDX-License-Identifier: MIT */
/* Vacant fronts: those of threads that ended, kept with the objects that they hold for the next
 * threads of the same shard. So a thread that begins finds warm objects, and neither its birth nor
 * its predecessor's end touches a slab. rpmalloc hands the heaps of ended threads on likewise.
 *
 * What is kept is bounded by number, here, and by bytes (hak_front_end). It goes back after a while
 * (hak_front_collect_vacant), and before memory is short (hak_front_drop_vacant).
 *
 * A vacant front stays in the list of fronts. Any thread, inside a section. */
#ifndef HAK_FRONT_VACANT_H
#define HAK_FRONT_VACANT_H

#include <stdbool.h>
#include <stdint.h>

#include "front/front.h"

enum {
    HAK_VACANT_GROUPS = 16, /* of shards; each has a lock of its own */
    HAK_VACANT_EACH = 8,    /* fronts of a group, */
    HAK_VACANT_PER_CPU = 2, /* and of a shard for each of its CPUs, if that is fewer */
    HAK_VACANT_MOST = HAK_VACANT_GROUPS * HAK_VACANT_EACH,
};

/* Keeps a front whose thread has given it up. False: there is no room, or another thread is at the
 * group. */
bool hak_vacant_put(struct hak_front *front, uint64_t now_ns);

/* The front that was kept last for this shard, or NULL. It may be another shard's by now. */
struct hak_front *hak_vacant_take(const struct hak_shard *shard);

/* One of the oldest fronts of a group that was kept before this time, or NULL: none, or another
 * thread is at the group. */
struct hak_front *hak_vacant_take_old(unsigned group, uint64_t before_ns);

#endif
