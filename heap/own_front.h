/* SPDX-License-Identifier: MIT */
/* Fronts of heaps that the program made (own_heap.h), for those that ask for them: a thread's own
 * stock of free objects of one heap, up to 1 KiB each. It has what the default heap's front has
 * (front/front.h), one magazine for each class, but none behind and none for foreign objects: those
 * go to their slabs.
 *
 *   thread (api/own_fronts.h)         heap (own_heap.h)
 *     seat -----.                       fronts: a list of all its fronts
 *     fronts[8] -+-> front  <------------'
 *                      seat: the heap it serves now; inside
 *
 * A thread has at most one front at each of eight slots, and a heap has a slot: of two heaps that
 * share one, the thread's later one has no front there. The thread's seat is that of the heap it
 * called last, so the fast path is one comparison.
 *
 * The end of a heap must not meet a thread in the fast path, whose memory it unmaps:
 *
 *     fast path   inside = 1, then look at seat.heap or seat.home; at the end inside = 0
 *     end         seat.heap, seat.home = none, then a barrier for all threads (os/fence.h),
 *                 then wait until inside is 0
 *
 * Slow calls are inside a shard, as all calls are; the end first waits for these. What a front
 * still holds goes with the heap.
 *
 * Bounds: HAK_OWN_FRONTS_MAX fronts at once; a magazine holds HAK_OWN_FRONT_BYTES, or 8 objects,
 * and at most 32: 190 KiB if all are full. A front that its thread cannot give back (another thread
 * forks) is an orphan, as are those of other threads in the child of a fork; who purges the heap
 * empties it. */
#ifndef HAK_HEAP_OWN_FRONT_H
#define HAK_HEAP_OWN_FRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heap/own_shard.h"
#include "os/compiler.h"
#include "shard/magazine.h"
#include "tiers/page_map.h"
#include "tiers/size_class.h"

enum {
    HAK_OWN_FRONT_SLOTS = 8, /* fronts of a thread */
    HAK_OWN_FRONTS_MAX = 8192,
    HAK_OWN_FRONT_BYTES = 8192, /* of the objects in a magazine, within */
    HAK_OWN_FRONT_LEAST = 8,    /* objects, and */
    HAK_OWN_FRONT_MOST = 32,
    HAK_OWN_FRONT_CLASSES = HAK_CLASS_TINY_LAST + 1,
    HAK_OWN_FRONT_NOBODIES = 16,
    HAK_OWN_FRONT_NO_HOME = 1 << 8, /* differs from all homes, also from that of other addresses */
};

/* As HAK_FRONT_NOWHERE: no object is there. */
#define HAK_OWN_FRONT_NOWHERE (UINT64_MAX << HAK_PAGE_LEAF_SHIFT)

struct hak_own_heap;
struct hak_own_thread;

/* What the fast path looks at first. */
struct hak_own_seat {
    const struct hak_own_heap *heap; /* whose front this is; else not any heap's address: atomic */
    uint32_t inside;                 /* 1: its thread is in the fast path; atomic */
    uint32_t home;                   /* as in the page map's entries of small objects of its shard
                      (hak_own_front_home), while it is a front; atomic */
    uint64_t near;                   /* as in struct hak_front */
    const uint32_t *leaf;            /* as there */
    struct hak_own_thread *thread;   /* whose; NULL: nobody's */
} __attribute__((aligned(HAK_CACHE_LINE)));

struct hak_own_front {
    union {
        struct {
            struct hak_own_seat seat;
            uint32_t refused[HAK_OWN_FRONT_CLASSES]; /* hak_magazine_refused of each class */
            uint8_t kind_of[HAK_TINY_MAX / HAK_CLASS_STEP + 1]; /* the kind of a size's pages */
            uint8_t fill[HAK_OWN_FRONT_CLASSES]; /* objects that the next refill takes */
            uint32_t wishes_seen;                /* of the heap's */
            struct hak_own_shard *shard;         /* that its objects belong to */
            /* In whose list it is; NULL: in none. Under the lock; its thread reads it without. */
            struct hak_own_heap *heap;
            struct hak_own_fronts *list;
            struct hak_own_front *next; /* there, or of the unused; under the lock, as the rest */
            struct hak_own_front *previous;
            struct hak_own_front *older; /* of all that were ever made; constant */
            uint32_t forks;              /* number of forks before its thread */
            uint32_t is_orphan;          /* atomic */
            uint32_t is_used;            /* 1: by a thread, or an orphan; under the lock */
        };
        /* So much that the kind of an object's page, HAK_PAGE_OWN_TINY and its class, is the index
         * of its magazine from the front's beginning: that saves the fast path an addition. */
        struct hak_chain before[HAK_PAGE_OWN_TINY];
    };
    struct hak_chain loaded[HAK_OWN_FRONT_CLASSES];
};

/* A front as an array, for that index. */
struct hak_own_front_words {
    struct hak_chain at[HAK_PAGE_OWN_TINY + HAK_OWN_FRONT_CLASSES];
};

/* A thread that uses heaps with fronts. */
struct hak_own_thread {
    struct hak_own_seat none;                          /* the thread's seat while no front is */
    struct hak_own_front *fronts[HAK_OWN_FRONT_SLOTS]; /* by the slot of a heap */
    struct hak_own_thread *next;                       /* of the unused; under the lock */
    struct hak_own_thread *older;                      /* of all; constant */
    uint32_t forks;                                    /* as a front's */
    uint32_t is_left;                                  /* 1: its thread is gone; atomic */
    uint32_t is_used;                                  /* 1: a thread's; under the lock */
};

/* Seats of threads without fronts: several, since each fast path writes to its thread's. */
extern HAK_HIDDEN struct hak_own_seat hak_own_nobody[HAK_OWN_FRONT_NOBODIES];

/* ---- the fast path --------------------------------------------------------------------------- */

/* Where a page's entry has the class. */
enum { HAK_OWN_FRONT_CLASS_BITS = (HAK_PAGE_OWN_TINY - 1) << 8 };

static inline uint32_t hak_own_front_home(uint16_t number)
{
    return hak_page_pack(0, HAK_PAGE_OWN_TINY, number);
}

/* The magazine for objects of pages of a kind. */
static inline struct hak_chain *hak_own_front_magazine(struct hak_own_front *front, unsigned kind)
{
    return &((struct hak_own_front_words *)front)->at[kind];
}

/* Enters the fast path. */
static inline void hak_own_seat_enter(struct hak_own_seat *seat)
{
    /* relaxed and to the compiler alone: the end's barrier orders them in this thread. Pairs with
     * the store and the load in hak_own_fronts_close. */
    __atomic_store_n(&seat->inside, 1, __ATOMIC_RELAXED);
    if (HAK_THREAD_SANITIZER)
        __atomic_thread_fence(__ATOMIC_SEQ_CST); /* seq_cst: it knows no such barrier */
    else
        __atomic_signal_fence(__ATOMIC_SEQ_CST); /* seq_cst: no instruction */
}

/* Whether the seat, entered, is a front of the heap. */
static inline bool hak_own_seat_is_of(const struct hak_own_seat *seat,
                                      const struct hak_own_heap *heap)
{
    /* relaxed, here and below: see above; a plain load is the same, and part of the comparison */
    return (HAK_THREAD_SANITIZER ? __atomic_load_n(&seat->heap, __ATOMIC_RELAXED) : seat->heap) ==
           heap;
}

static inline uint32_t hak_own_seat_home(const struct hak_own_seat *seat)
{
    return HAK_THREAD_SANITIZER ? __atomic_load_n(&seat->home, __ATOMIC_RELAXED) : seat->home;
}

static inline void hak_own_seat_leave(struct hak_own_seat *seat)
{
    /* release: pairs with the load in hak_own_fronts_are_empty, which sees what was done inside */
    __atomic_store_n(&seat->inside, 0, __ATOMIC_RELEASE);
}

static inline struct hak_own_front *hak_own_front_of(struct hak_own_seat *seat)
{
    return (struct hak_own_front *)seat;
}

/* Pops an object; NULL: the magazine is empty, or its top object's link is broken. */
static inline void *hak_own_front_pop(struct hak_chain *magazine)
{
    struct hak_chain chain = *magazine;
    void *object = hak_chain_top(chain);
    if (hak_likely(object != NULL)) {
        struct hak_chain below = hak_link_read(object);
        if (hak_unlikely(!hak_link_has_room(chain, below)))
            return NULL;
        *magazine = below;
    }
    return object;
}

/* An object of at least `size` bytes, at most HAK_TINY_MAX, from the thread's front of the heap;
 * NULL: by the slow path. */
static inline void *hak_own_quick_take(struct hak_own_seat *seat, const struct hak_own_heap *heap,
                                       size_t size)
{
    struct hak_own_front *front = hak_own_front_of(seat);
    void *object = NULL;
    hak_own_seat_enter(seat);
    if (hak_likely(hak_own_seat_is_of(seat, heap))) {
        unsigned kind = front->kind_of[(size + HAK_CLASS_STEP - 1) / HAK_CLASS_STEP];
        object = hak_own_front_pop(hak_own_front_magazine(front, kind));
    }
    hak_own_seat_leave(seat);
    return object;
}

static inline bool hak_own_front_push(struct hak_own_seat *seat, void *object)
{
    struct hak_own_front *front = hak_own_front_of(seat);
    uint64_t page = ((uintptr_t)object - seat->near) >> HAK_PAGE_SHIFT;
    /* relaxed: as in the page map */
    uint32_t entry = hak_likely(page < HAK_PAGE_LEAF_ENTRIES)
                         ? __atomic_load_n(&seat->leaf[page], __ATOMIC_RELAXED)
                         : hak_page_entry(object);
    if (hak_unlikely((entry & ~(uint32_t)HAK_OWN_FRONT_CLASS_BITS) != hak_own_seat_home(seat)))
        return false;
    unsigned kind = (uint8_t)(entry >> 8);
    return hak_magazine_put(hak_own_front_magazine(front, kind), object,
                            front->refused[(size_t)kind - HAK_PAGE_OWN_TINY]);
}

/* Whether the thread's front took the object. It takes only what belongs to its shard, so the
 * caller need not say which heap. */
static inline bool hak_own_quick_give(struct hak_own_seat *seat, void *object)
{
    hak_own_seat_enter(seat);
    bool is_given = hak_own_front_push(seat, object);
    hak_own_seat_leave(seat);
    return is_given;
}

/* ---- slow calls, inside a section; those with a shard, inside that --------------------------- */

/* A thread without fronts, and its front for a slot, which serves no heap yet. NULL: no memory, or
 * too many. */
struct hak_own_thread *hak_own_thread_make(void);
struct hak_own_front *hak_own_front_make(struct hak_own_thread *thread, unsigned slot);

/* The thread is what hak_own_fronts_start_child gets from now on: if a handler of the caller has
 * forked since it was made, the child would take it for another thread's, and use it again. */
void hak_own_thread_begin(struct hak_own_thread *thread);

/* Takes an object of a class up to HAK_CLASS_TINY_LAST, and a few more for the next calls. If the
 * front served no heap it serves the shard's from now on. NULL: no memory. */
void *hak_own_front_take(struct hak_own_front *front, struct hak_own_shard *shard,
                         unsigned class_id);

/* Whether the front serves the shard: then it may be given the shard's objects. */
static inline bool hak_own_front_serves(const struct hak_own_front *front,
                                        const struct hak_own_shard *shard)
{
    /* relaxed: its thread asks, inside the shard: it does not change meanwhile */
    return __atomic_load_n(&front->heap, __ATOMIC_RELAXED) == shard->heap && front->shard == shard;
}

/* Gives an object of the shard that it serves, whose page is `page`. */
enum hak_own_object hak_own_front_give(struct hak_own_front *front, struct hak_own_shard *shard,
                                       void *object, struct hak_page page);

/* Whether the front, which serves the object's shard, got it by the last free of its class. */
bool hak_own_front_has_on_top(const struct hak_own_front *front, const void *object,
                              struct hak_page page);

/* Gives all that the front holds back to the slabs. Outside shards. */
void hak_own_front_flush(struct hak_own_front *front);

/* Gives back all that a thread has, at its end. */
void hak_own_thread_end(struct hak_own_thread *thread);

/* Where no section can be entered at its end: leaves its fronts to who purges their heaps. */
void hak_own_thread_leave(struct hak_own_thread *thread);

/* Empties the shard's orphans, and gives them back. */
void hak_own_fronts_adopt(struct hak_own_shard *shard);

/* In the child of a fork: the calling thread's fronts are the only ones with a thread. */
void hak_own_fronts_start_child(struct hak_own_thread *mine);

/* Bytes of objects in all fronts of a heap, a moment ago. */
size_t hak_own_fronts_bytes(const struct hak_own_fronts *list);

/* ---- the end of a heap ----------------------------------------------------------------------- */

/* Lets no fast path begin, of a heap whose shards are closed and empty; false: there is no barrier
 * for that. hak_own_fronts_open takes it back. Outside sections. */
bool hak_own_fronts_close(struct hak_own_fronts *list);
void hak_own_fronts_open(struct hak_own_fronts *list);

/* Whether no thread is in the fast path any more. */
bool hak_own_fronts_are_empty(const struct hak_own_fronts *list);

/* Takes all fronts from the heap, with what they hold. Inside a section. */
void hak_own_fronts_end(struct hak_own_fronts *list);

#endif
