/* SPDX-License-Identifier: MIT */
/* heap/own_front.c: stocks of one heap, what is in them at an end of heap, thread or process, and
 * ends that threads in the fast path are asked about. */
#include "heap/own_front.h"

#include <string.h>

#include "heap/own_heap.h"
#include "os/clock.h"
#include "os/fence.h"
#include "os/section.h"
#include "shard/found.h"
#include "tests/lib/threads.h"
#include "tests/unit/world.h"

enum { CLASS_OF_100 = 112 };

static const struct hak_terms unlimited = {.is_dumped = 1};

static struct hak_own_heap *make_heap(void)
{
    world_start();
    struct hak_own_heap *heap =
        hak_own_heap_make(&unlimited, &hak_settings_default, NULL, HAK_NODE_ANY, NULL);
    if (EXPECT(heap != NULL))
        hak_own_heap_let_have_fronts(heap);
    return heap;
}

static struct hak_own_front *front_of(struct hak_own_thread *thread, struct hak_own_heap *heap)
{
    struct hak_own_front *front = thread->fronts[hak_own_heap_slot(heap)];
    return front != NULL ? front : hak_own_front_make(thread, (unsigned)hak_own_heap_slot(heap));
}

/* As api/ does it. */
static void *take(struct hak_own_thread *thread, struct hak_own_heap *heap, size_t size)
{
    struct hak_own_front *front = front_of(thread, heap);
    bool must_tell = false;
    void *object = hak_own_quick_take(&front->seat, heap, size);
    struct hak_own_request request = {size, 1, hak_size_class(size), HAK_ZERO_NO, front};
    return object != NULL ? object : hak_own_heap_take(heap, &request, &must_tell);
}

static enum hak_own_object give(struct hak_own_thread *thread, struct hak_own_heap *heap,
                                void *object)
{
    struct hak_own_front *front = front_of(thread, heap);
    struct hak_page page;
    if (hak_own_quick_give(&front->seat, object))
        return HAK_OWN_LIVE;
    struct hak_own_shard *shard = hak_own_shard_enter_of(object, &page);
    if (shard == NULL)
        return HAK_OWN_FREE;
    enum hak_own_object what = hak_own_front_serves(front, shard)
                                   ? hak_own_front_give(front, shard, object, page)
                                   : hak_own_shard_give(shard, object, page);
    hak_own_shard_leave(shard);
    return what;
}

static void stocks(void)
{
    enum { OBJECTS = 300 };
    void *objects[OBJECTS];
    struct hak_own_heap *heap = make_heap();
    struct hak_own_thread *thread = hak_own_thread_make();
    REQUIRE(heap != NULL && thread != NULL);
    EXPECT(hak_own_quick_take(&thread->none, heap, 100) == NULL);
    for (unsigned i = 0; i < OBJECTS; i++) {
        objects[i] = take(thread, heap, 100);
        REQUIRE(objects[i] != NULL);
        memset(objects[i], 0xee, 100);
    }
    EXPECT_EQ(hak_own_heap_bytes(heap).small, OBJECTS * CLASS_OF_100);
    EXPECT(!hak_own_quick_give(&thread->none, objects[0]));
    EXPECT(!hak_own_quick_give(&front_of(thread, heap)->seat, &heap));
    EXPECT(!hak_own_quick_give(&front_of(thread, heap)->seat, NULL));
    for (unsigned i = 0; i < OBJECTS; i++)
        EXPECT_EQ(give(thread, heap, objects[i]), HAK_OWN_LIVE);
    EXPECT_EQ(hak_own_heap_bytes(heap).small, 0);
    EXPECT_GE(hak_own_heap_bytes(heap).fronts, CLASS_OF_100);
    EXPECT_LE(hak_own_heap_bytes(heap).fronts, HAK_OWN_FRONT_MOST * CLASS_OF_100);
    EXPECT_EQ(give(thread, heap, objects[OBJECTS - 1]), HAK_OWN_FREE);
    EXPECT_EQ(give(thread, heap, (char *)objects[0] + 8), HAK_OWN_INTERIOR);
    hak_own_front_flush(front_of(thread, heap));
    EXPECT_EQ(hak_own_heap_bytes(heap).fronts, 0);
    EXPECT_EQ(hak_own_heap_end(heap), HAK_OWN_ENDED);
    hak_own_thread_end(thread);
}

/* A heap that follows at the same address gets nothing of the one before. */
static void ends_of_heaps(void)
{
    struct hak_own_heap *heap = make_heap();
    struct hak_own_thread *thread = hak_own_thread_make();
    REQUIRE(heap != NULL && thread != NULL);
    EXPECT_EQ(give(thread, heap, take(thread, heap, 100)), HAK_OWN_LIVE);
    struct hak_own_front *front = front_of(thread, heap);
    EXPECT(front->heap == heap && heap->fronts.first == front);
    EXPECT_EQ(hak_own_heap_end(heap), HAK_OWN_ENDED);
    EXPECT(front->heap == NULL);
    struct hak_own_heap *again = make_heap();
    EXPECT(again == heap);
    EXPECT(hak_own_quick_take(&front->seat, again, 100) == NULL);
    EXPECT(take(thread, again, 100) != NULL);
    EXPECT_EQ(hak_own_heap_end(again), HAK_OWN_ENDED);
    hak_own_thread_end(thread);
}

/* One that is busy lives on, with its fronts. */
static void ends_that_fail(void)
{
    struct hak_own_heap *heap = make_heap();
    struct hak_own_thread *thread = hak_own_thread_make();
    REQUIRE(heap != NULL && thread != NULL);
    EXPECT_EQ(give(thread, heap, take(thread, heap, 100)), HAK_OWN_LIVE);
    struct hak_own_front *front = front_of(thread, heap);
    if (!hak_own_fronts_close(&heap->fronts)) {
        tap_skip("membarrier is refused");
        return;
    }
    EXPECT(hak_own_quick_take(&front->seat, heap, 100) == NULL);
    EXPECT(hak_own_fronts_are_empty(&heap->fronts));
    hak_own_seat_enter(&front->seat);
    EXPECT(!hak_own_fronts_are_empty(&heap->fronts));
    hak_own_seat_leave(&front->seat);
    hak_own_fronts_open(&heap->fronts);
    void *object = hak_own_quick_take(&front->seat, heap, 100);
    EXPECT(object != NULL && hak_own_quick_give(&front->seat, object));
    EXPECT_EQ(hak_own_heap_end(heap), HAK_OWN_ENDED);
    hak_own_thread_end(thread);
}

static void ends_of_threads(void)
{
    struct hak_own_heap *heap = make_heap();
    struct hak_own_thread *thread = hak_own_thread_make();
    struct hak_own_thread *second = hak_own_thread_make();
    struct hak_own_thread *third = hak_own_thread_make();
    REQUIRE(heap != NULL && third != NULL);
    EXPECT_EQ(give(thread, heap, take(thread, heap, 100)), HAK_OWN_LIVE);
    EXPECT_EQ(give(second, heap, take(second, heap, 100)), HAK_OWN_LIVE);
    EXPECT_EQ(give(third, heap, take(third, heap, 100)), HAK_OWN_LIVE);
    hak_own_thread_end(thread);
    EXPECT_EQ(hak_own_heap_bytes(heap).fronts, 2 * CLASS_OF_100);
    /* One that could not give back, and one that a child of a fork has not. */
    hak_own_thread_leave(second);
    hak_own_heap_purge(heap);
    EXPECT_EQ(hak_own_heap_bytes(heap).fronts, CLASS_OF_100);
    hak_own_fronts_start_child(third);
    hak_own_heap_purge(heap);
    EXPECT_EQ(hak_own_heap_bytes(heap).fronts, CLASS_OF_100);
    /* It was wished for: the next slow call gives all back. */
    EXPECT(take(third, heap, 1000) != NULL);
    EXPECT_EQ(hak_own_heap_bytes(heap).fronts, 0);
    EXPECT_EQ(give(third, heap, take(third, heap, 100)), HAK_OWN_LIVE);
    hak_own_fronts_start_child(NULL);
    hak_own_heap_purge(heap);
    EXPECT(heap->fronts.first == NULL);
    EXPECT_EQ(hak_own_heap_end(heap), HAK_OWN_ENDED);
}

/* Also what was in no heap's list: else generations of forks would use all fronts up. */
static void nothing_is_lost(void)
{
    struct hak_own_heap *heap = make_heap();
    REQUIRE(heap != NULL);
    for (unsigned turn = 0; turn <= HAK_OWN_FRONTS_MAX / HAK_OWN_FRONT_SLOTS; turn++) {
        struct hak_own_thread *thread = hak_own_thread_make();
        REQUIRE(thread != NULL);
        for (unsigned slot = 0; slot < HAK_OWN_FRONT_SLOTS; slot++)
            REQUIRE(hak_own_front_make(thread, slot) != NULL);
        if (turn % 2 == 0)
            hak_own_fronts_start_child(NULL);
        else
            hak_own_thread_leave(thread);
    }
    EXPECT_EQ(hak_own_heap_end(heap), HAK_OWN_ENDED);
}

/* A handler forks before the caller knows its thread: the child goes on with that. */
static void forks_at_the_start(void)
{
    world_start();
    struct hak_own_thread *thread = hak_own_thread_make();
    REQUIRE(thread != NULL);
    hak_own_fronts_start_child(NULL);
    hak_own_thread_begin(thread);
    struct hak_own_front *front = hak_own_front_make(thread, 0);
    struct hak_own_thread *second = hak_own_thread_make();
    REQUIRE(front != NULL && second != NULL);
    EXPECT(second != thread);
    EXPECT(thread->fronts[0] == front);
    hak_own_thread_end(thread);
    hak_own_thread_end(second);
}

/* No more than the bound; then there are some again. */
static void too_many(void)
{
    enum { THREADS_MOST = HAK_OWN_FRONTS_MAX / HAK_OWN_FRONT_SLOTS };
    static struct hak_own_thread *made[THREADS_MOST];
    struct hak_own_thread *more = hak_own_thread_make();
    REQUIRE(make_heap() != NULL && more != NULL);
    for (unsigned i = 0; i < THREADS_MOST; i++) {
        REQUIRE((made[i] = hak_own_thread_make()) != NULL);
        for (unsigned slot = 0; slot < HAK_OWN_FRONT_SLOTS; slot++)
            REQUIRE(hak_own_front_make(made[i], slot) != NULL);
    }
    EXPECT(hak_own_front_make(more, 0) == NULL);
    hak_own_thread_end(made[0]);
    EXPECT(hak_own_front_make(more, 0) != NULL);
    hak_own_fronts_start_child(NULL);
}

static void faults_are_found(void)
{
    const void *object;
    struct hak_own_heap *heap = make_heap();
    struct hak_own_thread *thread = hak_own_thread_make();
    REQUIRE(heap != NULL && thread != NULL);
    char *first = take(thread, heap, 100);
    char *second = take(thread, heap, 100);
    EXPECT_EQ(give(thread, heap, first), HAK_OWN_LIVE);
    EXPECT_EQ(give(thread, heap, second), HAK_OWN_LIVE);
    EXPECT_EQ(give(thread, heap, first), HAK_OWN_LIVE);
    hak_own_front_flush(front_of(thread, heap));
    unsigned found = 0;
    while (hak_found_take(&object) != HAK_FOUND_NOTHING)
        found++;
    EXPECT_GE(found, 1);
    first = take(thread, heap, 200);
    EXPECT_EQ(give(thread, heap, first), HAK_OWN_LIVE);
    memset(first, 0x77, 16);
    EXPECT(take(thread, heap, 200) != NULL);
    EXPECT_EQ(hak_found_take(&object), HAK_FOUND_OVERWRITTEN);
    EXPECT(object == first);
    EXPECT_EQ(hak_own_heap_end(heap), HAK_OWN_ENDED);
    hak_own_thread_end(thread);
}

/* ---- threads --------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 300 };

static struct hak_own_heap *current; /* NULL: none */
static unsigned callers, misses, over;

static void *use(void *unused)
{
    EXPECT(hak_section_enter_late());
    struct hak_own_thread *thread = hak_own_thread_make();
    hak_section_leave();
    while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
        __atomic_fetch_add(&callers, 1, __ATOMIC_SEQ_CST);
        struct hak_own_heap *heap = __atomic_load_n(&current, __ATOMIC_SEQ_CST);
        if (heap == NULL || !hak_section_enter_late()) {
            __atomic_fetch_sub(&callers, 1, __ATOMIC_RELEASE);
            hak_os_sleep_ns(1000);
            continue;
        }
        void *object = take(thread, heap, 100);
        if (object != NULL) {
            give(thread, heap, object);
        } else {
            __atomic_fetch_add(&misses, 1, __ATOMIC_RELAXED);
        }
        hak_section_leave();
        __atomic_fetch_sub(&callers, 1, __ATOMIC_RELEASE);
    }
    EXPECT(hak_section_enter_late());
    hak_own_thread_end(thread);
    hak_section_leave();
    return unused;
}

static void *make_and_end(void *unused)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct hak_own_heap *heap = make_heap();
        __atomic_store_n(&current, heap, __ATOMIC_SEQ_CST);
        for (unsigned turn = 0; turn < round % 4; turn++)
            hak_os_sleep_ns(20000);
        EXPECT_EQ(hak_own_heap_end(heap), HAK_OWN_ENDED);
        /* The next heap may get the descriptor, which late callers look at. */
        __atomic_store_n(&current, NULL, __ATOMIC_SEQ_CST);
        while (__atomic_load_n(&callers, __ATOMIC_SEQ_CST) != 0)
            hak_os_sleep_ns(20000);
    }
    __atomic_store_n(&over, 1, __ATOMIC_RELEASE);
    return unused;
}

static void *part(void *argument)
{
    return *(int *)argument ? make_and_end(NULL) : use(NULL);
}

/* Calls are served, or find the heap at its end; what another heap left is never met. */
static void ends_under_way(void)
{
    int ends[THREADS + 1] = {1};
    if (hak_os_fence_all() != 0) {
        tap_skip("membarrier is refused");
        return;
    }
    threads_run(THREADS + 1, part, ends, sizeof ends[0]);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a front takes and gives by itself, and holds little", stocks},
        {"what it held is gone with its heap", ends_of_heaps},
        {"an end that fails leaves it as it was", ends_that_fail},
        {"what it held comes back when its thread ends, or is none of this process",
         ends_of_threads},
        {"what threads leave behind, in forks too, is used again", nothing_is_lost},
        {"a thread that forks at its start keeps what it has", forks_at_the_start},
        {"there is a bound, and what comes back is used", too_many},
        {"second frees and overwritten objects are found", faults_are_found},
        {"heaps end while threads call", ends_under_way},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
