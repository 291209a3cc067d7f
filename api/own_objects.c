/* SPDX-License-Identifier: MIT */
/* Objects of heaps that the program made, whichever function frees them. A page of such a heap is
 * class 0, which no front serves, so free and realloc come here by the branch that large memory
 * takes. The page map leads to the shard. Any thread. */
#include "api/own_objects.h"

#include "api/misuse.h"
#include "api/own_fronts.h"
#include "api/profiler.h"
#include "heap/own_heap.h"

void hak_owned_misused(const char *function, const void *object, enum hak_own_object what)
{
    if (what == HAK_OWN_INTERIOR)
        hak_misuse(function, object, HAK_MISUSE_INTERIOR);
    else
        hak_misuse(function, object,
                   hak_owned_knows(object) ? HAK_MISUSE_FREED : HAK_MISUSE_FOREIGN);
}

/* Whether the page belongs to a heap that is being destroyed. Its objects go with it, so a free at
 * this moment is no fault. relaxed: the page map still leads to the shard, whose heap does not
 * change */
static bool goes_with_its_heap(struct hak_page page)
{
    if (!hak_page_is_own(page))
        return false;
    const struct hak_own_heap *heap =
        __atomic_load_n(&hak_own_shards[page.home]->heap, __ATOMIC_RELAXED);
    return heap != NULL && !hak_own_heap_is_live(heap);
}

/* free looks into the thread's front for what was just freed, but puts nothing there. */
static enum hak_own_object give_inside(const struct hak_own_heap *heap, struct hak_own_shard *shard,
                                       void *object, struct hak_page page)
{
    struct hak_own_front *front = hak_thread_heap_front_for(shard);
    if (hak_unlikely(heap != NULL && shard->heap != heap))
        return HAK_OWN_ELSEWHERE;
    if (front == NULL)
        return hak_own_shard_give(shard, object, page);
    if (hak_own_front_has_on_top(front, object, page))
        return HAK_OWN_FREE;
    if (heap == NULL)
        return hak_own_shard_give(shard, object, page);
    hak_thread_seat = &front->seat;
    return hak_own_front_give(front, shard, object, page);
}

/* If a fork lasts too long, the object stays until the end of its heap. */
static enum hak_own_object give(struct hak_own_heap *heap, void *object)
{
    enum hak_own_object what = HAK_OWN_FREE;
    struct hak_page page;
    if (hak_unlikely(!hak_owned_enter()))
        return HAK_OWN_LIVE;
    struct hak_own_shard *shard = hak_own_shard_enter_of(object, &page);
    if (hak_likely(shard != NULL)) {
        what = give_inside(heap, shard, object, page);
        hak_own_shard_visit(shard);
        hak_own_shard_leave(shard);
    } else if (goes_with_its_heap(page)) {
        what = HAK_OWN_LIVE;
    }
    hak_section_leave();
    return what;
}

/* The profile must let go of it first: given back, it may be another thread's at once. */
enum hak_own_object hak_owned_give(struct hak_own_heap *heap, void *object)
{
    uint32_t noted = hak_profiler_hold(object);
    enum hak_own_object what = give(heap, object);
    if (hak_unlikely(noted != 0))
        hak_profiler_settle(noted, what == HAK_OWN_LIVE);
    return what;
}

void hak_owned_release(void *object)
{
    enum hak_own_object what = hak_owned_give(NULL, object);
    if (hak_unlikely(what != HAK_OWN_LIVE))
        hak_owned_misused("free", object, what);
}

/* The caller holds the object, so it and its heap stay meanwhile. For any other address the result
 * is 0, or the size that an object there would have. */
size_t hak_owned_usable_size(const void *object)
{
    struct hak_page page = hak_page_find(object);
    if (!hak_page_is_own(page))
        return 0;
    return hak_own_shard_size(object, page);
}

int hak_owned_place_of(const void *object, int *node)
{
    struct hak_page page = hak_page_find(object);
    if (!hak_page_is_own(page) || hak_owned_usable_size(object) == 0)
        return -1;
    const struct hak_own_shard *shard = hak_own_shards[page.home];
    *node = hak_region_source_node(&shard->source);
    if (*node < 0 && shard->heap->terms.chooses_nodes)
        *node = HAK_NODE_SPREAD;
    return (int)hak_own_heap_index(shard->heap, shard);
}
