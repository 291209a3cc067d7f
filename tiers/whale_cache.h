/* SPDX-License-Identifier: MIT */
/* Between whale.c and whale_cache.c: the table of descriptors; the cache of freed whales, a list in
 * the order of freeing of HAK_WHALE_CACHED_MAX at the most, and what it claims of the heap's credit
 * for them. All with the lock of the whales held. */
#ifndef HAK_TIERS_WHALE_CACHE_H
#define HAK_TIERS_WHALE_CACHE_H

#include "tiers/whale.h"

/* The descriptor of a number below `count`. */
struct hak_whale *hak_whale_descriptor(struct hak_whales *whales, uint32_t number);

/* A descriptor that is not in use, NULL if there is no memory for one; and it is in use no more. */
struct hak_whale *hak_whale_new_descriptor(struct hak_whales *whales);
void hak_whale_drop_descriptor(struct hak_whales *whales, struct hak_whale *whale);

/* Bytes that may ever be kept. */
size_t hak_whale_cache_most(const struct hak_policy *policy);

/* Puts in a whale that is in no list, as the youngest. */
void hak_whale_cache_push(struct hak_whales *whales, struct hak_whale *whale);

/* The same for one that was there before, or was part of one that was: it is as old as that. */
void hak_whale_cache_push_old(struct hak_whales *whales, struct hak_whale *whale, uint32_t freed);

/* Takes out the whale that stands at *link. */
struct hak_whale *hak_whale_cache_pop(struct hak_whales *whales, struct hak_whale **link);

/* The tightest whale that serves the request from the same node and wastes no more than an eighth,
 * out of the cache; of equal ones the last freed. NULL: there is none. */
struct hak_whale *hak_whale_cache_find(struct hak_whales *whales, size_t size, size_t alignment,
                                       int node);

/* Where none fits: the shortest longer one, of which the caller cuts what it needs, or the longest
 * shorter one that has half of it at least, to which the caller adds. Both of plain memory. */
struct hak_whale *hak_whale_cache_find_other(struct hak_whales *whales, size_t size,
                                             size_t alignment, int node);

/* Takes out, oldest first, what exceeds the limits: a list. */
struct hak_whale *hak_whale_cache_evict(struct hak_whales *whales, size_t bytes, unsigned count);

/* Claims so many bytes of the credit; returns how many the cache may hold. retain: what its learner
 * lets it keep. */
size_t hak_whale_cache_claim(struct hak_whales *whales, const struct hak_policy *policy,
                             size_t bytes, size_t retain);

/* Others may have what is claimed beyond what is held. */
void hak_whale_cache_settle(struct hak_whales *whales, const struct hak_policy *policy);

#endif
