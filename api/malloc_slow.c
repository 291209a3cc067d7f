/* SPDX-License-Identifier: MIT */
/* The slow paths of malloc and free. Any thread, before, during and after start-up.
 *
 *   hak_malloc_from_heap        errno
 *     hak_allocate
 *       small   front            its own, or made now; refill (front/exchange.c)
 *               the CPU's front  where fronts are kept per CPU; the same code
 *               without a front  one object out of the shard's slabs, under the bin's lock
 *       large   the shard's runs (tiers/large.c)
 *       whale   a mapping of its own (tiers/whale.c)
 *   hak_free_slow
 *     hak_release
 *       small   at home: push, or overflow (front/exchange.c); foreign: to a foreign magazine
 *               without a front: into its slab
 *       large, whale, or hak_misuse
 *
 * A call that needs more than the thread's or the CPU's front enters the heap; while another thread
 * forks it is served beside the heap instead (heap/beside.h).
 *
 * A thread has no front before its first call, while its front is made (which may allocate) and
 * after its last destructor. */
#include "api/malloc_slow.h"

#include <errno.h>
#include <stdint.h>

#include "api/crowd.h"
#include "api/doubt.h"
#include "api/misuse.h"
#include "api/own_objects.h"
#include "api/profiler.h"
#include "api/publish.h"
#include "api/threads.h"
#include "api/wake.h"
#include "front/exchange.h"
#include "front/front.h"
#include "front/front_cpu.h"
#include "front/front_shared.h"
#include "front/fronts.h"
#include "front/pause.h"
#include "heap/beside.h"
#include "heap/heap.h"
#include "heap/purge.h"
#include "heap/reclaim.h"
#include "heap/tick.h"
#include "shard/give.h"
#include "shard/refill.h"
#include "tiers/empty.h"
#include "tiers/headroom.h"

static const size_t ADDRESSES = (size_t)1 << 48; /* bytes */

/* ---- small: with and without a front --------------------------------------------------------- */

static struct hak_shard *shard_here(void)
{
    const struct hak_front *front = hak_mine_front();
    if (front != NULL && hak_unlikely(front->pinned != NULL))
        return front->pinned;
    return hak_heap_shard_here(hak_heap_default());
}

static void *small_without_front(unsigned class_id)
{
    struct hak_shard *shard = shard_here();
    struct hak_pool *pool = hak_shard_pool(shard, class_id);
    struct hak_chain chain = hak_magazine_empty(class_id);
    hak_count(&shard->counters, HAK_COUNTER_FRONT_FALLBACKS, 1);
    if (hak_pool_take(pool, class_id, 1, &chain) == 0)
        hak_pool_take_fresh(pool, class_id, 1, &chain);
    void *object = hak_chain_top(chain);
    if (object != NULL)
        hak_link_erase(object);
    return object;
}

static void *beside(size_t size, size_t alignment, enum hak_zero zero)
{
    bool is_zero;
    void *object = hak_beside_take(shard_here(), size, alignment, &is_zero);
    if (object != NULL && zero == HAK_ZERO_YES && !is_zero)
        __builtin_memset(object, 0, size);
    return object;
}

/* The thread's front, if it serves the class. */
static struct hak_front *front_for(unsigned class_id)
{
    struct hak_front *front = hak_thread_front();
    if (front != NULL && !hak_front_is_open(front, class_id) && !hak_front_reopen(front))
        return NULL;
    return front;
}

/* Pops an object from the front of the thread or CPU; NULL if it has none. */
static void *small_at_hand(struct hak_front *front, unsigned class_id)
{
    if (front != NULL) {
        void *object = hak_front_pop(front, class_id);
        return object != NULL ? object : hak_front_pop_spare(front, class_id);
    }
    return hak_thread_may_use_cpu_front() ? hak_cpu_pop(class_id, HAK_CPU_TRIES) : NULL;
}

static void *small_of_crowd(unsigned class_id)
{
    struct hak_front *shared = hak_crowd_front();
    if (shared == NULL)
        return small_without_front(class_id);
    void *object = hak_front_pop(shared, class_id);
    if (object == NULL) {
        hak_heap_visit_for_class(hak_heap_default(), shared, class_id);
        object = hak_front_refill(shared, class_id);
    }
    hak_shared_front_put(shared);
    return object;
}

static void *small_from_heap(struct hak_front *front, unsigned class_id)
{
    if (front == HAK_FRONT_OF_CPU && !hak_thread_may_use_cpu_front())
        return small_of_crowd(class_id);
    hak_heap_visit_for_class(hak_heap_default(), front, class_id);
    return hak_front_refill(front, class_id);
}

static void *small(unsigned class_id, size_t size, size_t alignment)
{
    struct hak_front *front = front_for(class_id);
    void *object = small_at_hand(front, class_id);
    if (object != NULL)
        return object;
    if (hak_unlikely(!hak_heap_enter())) {
        object = hak_pause_ends_beside(front, class_id) ? small_at_hand(front, class_id) : NULL;
        return object != NULL ? object : beside(size, alignment, HAK_ZERO_NO);
    }
    object = small_from_heap(front, class_id);
    hak_publish_leave_heap();
    if (front == NULL)
        hak_thread_earn_front();
    return object;
}

static void release_small_without_front(void *object, struct hak_page page)
{
    struct hak_chain chain = hak_magazine_empty(page.class_id);
    hak_magazine_push(&chain, object);
    hak_shard_give_to_slabs(page.class_id, chain);
}

/* Pushes an object to the front of the thread or CPU; false if that has no room. */
static bool put_at_hand(struct hak_front *front, void *object, struct hak_page page)
{
    uint32_t entry = hak_page_pack(page.class_id, page.offset, page.home);
    if (front != NULL)
        return (page.home == hak_front_home(front) &&
                hak_magazine_put(&front->loaded[page.class_id], object,
                                 front->refused[page.class_id])) ||
               hak_front_push_behind(front, entry, object);
    if (!hak_thread_may_use_cpu_front())
        return false;
    enum hak_cpu_push pushed = hak_cpu_push(page.class_id, page.home, object, HAK_CPU_TRIES);
    if (pushed == HAK_CPU_FOREIGN)
        pushed = hak_cpu_push_at(hak_slot_foreign(page.class_id), object, HAK_CPU_TRIES);
    return pushed == HAK_CPU_PUSHED;
}

static bool is_foreign(const struct hak_front *front, struct hak_page page)
{
    if (front == NULL)
        front = hak_cpu_front_here();
    return page.home != hak_front_home(front);
}

static void give_slowly(struct hak_front *front, void *object, struct hak_page page)
{
    hak_heap_visit_for_class(hak_heap_default(), front, page.class_id);
    if (is_foreign(front, page))
        hak_front_give_foreign(front, page.class_id, object);
    else
        hak_front_overflow(front, page.class_id, object);
}

static void release_small_of_crowd(void *object, struct hak_page page)
{
    struct hak_front *shared = hak_crowd_front();
    if (shared == NULL) {
        release_small_without_front(object, page);
        return;
    }
    if (!put_at_hand(shared, object, page))
        give_slowly(shared, object, page);
    hak_shared_front_put(shared);
}

static void release_small_to_heap(struct hak_front *front, void *object, struct hak_page page)
{
    if (front == HAK_FRONT_OF_CPU && !hak_thread_may_use_cpu_front())
        release_small_of_crowd(object, page);
    else
        give_slowly(front, object, page);
}

/* While another thread forks: posts a full magazine to the inbox of the front's shard, which takes
 * no lock; or, without a front, a single object to the inbox of its home. */
static void release_small_beside(struct hak_front *front, void *object, struct hak_page page)
{
    struct hak_shard *shard = hak_shard_of_id(page.home);
    struct hak_chain chain = hak_magazine_empty(page.class_id);
    hak_magazine_push(&chain, object);
    if (front != NULL) {
        struct hak_chain *magazine = is_foreign(front, page) ? &front->foreign[page.class_id]
                                                             : &front->loaded[page.class_id];
        struct hak_chain full = *magazine;
        *magazine = chain;
        __atomic_signal_fence(__ATOMIC_RELEASE); /* as in hak_front_pop_spare */
        chain = full;
        shard = hak_front_shard(front);
    }
    if (!hak_chain_is_empty(chain) && shard != NULL)
        hak_shard_post_beside(shard, page.class_id, chain);
}

static void release_small(void *object, struct hak_page page)
{
    struct hak_front *front = front_for(page.class_id);
    if (hak_unlikely(!hak_slab_begins(object, page))) {
        hak_misuse("free", object, HAK_MISUSE_INTERIOR);
        return;
    }
    if (hak_unlikely(hak_doubt_at_hand(front, page.class_id, object))) {
        hak_misuse("free", object, HAK_MISUSE_FREED);
        return;
    }
    hak_doubt_clear(object, hak_classes[page.class_id].size);
    if (put_at_hand(front, object, page))
        return;
    if (hak_unlikely(!hak_heap_enter())) {
        if (!hak_pause_ends_beside(front, page.class_id) || !put_at_hand(front, object, page))
            release_small_beside(front, object, page);
        return;
    }
    release_small_to_heap(front, object, page);
    hak_publish_leave_heap();
}

/* ---- large and whales ----------------------------------------------------------------------- */

struct request {
    size_t size;
    size_t alignment;
    size_t runs_most; /* larger objects are whales */
    enum hak_zero zero;
    unsigned class_id; /* HAK_CLASS_NONE: large, or a whale */
};

/* A pinned thread gets memory of its shard only. */
static void *take_large(struct hak_shard *shard, const struct request *request)
{
    const struct hak_front *front = hak_mine_front();
    struct hak_heap *heap = hak_heap_default();
    size_t size = request->size;
    size_t alignment = request->alignment;
    if (size > request->runs_most || alignment > HAK_LARGE_ALIGNMENT_MAX)
        return hak_whale_take(&heap->whales, &shard->source, size, alignment, request->zero,
                              shard->settings);
    if (front != NULL && front->pinned != NULL)
        return hak_large_take(&shard->large, size, alignment, request->zero, shard->settings);
    return hak_shard_take_large(shard, hak_os_cpu(), size, alignment, request->zero);
}

/* Lets memory decay if that is due. Inside the heap. */
static void look_at_clock(struct hak_front *front)
{
    if (front != NULL)
        hak_heap_visit_for_large(hak_heap_default(), front);
    else if (hak_thread_state != HAK_THREAD_STARTING)
        hak_heap_visit_without_front(hak_heap_default(), shard_here());
}

static void *large(const struct request *request)
{
    if (request->size > PTRDIFF_MAX)
        return NULL;
    /* The call needs no front, but its thread must be counted: the second one places shards. */
    struct hak_front *front = hak_thread_front();
    if (hak_unlikely(!hak_heap_enter()))
        return beside(request->size, request->alignment, request->zero);
    look_at_clock(front);
    void *object = take_large(shard_here(), request);
    if (hak_unlikely(hak_headroom_shortfall() != 0))
        hak_heap_make_room(hak_heap_default());
    hak_publish_leave_heap();
    return object;
}

/* Frees a run or whale, or defers that until no thread forks. False if no live object begins
 * there. */
static bool release_large(void *object, struct hak_page page)
{
    struct hak_heap *heap = hak_heap_default();
    struct hak_front *front = hak_thread_front();
    if (hak_unlikely(!hak_heap_enter()))
        return hak_usable_size(object) != 0 && hak_beside_defer(object);
    bool is_given = page.offset == HAK_PAGE_LARGE
                        ? hak_large_give(object, heap->settings)
                        : hak_whale_give(&heap->whales, object, heap->settings);
    if (is_given)
        look_at_clock(front);
    hak_publish_leave_heap();
    return is_given;
}

static void release_other(void *object, struct hak_page page)
{
    bool is_large = page.offset == HAK_PAGE_LARGE || page.offset == HAK_PAGE_WHALE;
    if (hak_profiler_keeps(object))
        return;
    if (hak_unlikely(hak_misuse_is_checked()) && is_large)
        hak_doubt_clear(object, hak_usable_size(object));
    if (is_large && release_large(object, page))
        return;
    if ((page.offset == HAK_PAGE_SIDE && hak_beside_give(object)) ||
        (page.offset == HAK_PAGE_EMPTY && hak_empty_give(object)))
        return;
    if (hak_page_is_own(page)) {
        hak_owned_release(object);
        return;
    }
    enum hak_misuse what = HAK_MISUSE_FREED;
    if (page.offset == HAK_PAGE_FOREIGN)
        what = HAK_MISUSE_FOREIGN;
    else if (page.offset == HAK_PAGE_EMPTY && !hak_empty_begins(object))
        what = HAK_MISUSE_INTERIOR;
    hak_misuse("free", object, what);
}

/* ---- when the kernel refuses ----------------------------------------------------------------- */

static void *try_once(const struct request *request)
{
    if (request->class_id != HAK_CLASS_NONE)
        return small(request->class_id, request->size, request->alignment);
    return large(request);
}

/* Takes memory that is mapped already, from any shard. A small object gets a run of its own if
 * there is no region for it. */
static void *try_others(const struct request *request)
{
    struct hak_shard *shard = shard_here();
    size_t alignment = request->alignment > HAK_LARGE_UNIT ? request->alignment : HAK_LARGE_UNIT;
    if (request->size > HAK_LARGE_MAX || alignment > HAK_LARGE_ALIGNMENT_MAX || !hak_heap_enter())
        return NULL;
    void *object =
        hak_reclaim_run(shard, request->size + (request->size == 0), alignment, request->zero);
    if (object == NULL && request->class_id != HAK_CLASS_NONE)
        object = hak_reclaim_object(shard, request->class_id);
    hak_heap_leave();
    return object;
}

bool hak_give_back(struct hak_reclaim *call)
{
    bool is_starting = hak_thread_state == HAK_THREAD_STARTING;
    call->own = is_starting ? NULL : hak_thread_front();
    call->may_reap = !is_starting;
    if (!hak_heap_enter())
        return false;
    hak_crowd_flush();
    bool may_help = hak_reclaim(hak_heap_default(), call);
    hak_heap_leave();
    hak_misuse_tell();
    return may_help;
}

static HAK_COLD void *serve_refused(const struct request *request)
{
    struct hak_reclaim call = {0};
    void *object = NULL;
    /* Larger than the address space: giving memory back cannot help. */
    if (request->size > ADDRESSES || request->alignment > ADDRESSES)
        return NULL;
    while (object == NULL && hak_give_back(&call))
        object = try_once(request);
    return object != NULL ? object : try_others(request);
}

static HAK_COLD void *out_of_memory(void)
{
    hak_count(&shard_here()->counters, HAK_COUNTER_OUT_OF_MEMORY, 1);
    return NULL;
}

/* What the profile wants has a run to itself, by which free recognises it. NULL: not noted. */
static HAK_COLD void *serve_noted(const struct request *request, size_t counted)
{
    struct request run = *request;
    if (run.class_id != HAK_CLASS_NONE) {
        run.alignment = run.alignment > HAK_LARGE_UNIT ? run.alignment : HAK_LARGE_UNIT;
        run.runs_most = HAK_LARGE_MAX;
        run.class_id = HAK_CLASS_NONE;
    }
    struct hak_profiler_wish wish;
    hak_profiler_begin(&wish, run.size, counted, hak_profiler_place_of(shard_here()));
    void *object = hak_profiler_reuse(&wish);
    if (object == NULL && (object = large(&run)) != NULL)
        hak_profiler_note(&wish, object);
    return object;
}

static void *serve(const struct request *request)
{
    void *object = NULL;
    if (hak_unlikely(request->size <= PTRDIFF_MAX && hak_profiler_wants(request->size)))
        object = serve_noted(request, request->size);
    if (hak_likely(object == NULL))
        object = try_once(request);
    if (hak_unlikely(object == NULL))
        object = serve_refused(request);
    return hak_likely(object != NULL) ? object : out_of_memory();
}

/* ---- functions for the exported names ------------------------------------------------------- */

static void *serve_small(unsigned class_id, size_t alignment)
{
    const struct request request = {hak_classes[class_id].size, alignment, 0, HAK_ZERO_NO,
                                    class_id};
    return serve(&request);
}

void *hak_allocate_noted(unsigned class_id, size_t counted)
{
    const struct request request = {hak_classes[class_id].size, 1, 0, HAK_ZERO_NO, class_id};
    return serve_noted(&request, counted);
}

static void *serve_large(size_t size, size_t alignment, enum hak_zero zero)
{
    const struct request request = {size, alignment, HAK_LARGE_MAX, zero, HAK_CLASS_NONE};
    return serve(&request);
}

/* The state of a front differs from thread to thread. */
static void *empty_object(void)
{
    size_t hint = (uintptr_t)&hak_front_mine / HAK_CACHE_LINE;
    return hak_misuse_catches_empty ? hak_empty_take(hint) : NULL;
}

void *hak_allocate(size_t size)
{
    hak_start();
    void *object = size == 0 ? empty_object() : NULL;
    if (object != NULL)
        return object;
    if (size <= HAK_MID_MAX)
        return serve_small(hak_size_class_known(size), 1);
    return serve_large(size, HAK_LARGE_UNIT, HAK_ZERO_NO);
}

void *hak_allocate_growing(size_t size)
{
    const struct request request = {size, HAK_LARGE_UNIT, HAK_LARGE_GROWN_MAX, HAK_ZERO_NO,
                                    HAK_CLASS_NONE};
    return size > HAK_MID_MAX ? serve(&request) : hak_allocate(size);
}

void *hak_allocate_zeroed(size_t size)
{
    if (size > HAK_MID_MAX) {
        hak_start();
        return serve_large(size, HAK_LARGE_UNIT, HAK_ZERO_YES);
    }
    void *object = hak_allocate(size);
    if (object != NULL)
        __builtin_memset(object, 0, size);
    return object;
}

void *hak_allocate_aligned(size_t size, size_t alignment)
{
    hak_start();
    if (alignment > PTRDIFF_MAX || size > PTRDIFF_MAX - alignment)
        return out_of_memory();
    unsigned class_id = hak_size_class_aligned(size, alignment);
    if (class_id != HAK_CLASS_NONE)
        return serve_small(class_id, alignment);
    size_t least = size > HAK_MID_MAX ? size : HAK_MID_MAX + 1;
    return serve_large(least, alignment, HAK_ZERO_NO);
}

void hak_release(void *object)
{
    if (object == NULL)
        return;
    struct hak_page page = hak_page_find(object);
    if (page.class_id != HAK_CLASS_NONE)
        release_small(object, page);
    else
        release_other(object, page);
}

/* Small requests may have got a run when memory was short. */
static bool suits(struct hak_page page, size_t usable, size_t size, size_t alignment)
{
    if (usable == 0 || page.class_id == HAK_CLASS_NONE)
        return usable == 0 || size <= usable;
    if (alignment != 0)
        return page.class_id == hak_size_class_aligned(size, alignment);
    return size <= HAK_MID_MAX && page.class_id == hak_size_class_known(size);
}

void hak_release_sized(void *object, size_t size, size_t alignment)
{
    if (hak_unlikely(hak_misuse_is_checked()) && object != NULL &&
        !suits(hak_page_find(object), hak_usable_size(object), size, alignment))
        hak_misuse("free_sized", object, HAK_MISUSE_SIZE);
    hak_release(object);
}

void hak_note_site_of_large(void *object, const void *site)
{
    uint64_t hash = (uint64_t)(uintptr_t)site * UINT64_C(0x9E3779B97F4A7C15) >> 32;
    if (object == NULL || !hak_heap_default()->settings->by_site || !hak_heap_enter())
        return;
    hak_large_set_site(object, (uint32_t)hash | 1);
    hak_heap_leave();
}

static size_t whale_size(const void *object)
{
    struct hak_whales *whales = &hak_heap_default()->whales;
    if (hak_unlikely(!hak_heap_enter()))
        return hak_whale_size_beside(whales, object);
    size_t size = hak_whale_size(whales, object);
    hak_heap_leave();
    return size;
}

size_t hak_usable_size(const void *object)
{
    struct hak_page page = hak_page_find(object);
    if (page.class_id != HAK_CLASS_NONE)
        return hak_slab_begins(object, page) ? hak_classes[page.class_id].size : 0;
    if (page.offset == HAK_PAGE_LARGE)
        return hak_large_size(object);
    if (page.offset == HAK_PAGE_WHALE)
        return whale_size(object);
    if (hak_page_is_own(page))
        return hak_owned_usable_size(object);
    return page.offset == HAK_PAGE_SIDE ? hak_beside_size(object) : 0;
}

static void *resize_large(void *object, struct hak_page page, size_t new_size)
{
    struct hak_heap *heap = hak_heap_default();
    bool stays_run = new_size <= HAK_LARGE_GROWN_MAX ||
                     (new_size <= HAK_LARGE_MAX && hak_large_size(object) > HAK_LARGE_GROWN_MAX);
    if (page.offset == HAK_PAGE_LARGE && new_size > HAK_MID_MAX && stays_run)
        return hak_large_resize(object, new_size, heap->settings) ? object : NULL;
    if (page.offset == HAK_PAGE_WHALE && new_size > HAK_LARGE_GROWN_MAX && new_size <= PTRDIFF_MAX)
        return hak_whale_resize(&heap->whales, object, new_size, HAK_MOVE_ALLOWED);
    return NULL;
}

void *hak_resize(void *object, size_t new_size)
{
    struct hak_page page = hak_page_find(object);
    if (page.class_id != HAK_CLASS_NONE)
        return new_size <= hak_classes[page.class_id].size ? object : NULL;
    /* First, since after a move another thread's object may be noted at the old address. */
    uint32_t noted = hak_profiler_hold(object);
    void *resized = NULL;
    if (page.offset != HAK_PAGE_SIDE && hak_likely(hak_heap_enter())) {
        resized = resize_large(object, page, new_size);
        hak_heap_leave();
    }
    if (hak_unlikely(hak_profiler_is_on()))
        hak_profiler_resized(noted, resized, new_size, hak_profiler_place_of(shard_here()));
    return resized;
}

/* ---- the slow halves of malloc.c ------------------------------------------------------------ */

/* malloc and malloc_again end in jumps, or the learner would see fewer different sites. */
void *hak_malloc_from_heap(size_t size)
{
    void *object = hak_allocate(size);
    hak_note_site(object, size, __builtin_return_address(0));
    if (hak_unlikely(object == NULL))
        errno = ENOMEM;
    return object;
}

void hak_free_slow(void *object)
{
    hak_release(object);
}
