/* SPDX-License-Identifier: MIT */
/* A thread's fronts of heaps that the program made: see the header. A key's destructor gives them
 * back. Afterwards the thread's seat is one that gets no fronts any more, for destructors that come
 * later. */
#include "api/own_fronts.h"

#include <errno.h>
#include <pthread.h>

#include "api/misuse.h"
#include "api/profiler.h"
#include "os/fence.h"
#include "os/section.h"

static struct {
    uint32_t key;       /* of pthread_key_create, + 1; 0: none. Release, acquire */
    uint32_t next_seat; /* relaxed: turns */
} threads;

HAK_TLS struct hak_own_seat *hak_thread_seat = &hak_own_nobody[0];

/* Waits for another thread's fork, a second at most. */
static bool enter(void)
{
    return hak_section_enter() || hak_section_enter_late();
}

/* Of threads whose end has come. */
static struct hak_own_seat *last_seat(void)
{
    return &hak_own_nobody[HAK_OWN_FRONT_NOBODIES - 1];
}

static void end_thread(void *argument)
{
    struct hak_own_thread *thread = argument;
    hak_thread_seat = last_seat();
    if (!enter()) {
        hak_own_thread_leave(thread);
        return;
    }
    hak_own_thread_end(thread);
    hak_section_leave();
    hak_misuse_tell();
}

static uint32_t key_number(void)
{
    /* acquire: pairs with the release in make_key */
    return __atomic_load_n(&threads.key, __ATOMIC_ACQUIRE);
}

/* Two threads may make one each: the later one deletes its own. */
static void make_key(void)
{
    pthread_key_t key;
    uint32_t none = 0;
    if (key_number() != 0 || pthread_key_create(&key, end_thread) != 0)
        return;
    /* release: as said. relaxed: else another thread's key is there */
    if (!__atomic_compare_exchange_n(&threads.key, &none, key + 1, 0, __ATOMIC_RELEASE,
                                     __ATOMIC_RELAXED))
        pthread_key_delete(key);
}

bool hak_thread_heap_fronts_are_possible(void)
{
    if (hak_misuse_is_checked() || hak_profiler_is_on() || !hak_os_fence_is_possible())
        return false;
    make_key();
    return key_number() != 0;
}

void hak_thread_heap_fronts_stop(void)
{
    /* acq_rel: pairs with the acquire in key_number; sees the key as made by make_key */
    uint32_t number = __atomic_exchange_n(&threads.key, 0, __ATOMIC_ACQ_REL);
    if (number != 0)
        pthread_key_delete(number - 1);
}

static void end_at_once(struct hak_own_thread *thread)
{
    if (enter()) {
        hak_own_thread_end(thread);
        hak_section_leave();
    }
}

/* pthread_setspecific may allocate, but not from such a heap. */
static struct hak_own_thread *start_thread(void)
{
    struct hak_own_thread *thread = NULL;
    uint32_t number = key_number();
    if (hak_thread_seat == last_seat() || number == 0)
        return NULL;
    /* While another thread forks the call does without: it is to wait once, for its object. */
    if (!hak_section_enter())
        return NULL;
    thread = hak_own_thread_make();
    hak_section_leave();
    if (thread == NULL)
        return NULL;
    if (pthread_setspecific(number - 1, thread) != 0) {
        end_at_once(thread);
        return NULL;
    }
    hak_thread_seat = &thread->none;
    hak_own_thread_begin(thread);
    return thread;
}

void hak_thread_take_seat(void)
{
    uint32_t turn =
        __atomic_fetch_add(&threads.next_seat, 1, __ATOMIC_RELAXED); /* relaxed: turns */
    hak_thread_seat = &hak_own_nobody[1 + turn % (HAK_OWN_FRONT_NOBODIES - 2)];
}

static struct hak_own_front *make_front(struct hak_own_thread *thread, unsigned slot)
{
    if (!hak_section_enter()) /* as there */
        return NULL;
    struct hak_own_front *front = hak_own_front_make(thread, slot);
    hak_section_leave();
    return front;
}

static struct hak_own_front *find_front(struct hak_own_heap *heap)
{
    struct hak_own_thread *thread = hak_thread_seat->thread;
    int32_t slot = hak_own_heap_slot(heap);
    /* Below 0: the heap has ended, and another one has its descriptor. */
    if (slot < 0 || (thread == NULL && (thread = start_thread()) == NULL))
        return NULL;
    struct hak_own_front *front = thread->fronts[slot];
    if (front == NULL)
        return make_front(thread, (unsigned)slot);
    /* relaxed: what the thread itself wrote, or NULL at the end of a heap */
    const struct hak_own_heap *served = __atomic_load_n(&front->heap, __ATOMIC_RELAXED);
    return served == NULL || served == heap ? front : NULL;
}

struct hak_own_front *hak_thread_make_heap_front(struct hak_own_heap *heap)
{
    int saved = errno;
    struct hak_own_front *front = find_front(heap);
    if (front != NULL)
        hak_thread_seat = &front->seat;
    errno = saved;
    return front;
}

void hak_thread_flush_heap_fronts(const struct hak_own_heap *heap)
{
    struct hak_own_thread *thread = hak_thread_seat->thread;
    if (thread == NULL || !enter())
        return;
    for (unsigned slot = 0; slot < HAK_OWN_FRONT_SLOTS; slot++) {
        struct hak_own_front *front = thread->fronts[slot];
        /* relaxed: as in find_front */
        if (front != NULL &&
            (heap == NULL || __atomic_load_n(&front->heap, __ATOMIC_RELAXED) == heap))
            hak_own_front_flush(front);
    }
    hak_section_leave();
    hak_misuse_tell();
}

void hak_thread_heap_fronts_after_fork(void)
{
    hak_own_fronts_start_child(hak_thread_seat->thread);
}
