/* SPDX-License-Identifier: MIT */
/* A shard of a heap that the program made (own_heap.h): slabs, runs, and mappings of single
 * objects. No front, transfer cache or inbox stands before it: a take and a give enter its slabs
 * under the lock of one bin. So no object of it lies anywhere else, and all of it can be unmapped
 * at once.
 *
 *     pages of slabs    HAK_PAGE_OWN_SLAB + pages back     the page map says for each page that it
 *     of segments       HAK_PAGE_OWN_LARGE                 is an own heap's, and the number of the
 *     of a mapping      HAK_PAGE_OWN_ALONE                 shard; hak_own_shards leads to it
 *
 * A call enters before it touches anything but the page map, and then looks at the page again: what
 * it sees stays until it leaves. Whoever ends the shard closes it and waits until no call is
 * inside:
 *
 *     enter    inside + 1 (seq_cst), then look at `open`
 *     close    open = 0 (seq_cst), then look at `inside` until it is 0
 *
 * Descriptors are never unmapped. One that was given back serves the next shard, with its number; a
 * late caller finds it closed, or finds that the page is no longer of that number.
 *
 * Bounds: HAK_OWN_SHARDS_MAX alive at once, in all heaps together; a descriptor is some 60 KiB of
 * addresses, of which a shard in use touches about half. Any thread, inside a section
 * (os/section.h) where not said otherwise. */
#ifndef HAK_HEAP_OWN_SHARD_H
#define HAK_HEAP_OWN_SHARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "learn/learner.h"
#include "learn/settings.h"
#include "os/compiler.h"
#include "os/lock.h"
#include "stats/counters.h"
#include "tiers/large.h"
#include "tiers/page_map.h"
#include "tiers/pool.h"
#include "tiers/region.h"
#include "tiers/terms.h"

enum {
    HAK_OWN_SHARDS_MAX = (1 << 16) - 1, /* numbers 1 .. */
};

struct hak_own_heap;
struct hak_own_front;
struct hak_alone;

/* The fronts of a heap (own_front.h). */
struct hak_own_fronts {
    struct hak_own_front *first; /* under the lock of own_front.c */
    uint32_t wishes;             /* how often they were to be emptied; relaxed */
};

struct hak_own_shard {
    uint32_t inside; /* calls under way; see above */
    uint32_t open;
    uint32_t calls;             /* about how many calls came; relaxed, as the next */
    uint64_t last_look_ns;      /* when the clock was last read */
    struct hak_own_shard *next; /* of those that are free; under the table's lock */
    uint16_t number;            /* constant */

    /* Written each time that the shard is taken; all that follows is zero then. */
    struct hak_own_heap *heap __attribute__((aligned(HAK_CACHE_LINE)));
    struct hak_own_fronts *fronts; /* the heap's */
    const struct hak_settings *settings;
    struct hak_region_source source;
    struct hak_counters counters;
    struct hak_pool tiny;
    struct hak_pool mid;
    struct hak_large_cache large;
    struct hak_lock alone_lock; /* over the next two */
    struct hak_alone *alone;    /* mappings of single objects */
    size_t alone_bytes;
    struct hak_learner learner; /* which learns nothing; large.h needs one */
} __attribute__((aligned(HAK_CACHE_LINE)));

/* number -> shard, NULL where there never was one; mapped with the first shard. */
extern HAK_HIDDEN struct hak_own_shard **hak_own_shards;

/* The highest number that was ever in use. */
unsigned hak_own_shard_last(void);

/* Makes a closed shard for a heap, on the node; NULL: no memory, or too many shards. */
struct hak_own_shard *hak_own_shard_make(struct hak_own_heap *heap, struct hak_terms *terms,
                                         const struct hak_settings *settings, int node);

/* Lets callers in. */
void hak_own_shard_open(struct hak_own_shard *shard);

/* Lets none in any more. */
void hak_own_shard_close(struct hak_own_shard *shard);

/* Whether no call is inside that saw the shard open. Outside sections, too. */
bool hak_own_shard_is_empty(const struct hak_own_shard *shard);

/* Unmaps all of a closed and empty shard, in a time in proportion to its mappings. */
void hak_own_shard_end(struct hak_own_shard *shard);

/* Gives back the descriptor and its number, for another shard. */
void hak_own_shard_drop(struct hak_own_shard *shard);

/* Enters; if it returns true, the caller must leave. */
static inline bool hak_own_shard_enter(struct hak_own_shard *shard)
{
    /* seq_cst, both: see above; pair with those in hak_own_shard_close and
     * hak_own_shard_is_empty */
    __atomic_fetch_add(&shard->inside, 1, __ATOMIC_SEQ_CST);
    if (hak_likely(__atomic_load_n(&shard->open, __ATOMIC_SEQ_CST)))
        return true;
    __atomic_fetch_sub(&shard->inside, 1, __ATOMIC_RELEASE); /* release: as when leaving */
    return false;
}

static inline void hak_own_shard_leave(struct hak_own_shard *shard)
{
    /* release: pairs with the load in hak_own_shard_is_empty, which sees what was done inside */
    __atomic_fetch_sub(&shard->inside, 1, __ATOMIC_RELEASE);
}

/* Enters the shard that an address belongs to, and tells its page. NULL: it is of no own heap, or
 * of one that is at its end. */
static inline struct hak_own_shard *hak_own_shard_enter_of(const void *object,
                                                           struct hak_page *page)
{
    *page = hak_page_find(object);
    if (!hak_page_is_own(*page))
        return NULL;
    struct hak_own_shard *shard = hak_own_shards[page->home];
    if (!hak_own_shard_enter(shard))
        return NULL;
    struct hak_page again = hak_page_find(object);
    if (hak_likely(hak_page_is_own(again) && again.home == shard->number)) {
        *page = again;
        return shard;
    }
    hak_own_shard_leave(shard);
    return NULL;
}

/* A request for memory. */
struct hak_own_request {
    size_t size;                 /* at least 1, at most PTRDIFF_MAX */
    size_t alignment;            /* a power of two */
    unsigned class_id;           /* HAK_CLASS_NONE: a run, or a mapping */
    enum hak_zero zero;          /* for runs and mappings; objects of classes keep their contents */
    struct hak_own_front *front; /* the thread's of the heap (own_front.h), for classes up to
                                    HAK_CLASS_TINY_LAST; NULL: none */
};

/* Inside the shard, here and below: an object, NULL without memory. */
void *hak_own_shard_take(struct hak_own_shard *shard, const struct hak_own_request *request);

/* Pushes up to `count` objects of the class on the chain *chain, for a front. Returns how many; 0:
 * no memory. */
unsigned hak_own_shard_refill(struct hak_own_shard *shard, unsigned class_id, unsigned count,
                              struct hak_chain *chain);

/* Takes objects of the class back from a front's chain, as hak_pool_give. */
unsigned hak_own_shard_give_chain(struct hak_own_shard *shard, unsigned class_id,
                                  struct hak_chain *chain);

/* What kind of pointer a program has given back. */
enum hak_own_object {
    HAK_OWN_LIVE,
    HAK_OWN_FREE,      /* already */
    HAK_OWN_INTERIOR,  /* not the beginning of an object */
    HAK_OWN_ELSEWHERE, /* of another heap */
};

/* Gives back an object whose page, as entered, is `page`. Unless the answer is LIVE, nothing was
 * done. */
enum hak_own_object hak_own_shard_give(struct hak_own_shard *shard, void *object,
                                       struct hak_page page);

/* Usable bytes of an object whose page is `page`; 0: no object. Of a live one also outside. */
size_t hak_own_shard_size(const void *object, struct hak_page page);

/* Whether an object of a slab is free: its page was `page` when the caller entered the shard. */
bool hak_own_shard_says_free(struct hak_own_shard *shard, const void *object, struct hak_page page);

/* Makes a live run hold `size` bytes, more than HAK_MID_MAX, where it is. False: it stays as it
 * is. */
bool hak_own_shard_resize(struct hak_own_shard *shard, void *run, size_t size);

/* After a call: now and then lets unused memory decay. */
void hak_own_shard_visit(struct hak_own_shard *shard);

/* Lets unused memory decay. */
void hak_own_shard_tick(struct hak_own_shard *shard, uint64_t now_ns);

/* Gives the kernel all that is unused, and the addresses of empty regions and segments. Returns
 * bytes. */
size_t hak_own_shard_purge(struct hak_own_shard *shard);

/* Bytes of a shard, for statistics. */
struct hak_own_bytes {
    size_t small; /* objects of slabs in the program's hands; of a shard: those in fronts, too */
    size_t slabs; /* slabs */
    size_t holes; /* of these given back to the kernel */
    size_t runs;
    size_t alone;
    size_t cached; /* dirty but unused */
    size_t fronts; /* of a heap: objects in fronts, which `small` has not */
};

struct hak_own_bytes hak_own_shard_bytes(struct hak_own_shard *shard);

#endif
