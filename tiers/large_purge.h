/* SPDX-License-Identifier: MIT */
/* Between large.c and large_purge.c: runs on their way into the lists of free ones, or back to the
 * kernel. All with the cache's lock held; those that say so let it go for a system call. */
#ifndef HAK_TIERS_LARGE_PURGE_H
#define HAK_TIERS_LARGE_PURGE_H

#include "tiers/large.h"

/* Units that belong to no run become free, together with the free ones on both sides, and the
 * youngest. Returns the run. */
struct hak_unit *hak_large_file_merged(struct hak_large_cache *cache,
                                       struct hak_large_segment *segment, uint32_t index,
                                       uint32_t units, uint32_t dirty);

/* A run that was in use becomes free, with so many dirty units; a segment that is then free as a
 * whole, clean and not the only one goes. Lets the lock go. */
void hak_large_file_given(struct hak_large_cache *cache, struct hak_large_segment *segment,
                          struct hak_unit *run, uint32_t dirty);

/* Bytes in whose multiples a segment is purged, unless all of it is wanted back. */
size_t hak_large_purge_step(const struct hak_large_segment *segment);

/* Purges what of a BUSY run lies in whole steps, and notes it: bytes. Lets the lock go. */
size_t hak_large_purge_units(struct hak_large_cache *cache, struct hak_large_segment *segment,
                             uint32_t index, uint32_t units, size_t step, uint64_t *spent_ns);

/* Lets the kernel have them when it wants. Lets the lock go. */
void hak_large_mark_free(struct hak_large_cache *cache, struct hak_large_segment *segment,
                         uint32_t index, uint32_t units, uint64_t *spent_ns);

/* A used run joins the batch, and is nobody's until that is released. May let the lock go. */
void hak_large_batch(struct hak_large_cache *cache, struct hak_unit *run,
                     const struct hak_policy *policy);

/* Purges what is in the batch, and files it. Lets the lock go. */
void hak_large_release_batch(struct hak_large_cache *cache);

/* After each give: no more dirty units than may be, no batch older than it may be, the learner's
 * tick if it is due (now_ns 0: not looked at). May let the lock go. */
void hak_large_obey(struct hak_large_cache *cache, const struct hak_policy *policy,
                    uint64_t now_ns);

/* Watched units of a stretch are handed out. */
void hak_large_tell_reused(struct hak_large_cache *cache, struct hak_large_segment *segment,
                           uint32_t index, uint32_t units);

#endif
