/* SPDX-License-Identifier: MIT */
/* The front: a thread's own stock of free objects. Most mallocs find an object here, and most frees
 * find room; exchange.c does the rest.
 *
 * Each class has three magazines, each with one chain (struct hak_chain):
 *
 *     loaded   malloc pops from it, free pushes to it
 *     spare    a full magazine behind it, so that a thread whose stock goes up and down around the
 *              edge of a magazine does not go to the shard each time (Bonwick and Adams, USENIX
 *              2001)
 *     foreign  objects of other shards, until a bundle of them goes home or is adopted
 *
 * Push and pop take effect by one store, so other readers of a front (a fork's child, statistics)
 * always find it whole. The magazine of class 0 has neither object nor room: pops and pushes of
 * class 0 fail without an extra test. Only its own thread writes a front. */
#ifndef HAK_FRONT_FRONT_H
#define HAK_FRONT_FRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/compiler.h"
#include "os/owner.h"
#include "shard/magazine.h"
#include "tiers/object.h"
#include "tiers/page_map.h"
#include "tiers/size_class.h"

struct hak_shard;

enum {
    HAK_FRONT_MID_CLASSES = HAK_CLASS_LAST - HAK_CLASS_TINY_LAST,
};

enum hak_front_left {
    HAK_FRONT_HELD,   /* by its thread */
    HAK_FRONT_LEFT,   /* without being emptied */
    HAK_FRONT_ENDED,  /* given back empty, or about to be */
    HAK_FRONT_VACANT, /* kept with its objects for another thread (front/vacant.h) */
};

struct hak_front {
    struct hak_chain loaded[HAK_CLASS_COUNT];
    uint32_t home;                     /* id of the shard: objects of another are foreign */
    uint32_t sequence;                 /* ordinal of the thread in the process */
    uint64_t near;                     /* begin of the 4 GiB of the last free, and */
    const uint32_t *leaf;              /* their leaf of the page map; see hak_front_knows */
    int64_t to_sample;                 /* of a thread's front, while the heap profile counts: bytes
                                          to pop before the next sample; < 0: it has not begun */
    uint32_t refused[HAK_CLASS_COUNT]; /* hak_magazine_refused of each class */
    struct hak_shard *shard;
    struct hak_shard *pinned; /* the shard that the thread asked for, or NULL */
    struct hak_chain foreign[HAK_CLASS_COUNT];
    struct hak_chain spare[HAK_CLASS_COUNT];
    uint16_t fill[HAK_CLASS_COUNT];  /* objects a refill takes out of slabs (P1) */
    uint8_t missed[HAK_CLASS_COUNT]; /* 1: refilled since the last tick */
    uint32_t spare_bytes;            /* in spare magazines, bounded by HAK_FRONT_SPARE_BYTES */
    uint32_t slow_calls;             /* since the clock was read */
    uint32_t wishes_seen;            /* of hak_front_wishes */
    uint64_t last_tick_ns;
    /* What others read and write as they go through the list: on lines of its own. */
    struct hak_front *next /* all fronts, or the free ones; under the list's lock */
        __attribute__((aligned(HAK_CACHE_LINE)));
    struct hak_front *previous;
    struct hak_front *ended_next; /* given back by their threads, in the list still */
    uint32_t generation;          /* number of forks before its thread */
    uint32_t left;                /* what became of its thread: enum hak_front_left; atomic */
    uint32_t asked;               /* 1: somebody asks whether it has lost its thread; atomic */
    uint32_t taken_apart;         /* classes taken apart, once it has no thread */
    struct hak_owner owner;
    struct hak_chain seen[HAK_CLASS_COUNT] /* `loaded` at the last tick, */
        __attribute__((aligned(HAK_CACHE_LINE)));
    uint8_t unchanged[HAK_CLASS_COUNT];     /* and how many ticks it had not changed */
    size_t swept_at;                        /* bytes of slabs made by the last sweep, and then */
    uint32_t swept[HAK_FRONT_MID_CLASSES];  /* each mid class's magazines, as a digest */
    uint16_t paused_calls[HAK_CLASS_COUNT]; /* of a paused class, since the last tick */
    uint32_t watches;                       /* paused classes with such calls (pause.h) */
} __attribute__((aligned(HAK_CACHE_LINE)));

/* The highest 4 GiB, which are the kernel's, so no object is there. */
#define HAK_FRONT_NOWHERE (UINT64_MAX << HAK_PAGE_LEAF_SHIFT)

enum {
    HAK_FRONT_SPARE_BYTES = 2 * 1024 * 1024,
    HAK_FRONT_IDLE_TICKS = 2, /* without use, then a loaded magazine goes back */
    /* The word of `loaded` in a paused class: neither object nor room (front/pause.h). */
    HAK_FRONT_PAUSED = HAK_MAGAZINE_OVERFULL,
};

/* Pops an object of the class; NULL if there is none. A magazine with a broken link stays as it is,
 * for hak_front_refill. */
static inline void *hak_front_pop(struct hak_front *front, unsigned class_id)
{
    struct hak_chain chain = front->loaded[class_id];
    void *object = hak_chain_top(chain);
    if (hak_likely(object != NULL)) {
        struct hak_chain below = hak_link_read(object);
        if (hak_unlikely(!hak_link_has_room(chain, below)))
            return NULL;
        front->loaded[class_id] = below;
    }
    return object;
}

/* The shard that the front is attached to, and its id. Written by the front's thread, and by the
 * thread that places shards. They may differ for a moment: the id only selects the magazine of an
 * object. */
static inline struct hak_shard *hak_front_shard(const struct hak_front *front)
{
    /* acquire: pairs with the release in hak_front_attach; the shard is built when seen */
    return __atomic_load_n(&front->shard, __ATOMIC_ACQUIRE);
}

static inline unsigned hak_front_home(const struct hak_front *front)
{
    /* relaxed; a plain load is the same, and can be part of the comparison */
    return HAK_THREAD_SANITIZER ? __atomic_load_n(&front->home, __ATOMIC_RELAXED) : front->home;
}

/* Whether the address lies in the 4 GiB whose leaf of the page map the front remembers; most heaps
 * lie within a few such. This saves a load that depends on the address, 4 % of larson: whether an
 * object is foreign is often mispredicted, and should be known early. */
static inline bool hak_front_knows(const struct hak_front *front, const void *address)
{
    return ((uintptr_t)address - front->near) >> HAK_PAGE_SHIFT < HAK_PAGE_LEAF_ENTRIES;
}

/* The page map's entry of an address that the front knows. */
static inline uint32_t hak_front_entry(const struct hak_front *front, const void *address)
{
    uint64_t page = ((uintptr_t)address - front->near) >> HAK_PAGE_SHIFT;
    return __atomic_load_n(&front->leaf[page], __ATOMIC_RELAXED); /* relaxed: as the map's */
}

/* Remembers the leaf of an object of ours. */
static inline void hak_front_remember(struct hak_front *front, const void *object)
{
    front->near = (uintptr_t)object >> HAK_PAGE_LEAF_SHIFT << HAK_PAGE_LEAF_SHIFT;
    front->leaf = hak_page_leaf(object);
}

/* Makes the spare magazine the loaded one, if that is empty, and pops from it. NULL if there is no
 * spare one; also if `loaded` is not empty, the class is paused, or the spare's link is broken, for
 * hak_front_refill. */
static inline void *hak_front_pop_spare(struct hak_front *front, unsigned class_id)
{
    struct hak_chain chain = front->spare[class_id];
    void *object = hak_chain_top(chain);
    if (object == NULL || front->loaded[class_id].word >= HAK_FRONT_PAUSED)
        return NULL;
    struct hak_chain below = hak_link_read(object);
    if (hak_unlikely(!hak_link_is_sound(chain, below)))
        return NULL;
    front->spare[class_id] = hak_magazine_empty(class_id);
    front->spare_bytes -= hak_magazine_bytes(class_id);
    /* release, to the compiler alone: if another thread forks in between, its child loses a chain
     * that is in no magazine, but would hand out twice a chain that is in two. */
    __atomic_signal_fence(__ATOMIC_RELEASE);
    front->loaded[class_id] = below;
    return object;
}

/* Whether the front serves the class: the magazines of a closed class have neither object nor room,
 * as those of class 0. */
static inline bool hak_front_is_open(const struct hak_front *front, unsigned class_id)
{
    return front->loaded[class_id].word != 0;
}

/* Whether the object lies on top of a magazine of the front's: of the loaded one if it was freed
 * just before, of the other one if the class is paused since. */
static inline bool hak_front_has_on_top(const struct hak_front *front, unsigned class_id,
                                        const void *object)
{
    /* relaxed: a CPU's front changes meanwhile, but not with an object that is the caller's */
    uint64_t word = __atomic_load_n(&front->loaded[class_id].word, __ATOMIC_RELAXED);
    uint64_t spare = __atomic_load_n(&front->spare[class_id].word, __ATOMIC_RELAXED);
    return hak_chain_top((struct hak_chain){word}) == object ||
           hak_chain_top((struct hak_chain){spare}) == object;
}

/* An object that `loaded` did not take, or that is of another shard (`entry` is its page's):
 * whether there is room behind. Class 0 never has room, nor has a closed one. False also for what
 * hak_magazine_put refuses. */
static inline bool hak_front_push_behind(struct hak_front *front, uint32_t entry, void *object)
{
    unsigned class_id = (uint8_t)entry;
    uint32_t refused = front->refused[class_id];
    if (entry >> 16 != hak_front_home(front))
        return hak_magazine_put(&front->foreign[class_id], object, refused);
    /* There is room if the front changed its shard after the caller read it. */
    if (hak_unlikely(hak_magazine_put(&front->loaded[class_id], object, refused)))
        return true;
    struct hak_chain full = front->loaded[class_id];
    if (hak_chain_room(full) != 0 || hak_chain_is_empty(full) || hak_chain_top(full) == object ||
        !hak_chain_is_empty(front->spare[class_id]) ||
        front->spare_bytes + hak_magazine_bytes(class_id) > HAK_FRONT_SPARE_BYTES)
        return false;
    front->loaded[class_id] = hak_magazine_empty(class_id);
    __atomic_signal_fence(__ATOMIC_RELEASE); /* as in hak_front_pop_spare */
    front->spare[class_id] = full;
    front->spare_bytes += hak_magazine_bytes(class_id);
    return hak_magazine_put(&front->loaded[class_id], object, refused);
}

/* ---- front.c --------------------------------------------------------------------------------- */

/* Makes the memory of a front an empty one that is attached to a shard; in no list. */
void hak_front_init(struct hak_front *front, unsigned sequence, struct hak_shard *shard);

/* Lets refills take as little as at first. By the front's own thread. */
void hak_front_reset_fill(struct hak_front *front);

/* Attaches a front to a shard. */
void hak_front_attach(struct hak_front *front, struct hak_shard *shard);

/* Bytes of the objects that the front holds, a moment ago: read while its thread goes on. */
size_t hak_front_bytes(const struct hak_front *front);
size_t hak_front_bytes_of_class(const struct hak_front *front, unsigned class_id);

/* How often memory was short, or trimmed, so far: a front that sees another number gives back all
 * it holds. Written by heap/reclaim.c and heap/purge.c; relaxed. */
extern uint32_t hak_front_wishes;

/* Objects in fronts, by shard and class; may be a moment old: a row of HAK_CLASS_COUNT numbers for
 * each shard, by its id. */
struct hak_front_rows {
    uint32_t *objects;
    unsigned shards; /* rows for ids 1 .. shards, and one that is never read */
    unsigned fronts; /* threads' fronts, */
    unsigned unseen; /* and how many of them were left out */
    size_t bytes;
};

/* Adds a front to figures. */
void hak_front_rows_add(struct hak_front_rows *rows, const struct hak_front *front);

#endif
