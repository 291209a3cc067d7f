/* SPDX-License-Identifier: MIT */
/* Heaps that the program makes: shards of their own (own_shard.h), memory by terms of their own
 * (tiers/terms.h), and an end at which all of it goes at once. Nothing of them is in the default
 * heap, which stays one of its own kind (heap.h). Any thread, inside a section where said. */
#ifndef HAK_HEAP_OWN_HEAP_H
#define HAK_HEAP_OWN_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heap/own_shard.h"
#include "learn/policy.h"
#include "tiers/terms.h"
#include "topology/domains.h"

struct hakmem_heap;    /* a heap's public name */

/* Whom api/ tells of the soft limit. */
struct hak_own_alarm {
    void (*exceeded)(struct hakmem_heap *heap, size_t mapped, void *argument);
    void *argument;
};

struct hak_own_heap {
    uint32_t live;                         /* 1: it may be used; atomic */
    uint32_t count;                        /* of shards */
    const struct hak_domains *domains;     /* which shard is for which CPU; NULL: there is one */
    struct hak_terms terms;
    struct hak_policy policy;
    struct hak_own_heap *next;             /* of those that are free; under the lock */
    uint32_t room;                         /* shards that it has room for: a power of two */
    uint32_t probe;                        /* where others are asked next; relaxed */
    struct hak_own_alarm alarm;
    uint32_t telling;                      /* a caller is to tell, or tells, of the soft limit: the
                                              heap does not end meanwhile; atomic */
    struct hak_own_shard *shards[];
};

/* Shards as the domains say (NULL: one, from `node`), memory by the terms, an alarm if these have a
 * soft limit (else NULL); nothing is mapped yet but descriptors. NULL: no memory for these, or too
 * many shards. Inside a section. */
struct hak_own_heap *hak_own_heap_make(const struct hak_terms *terms,
                                       const struct hak_policy *policy,
                                       const struct hak_domains *domains, int node,
                                       const struct hak_own_alarm *alarm);

enum hak_own_end {
    HAK_OWN_ENDED,
    HAK_OWN_NOT_LIVE,    /* somebody ends it, or has */
    HAK_OWN_BUSY,        /* a call stayed inside for seconds, or a fork lasted: it lives on */
};

/* Ends a heap and all its objects: waits for calls under way, then unmaps, one shard a section.
 * Outside sections. */
enum hak_own_end hak_own_heap_end(struct hak_own_heap *heap);

static inline bool hak_own_heap_is_live(const struct hak_own_heap *heap)
{
    /* acquire: pairs with the release in hak_own_heap_make; it is built when it is seen */
    return __atomic_load_n(&heap->live, __ATOMIC_ACQUIRE) != 0;
}

/* An object; NULL: the kernel or the limit refuses memory. *must_tell: the caller is to tell of the
 * soft limit, outside sections, and then to call hak_own_heap_has_told. From the shard of the
 * caller's CPU; when that gets none, from others of the heap, and at last after all of the heap
 * gave back what is unused. Inside a section. */
void *hak_own_heap_take(struct hak_own_heap *heap, const struct hak_own_request *request,
                        bool *must_tell);

static inline void hak_own_heap_has_told(struct hak_own_heap *heap)
{
    /* release: pairs with the load in wait_until_empty; the alarm is no more looked at */
    __atomic_store_n(&heap->telling, 0, __ATOMIC_RELEASE);
}

/* Lets unused memory of one shard of any heap decay, the next each time; or of all shards. Inside a
 * section. */
void hak_own_heaps_tick_next(uint64_t now_ns);
void hak_own_heaps_tick(uint64_t now_ns);

/* Gives back what is unused of one heap, or of all that are not populated; bytes. Inside a
 * section. */
size_t hak_own_heap_purge(struct hak_own_heap *heap);
size_t hak_own_heaps_purge(void);

/* Bytes of all shards of a heap. Inside a section. */
struct hak_own_bytes hak_own_heap_bytes(struct hak_own_heap *heap);

/* The number of a shard in its heap. */
unsigned hak_own_heap_index(const struct hak_own_heap *heap, const struct hak_own_shard *shard);

#endif
