/* SPDX-License-Identifier: MIT */
/* What whale.c asks of whale_cache.c: the table of descriptors, and the cache of freed whales. The
 * cache is a list in the order of freeing, of at most HAK_WHALE_CACHED_MAX whales, and claims bytes
 * of the heap's credit for them. Callers hold the lock of the whales. */
#ifndef HAK_TIERS_WHALE_CACHE_H
#define HAK_TIERS_WHALE_CACHE_H

#include "tiers/whale.h"

/* The descriptor of a number, which is below `count`. */
struct hak_whale *hak_whale_descriptor(struct hak_whales *whales, uint32_t number);

/* Takes an unused descriptor, NULL if there is no memory for one; and gives it back. */
struct hak_whale *hak_whale_new_descriptor(struct hak_whales *whales);
void hak_whale_drop_descriptor(struct hak_whales *whales, struct hak_whale *whale);

/* The most bytes that the cache may ever keep. */
size_t hak_whale_cache_most(const struct hak_settings *settings);

/* Puts a whale into the cache, as the youngest. */
void hak_whale_cache_push(struct hak_whales *whales, struct hak_whale *whale);

/* Puts a whale into the cache whose memory was in it before, with its old age. */
void hak_whale_cache_push_old(struct hak_whales *whales, struct hak_whale *whale, uint32_t freed);

/* Takes out the whale that stands at *link. */
struct hak_whale *hak_whale_cache_pop(struct hak_whales *whales, struct hak_whale **link);

/* Takes the shortest whale out of the cache that serves a request of the node and wastes at most an
 * eighth; of equally short ones the youngest. NULL if there is none. */
struct hak_whale *hak_whale_cache_find(struct hak_whales *whales, size_t size, size_t alignment,
                                       int node);

/* If none fits: takes the shortest longer whale, which the caller cuts, or the longest shorter one
 * of at least half the size, which the caller lengthens. Both of plain memory. */
struct hak_whale *hak_whale_cache_find_other(struct hak_whales *whales, size_t size,
                                             size_t alignment, int node);

/* Takes out whales, oldest first, until the cache is within these bounds. Returns them as a
 * list. */
struct hak_whale *hak_whale_cache_evict(struct hak_whales *whales, size_t bytes, unsigned count);

/* Claims this many bytes of the heap's credit. Returns how many the cache may hold. retain: the
 * bound of the learner. */
size_t hak_whale_cache_claim(struct hak_whales *whales, const struct hak_settings *settings,
                             size_t bytes, size_t retain);

/* Gives back what is claimed beyond the cached bytes. */
void hak_whale_cache_settle(struct hak_whales *whales, const struct hak_settings *settings);

#endif
