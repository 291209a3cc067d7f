/* SPDX-License-Identifier: MIT */
/* Runs that become free, and memory that goes back to the kernel: what large.c asks of
 * large_purge.c. Callers hold the cache's lock; functions that say so release it for a system call
 * and take it again. */
#ifndef HAK_TIERS_LARGE_PURGE_H
#define HAK_TIERS_LARGE_PURGE_H

#include "tiers/large.h"

/* ---- functions for all; they take the lock */

/* Tells the time, and purges what was not needed for settings->decay_ns, a few runs in each call.
 * For slow paths; costs a few instructions if nothing is due. Any thread. */
void hak_large_tick(struct hak_large_cache *cache, const struct hak_settings *settings,
                    uint64_t now_ns);

/* Purges all dirty pages now, and unmaps free segments. Returns the bytes that went back. */
size_t hak_large_trim(struct hak_large_cache *cache);

/* Near the process's limit of memory: purges unused pages, as many as are missing. */
void hak_large_relieve(struct hak_large_cache *cache, const struct hak_settings *settings);

/* The last tick of the learner. */
void hak_large_end_learning(struct hak_large_cache *cache, const struct hak_settings *settings,
                            uint64_t now_ns);

/* ---- functions for large.c; the caller holds the lock */

/* Merges units that belong to no run with their free neighbours into one free run, the youngest.
 * Returns the run. */
struct hak_unit *hak_large_file_merged(struct hak_large_cache *cache,
                                       struct hak_large_segment *segment, uint32_t index,
                                       uint32_t units, uint32_t dirty);

/* Makes a used or BUSY run free, with this many dirty units. If its segment is then entirely free
 * and clean, and not the cache's only one, it is unmapped. May release the lock. */
void hak_large_file_given(struct hak_large_cache *cache, struct hak_large_segment *segment,
                          struct hak_unit *run, uint32_t dirty);

/* The unit of purges of a segment, in bytes; only a trim purges less. */
size_t hak_large_purge_step(const struct hak_large_segment *segment);

/* Purges the part of a BUSY run that consists of whole steps. Returns bytes. Releases the lock. */
size_t hak_large_purge_units(struct hak_large_cache *cache, struct hak_large_segment *segment,
                             uint32_t index, uint32_t units, size_t step, uint64_t *spent_ns);

/* Marks pages of a BUSY run as free for the kernel to take (MADV_FREE). Releases the lock. */
void hak_large_mark_free(struct hak_large_cache *cache, struct hak_large_segment *segment,
                         uint32_t index, uint32_t units, uint64_t *spent_ns);

/* Adds a used run to the batch: it is BUSY until the batch is released. May release the lock. */
void hak_large_batch(struct hak_large_cache *cache, struct hak_unit *run,
                     const struct hak_settings *settings);

/* Purges the runs of the batch and makes them free. Releases the lock. */
void hak_large_release_batch(struct hak_large_cache *cache);

/* After each give: keeps the dirty units within their bound, releases a batch that is old, and lets
 * the learner tick if that is due (the last two not if now_ns is 0). May release the lock. */
void hak_large_obey(struct hak_large_cache *cache, const struct hak_settings *settings,
                    uint64_t now_ns);

/* Tells the learner that the watched units of a stretch were taken. */
void hak_large_tell_reused(struct hak_large_cache *cache, struct hak_large_segment *segment,
                           uint32_t index, uint32_t units);

#endif
