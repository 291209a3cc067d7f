/* SPDX-License-Identifier: MIT */
/* The calling thread's fronts of heaps that the program made (heap/own_front.h): made at the first
 * slow call on such a heap, given back at the thread's end. Any thread. */
#ifndef HAK_API_OWN_FRONTS_H
#define HAK_API_OWN_FRONTS_H

#include "heap/own_front.h"
#include "heap/own_heap.h"
#include "os/compiler.h"

/* The seat of the front that the thread used last. Never NULL: the fast paths do not test for
 * that. */
extern HAK_HIDDEN HAK_TLS struct hak_own_seat *hak_thread_seat;

/* Whether heaps may have fronts: all threads can be kept out of them, and given them back; and no
 * call must be checked or counted for a profile, which the fronts would serve first. Called before
 * a heap with fronts is made. */
bool hak_thread_heap_fronts_are_possible(void);

/* The thread's front of a heap that may have any, made now if necessary; it is the next one that
 * the fast path looks at. NULL: there is none. */
HAK_COLD struct hak_own_front *hak_thread_make_heap_front(struct hak_own_heap *heap);

/* Gives a thread without fronts a seat that fewer others write to. */
HAK_COLD void hak_thread_take_seat(void);

/* The same for any heap. */
static inline struct hak_own_front *hak_thread_heap_front(struct hak_own_heap *heap)
{
    if (hak_likely(hak_own_heap_slot(heap) < 0)) {
        if (hak_unlikely(hak_thread_seat == &hak_own_nobody[0]))
            hak_thread_take_seat();
        return NULL;
    }
    return hak_thread_make_heap_front(heap);
}

/* The same if it exists and serves the shard, which the caller is inside of. The fast path looks at
 * another one next. */
static inline struct hak_own_front *hak_thread_heap_front_for(const struct hak_own_shard *shard)
{
    struct hak_own_thread *thread = hak_thread_seat->thread;
    int32_t slot = hak_own_heap_slot(shard->heap);
    if (slot < 0 || thread == NULL)
        return NULL;
    struct hak_own_front *front = thread->fronts[slot];
    return front != NULL && hak_own_front_serves(front, shard) ? front : NULL;
}

/* Empties the thread's fronts; of the heap, if that is not NULL. */
void hak_thread_flush_heap_fronts(const struct hak_own_heap *heap);

/* In the child of a fork. */
void hak_thread_heap_fronts_after_fork(void);

/* Called when the library is unloaded: no later end of a thread calls it. */
void hak_thread_heap_fronts_stop(void);

#endif
