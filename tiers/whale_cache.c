/* SPDX-License-Identifier: MIT */
/* The table of descriptors and the cache of freed whales: see the header. */
#include "tiers/whale_cache.h"

#include "learn/match.h"
#include "os/bits.h"
#include "os/compiler.h"
#include "tiers/meta.h"

enum {
    FIT_SHARE = 8, /* a cached whale serves if it wastes at most 1/8 */
};

/* ---- descriptors ---- */

/* chunk k holds 2^(6+k) descriptors, so number + 64 has its highest bit at 6 + k. */
struct hak_whale *hak_whale_descriptor(struct hak_whales *whales, uint32_t number)
{
    uint64_t position = (uint64_t)number + (1u << HAK_WHALE_CHUNK_FIRST_SHIFT);
    unsigned log = hak_log2(position);
    struct hak_whale *chunk = whales->chunks[log - HAK_WHALE_CHUNK_FIRST_SHIFT];
    return chunk + (position - ((uint64_t)1 << log));
}

struct hak_whale *hak_whale_new_descriptor(struct hak_whales *whales)
{
    struct hak_whale *whale = whales->unused;
    if (whale != NULL) {
        whales->unused = whale->next;
        whale->next = NULL;
        return whale;
    }
    uint64_t position = (uint64_t)whales->count + (1u << HAK_WHALE_CHUNK_FIRST_SHIFT);
    unsigned log = hak_log2(position);
    unsigned chunk = log - HAK_WHALE_CHUNK_FIRST_SHIFT;
    if (chunk >= HAK_WHALE_CHUNKS)
        return NULL;
    if (whales->chunks[chunk] == NULL)
        whales->chunks[chunk] = hak_meta_alloc(sizeof(struct hak_whale) << log, HAK_CACHE_LINE);
    if (whales->chunks[chunk] == NULL)
        return NULL;
    whale = hak_whale_descriptor(whales, whales->count);
    whale->number = whales->count++;
    return whale;
}

void hak_whale_drop_descriptor(struct hak_whales *whales, struct hak_whale *whale)
{
    whale->address = NULL;
    whale->is_live = false;
    whale->next = whales->unused;
    whales->unused = whale;
}

/* ---- the cache ---- */

size_t hak_whale_cache_most(const struct hak_settings *settings)
{
    return hak_settings_bytes(&settings->whale_retain_bytes);
}

void hak_whale_cache_push(struct hak_whales *whales, struct hak_whale *whale)
{
    hak_whale_cache_push_old(whales, whale, whales->now);
}

void hak_whale_cache_push_old(struct hak_whales *whales, struct hak_whale *whale, uint32_t freed)
{
    struct hak_whale **link = &whales->oldest;
    while (*link != NULL && (int32_t)((*link)->freed - freed) <= 0)
        link = &(*link)->next;
    whale->next = *link;
    *link = whale;
    whale->freed = freed;
    whales->cached_count++;
    whales->cached_bytes += whale->size;
}

struct hak_whale *hak_whale_cache_pop(struct hak_whales *whales, struct hak_whale **link)
{
    struct hak_whale *whale = *link;
    *link = whale->next;
    whale->next = NULL;
    whales->cached_count--;
    whales->cached_bytes -= whale->size;
    return whale;
}

static bool may_serve(const struct hak_whale *whale, size_t alignment, int node)
{
    return ((uintptr_t)whale->address & (alignment - 1)) == 0 && whale->source->node == node;
}

struct hak_whale *hak_whale_cache_find(struct hak_whales *whales, size_t size, size_t alignment,
                                       int node)
{
    struct hak_whale **best = NULL;
    for (struct hak_whale **link = &whales->oldest; *link != NULL; link = &(*link)->next) {
        const struct hak_whale *whale = *link;
        if (whale->size < size || whale->size - size > size / FIT_SHARE)
            continue;
        if (may_serve(whale, alignment, node) && (best == NULL || whale->size <= (*best)->size))
            best = link;
    }
    return best != NULL ? hak_whale_cache_pop(whales, best) : NULL;
}

/* Whether the candidate is better for the size: long enough before too short, then the nearer. */
static bool is_better(size_t candidate, size_t best, size_t size)
{
    if (candidate >= size)
        return best < size || candidate < best;
    return best < candidate;
}

struct hak_whale *hak_whale_cache_find_other(struct hak_whales *whales, size_t size,
                                             size_t alignment, int node)
{
    struct hak_whale **best = NULL;
    for (struct hak_whale **link = &whales->oldest; *link != NULL; link = &(*link)->next) {
        const struct hak_whale *whale = *link;
        if (whale->is_hugetlb || whale->size < size / 2 || !may_serve(whale, alignment, node))
            continue;
        if (best == NULL || is_better(whale->size, (*best)->size, size))
            best = link;
    }
    return best != NULL ? hak_whale_cache_pop(whales, best) : NULL;
}

struct hak_whale *hak_whale_cache_evict(struct hak_whales *whales, size_t bytes, unsigned count)
{
    struct hak_whale *evicted = NULL;
    while (whales->oldest != NULL &&
           (whales->cached_bytes > bytes || whales->cached_count > count)) {
        struct hak_whale *whale = hak_whale_cache_pop(whales, &whales->oldest);
        whale->next = evicted;
        evicted = whale;
    }
    return evicted;
}

size_t hak_whale_cache_claim(struct hak_whales *whales, const struct hak_settings *settings,
                             size_t bytes, size_t retain)
{
    size_t has = whales->claim.bytes;
    if (bytes > has)
        hak_credit_claim(settings, &whales->claim, bytes - has, retain);
    return whales->claim.bytes;
}

void hak_whale_cache_settle(struct hak_whales *whales, const struct hak_settings *settings)
{
    size_t retain = hak_learner_retain(&whales->learner, settings, hak_whale_cache_most(settings));
    hak_credit_give_back(settings, &whales->claim, whales->cached_bytes, retain);
}
