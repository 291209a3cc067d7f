/* SPDX-License-Identifier: MIT */
/* Heaps that the program makes. Each has its own shards (own_shard.h), its own terms for memory
 * (tiers/terms.h), and an end at which all of it goes at once. They share nothing with the default
 * heap (heap.h). Any thread, inside a section where said. */
#ifndef HAK_HEAP_OWN_HEAP_H
#define HAK_HEAP_OWN_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heap/own_shard.h"
#include "learn/settings.h"
#include "tiers/terms.h"
#include "topology/domains.h"

struct hakmem_heap; /* a heap's public name */

/* The program's function that api/ calls when the soft limit is exceeded. */
struct hak_own_alarm {
    void (*exceeded)(struct hakmem_heap *heap, size_t mapped, void *argument);
    void *argument;
};

struct hak_own_heap {
    uint32_t live;                     /* 1: it may be used; atomic */
    uint32_t count;                    /* of shards */
    uint16_t number;                   /* in the order in which heaps were made, from 1 on */
    const struct hak_domains *domains; /* which shard is for which CPU; NULL: there is one */
    struct hak_terms terms;
    struct hak_settings settings;
    struct hak_own_heap *next; /* of those that are free; under the lock */
    uint32_t room;             /* shards that it has room for: a power of two */
    uint32_t probe;            /* where others are asked next; relaxed */
    struct hak_own_alarm alarm;
    uint32_t telling; /* 1: a caller is about to call the alarm, or does: the heap does not end
                         meanwhile; atomic */
    uint32_t purged;  /* purges of shards, ever; relaxed */
    int32_t slot;     /* of its fronts in each thread (own_front.h); below 0: it has no fronts;
                         relaxed: callers may come late */
    struct hak_own_fronts fronts;
    struct hak_own_shard *shards[];
};

/* Shards as the domains say (NULL: one, from `node`), memory by the terms, an alarm if these have a
 * soft limit (else NULL); nothing is mapped yet but descriptors. NULL: no memory for these, or too
 * many shards. Inside a section. */
struct hak_own_heap *hak_own_heap_make(const struct hak_terms *terms,
                                       const struct hak_settings *settings,
                                       const struct hak_domains *domains, int node,
                                       const struct hak_own_alarm *alarm);

static inline int32_t hak_own_heap_slot(const struct hak_own_heap *heap)
{
    return __atomic_load_n(&heap->slot, __ATOMIC_RELAXED); /* relaxed: as said */
}

/* Lets threads have fronts of a heap that no other thread knows yet. */
void hak_own_heap_let_have_fronts(struct hak_own_heap *heap);

enum hak_own_end {
    HAK_OWN_ENDED,
    HAK_OWN_NOT_LIVE, /* another call ends it, or did */
    HAK_OWN_BUSY,     /* a call stayed inside for seconds, or a fork lasted: it lives on */
};

/* Ends a heap and all its objects: waits for calls under way, then unmaps, one shard a section.
 * Outside sections. */
enum hak_own_end hak_own_heap_end(struct hak_own_heap *heap);

static inline bool hak_own_heap_is_live(const struct hak_own_heap *heap)
{
    /* acquire: pairs with the release in hak_own_heap_make; it is built when it is seen */
    return __atomic_load_n(&heap->live, __ATOMIC_ACQUIRE) != 0;
}

/* Takes an object; NULL: the kernel or the limit refuses memory. It comes from the shard of the
 * caller's CPU; if that gets no memory, from the heap's others, and last after the heap gave back
 * all that is unused. If *must_tell is set, the caller must leave its section, call the alarm, and
 * then hak_own_heap_has_told. Inside a section. */
void *hak_own_heap_take(struct hak_own_heap *heap, const struct hak_own_request *request,
                        bool *must_tell);

static inline void hak_own_heap_has_told(struct hak_own_heap *heap)
{
    /* release: pairs with the acquire in wait_until_empty; the caller reads the alarm no more */
    __atomic_store_n(&heap->telling, 0, __ATOMIC_RELEASE);
}

/* Lets unused memory decay in one shard of any heap, another one each time; or in all shards.
 * Inside a section. */
void hak_own_heaps_tick_next(uint64_t now_ns);
void hak_own_heaps_tick(uint64_t now_ns);

/* Gives back what is unused in a shard of the heap, counted from 0; in all of a heap; in the shard
 * of a number, 1 .. hak_own_shard_last(), unless its heap is populated; in all such shards. Returns
 * bytes. Inside a section, which for more than one shard may last long. */
size_t hak_own_heap_purge_shard(struct hak_own_heap *heap, unsigned index);
size_t hak_own_heap_purge(struct hak_own_heap *heap);
size_t hak_own_heaps_purge_shard(unsigned number);
size_t hak_own_heaps_purge(void);

/* What a refused call remembers from before, to judge a limit: memory that other calls were mapping
 * or unmapping meanwhile could not serve, but counted against the limit. */
struct hak_own_mark {
    bool is_busy;    /* other calls were under way */
    uint32_t claims; /* as in struct hak_terms */
    uint32_t purged; /* as in struct hak_own_heap */
};

struct hak_own_mark hak_own_heap_mark(const struct hak_own_heap *heap);

/* Whether other calls may have had memory in hand since the mark, of a caller who purged each shard
 * once; then naps 20 us, so that they go on. Outside sections. */
bool hak_own_heap_was_busy(const struct hak_own_heap *heap, const struct hak_own_mark *mark);

/* Bytes of all shards of a heap. Inside a section. */
struct hak_own_bytes hak_own_heap_bytes(struct hak_own_heap *heap);

/* The number of a shard in its heap. */
unsigned hak_own_heap_index(const struct hak_own_heap *heap, const struct hak_own_shard *shard);

#endif
