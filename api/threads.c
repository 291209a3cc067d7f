/* SPDX-License-Identifier: MIT */
/* Threads: a thread's first call makes its front. Calls made meanwhile (pthread_setspecific may
 * allocate) are served without a front. The first thread registers the fork handlers, since another
 * constructor may fork before ours runs. A key's destructor gives the front back. */
#include "api/threads.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>

#include "api/crowd.h"
#include "api/fork.h"
#include "api/misuse.h"
#include "api/own_fronts.h"
#include "api/placing.h"
#include "api/vfork.h"
#include "api/wake.h"
#include "front/fronts.h"
#include "heap/beside.h"
#include "heap/heap.h"
#include "heap/place.h"
#include "os/cpu.h"

static struct {
    uint32_t count;     /* threads that have called us; relaxed */
    uint32_t key_ready; /* the key exists: release, acquire */
    pthread_key_t key;
} threads;

/* Gives a front back to the heap, by one of two ways (front/fronts.h). While another thread forks
 * it is left for a later caller. */
static void give_back(struct hak_front *front, void (*how)(struct hak_front *))
{
    if (!hak_heap_enter()) {
        hak_front_leave(front);
        return;
    }
    how(front);
    hak_heap_leave();
    hak_misuse_tell();
}

/* NULL if there is no memory, or another thread forks. */
static struct hak_front *make_front(void)
{
    if (!hak_heap_enter())
        return NULL;
    struct hak_front *front = hak_front_create(hak_heap_map(hak_heap_default()));
    if (front != NULL && !hak_front_is_open(front, HAK_CLASS_LAST))
        hak_crowd_gather();
    hak_heap_leave();
    return front;
}

/* One of the destructors of a thread's keys. In the first round other destructors may still free
 * memory, so this only asks to be called again; in the second round it gives the front back. */
static void end_thread(void *argument)
{
    struct hak_front *front = argument;
    if (hak_thread_state == HAK_THREAD_RUNNING) {
        hak_thread_state = HAK_THREAD_ENDING;
        pthread_setspecific(threads.key, front);
        return;
    }
    hak_thread_state = HAK_THREAD_ENDED;
    hak_mine_set(NULL);
    give_back(front, hak_front_end);
}

/* Makes the front the thread's and, if the key exists already, lets it give the front back at the
 * thread's end. pthread_setspecific may allocate: without a front, or from the thread's old one. */
static struct hak_front *bind(struct hak_front *front)
{
    hak_thread_state = HAK_THREAD_STARTING;
    /* acquire: pairs with the release in hak_threads_start */
    bool is_bound = front == NULL || (__atomic_load_n(&threads.key_ready, __ATOMIC_ACQUIRE) &&
                                      pthread_setspecific(threads.key, front) == 0);
    hak_thread_state = is_bound ? HAK_THREAD_RUNNING : HAK_THREAD_UNBOUND;
    hak_mine_set(front);
    return front;
}

/* Whether the calling thread gets no front of its own. The search for room takes fronts apart that
 * ended threads left, so it must be inside the heap, where no fork interrupts it. */
static bool is_one_of_many(void)
{
    hak_cpu_fronts_watch();
    if (!hak_heap_enter())
        return false;
    bool has_room = hak_crowd_has_room();
    if (!has_room) {
        hak_crowd_join();
        hak_count(&hak_heap_shard_here(hak_heap_default())->counters, HAK_COUNTER_THREADS_MANY, 1);
    }
    hak_heap_leave();
    return !has_room;
}

static struct hak_front *start_thread(void)
{
    if (hak_thread_state == HAK_THREAD_UNBOUND)
        return bind(hak_mine_front());
    hak_start();
    /* While another thread forks, this one stays new and is served beside the heap. */
    if (!hak_heap_enter())
        return NULL;
    hak_heap_leave();
    hak_thread_state = HAK_THREAD_STARTING;
    hak_fork_start();
    /* relaxed: a count */
    if (__atomic_fetch_add(&threads.count, 1, __ATOMIC_RELAXED) != 0)
        hak_place_shards();
    hak_heap_meet_cpu(hak_heap_default(), hak_os_cpu());
    bool shares = hak_misuse_is_checked() || hak_fronts_are_per_cpu() || is_one_of_many();
    struct hak_front *front = shares ? NULL : make_front();
    if (front == NULL) {
        hak_thread_state = shares ? HAK_THREAD_RUNNING : HAK_THREAD_NEW;
        return NULL;
    }
    return bind(front);
}

/* The first call of a thread may be free, which must not change errno; functions called here
 * may. */
struct hak_front *hak_thread_start(void)
{
    int saved = errno;
    struct hak_front *front = start_thread();
    errno = saved;
    return front;
}

struct hak_front *hak_thread_own_front(void)
{
    struct hak_front *front = hak_thread_front();
    if (front != NULL || hak_thread_state != HAK_THREAD_RUNNING || hak_misuse_is_checked())
        return front;
    hak_thread_state = HAK_THREAD_STARTING;
    front = make_front();
    if (front != NULL)
        return bind(front);
    hak_thread_state = HAK_THREAD_RUNNING; /* served as before */
    return NULL;
}

void hak_thread_earn_front(void)
{
    if (!hak_thread_has_front() && hak_thread_state == HAK_THREAD_RUNNING &&
        !hak_misuse_is_checked() && !hak_fronts_are_per_cpu() && hak_crowd_seems_small())
        hak_thread_own_front();
}

/* Keeps the key from giving back, at the thread's end, a front that is given back now. */
static void forget_bound(void)
{
    /* acquire: pairs with the release in hak_threads_start */
    if (__atomic_load_n(&threads.key_ready, __ATOMIC_ACQUIRE))
        pthread_setspecific(threads.key, NULL);
}

/* Gives the thread's front back; from now on the fronts of CPUs serve the thread. */
static void give_up(struct hak_front *front)
{
    hak_mine_set(hak_thread_is_apart ? &hak_front_apart : NULL);
    forget_bound();
    give_back(front, hak_front_destroy);
}

void hak_thread_drop_own_front(void)
{
    struct hak_front *front = hak_thread_front();
    bool shares = hak_misuse_is_checked() || hak_fronts_are_per_cpu() || !hak_crowd_seems_small();
    if (front == NULL || !shares || hak_thread_state != HAK_THREAD_RUNNING)
        return;
    give_up(front);
}

void hak_thread_place_shards_and_wait(void)
{
    struct hak_front *front = hak_mine_front();
    if (hak_place_shards_and_wait() && front != NULL)
        give_up(front);
}

void hak_threads_start(void)
{
    if (pthread_key_create(&threads.key, end_thread) != 0)
        return;
    /* release: pairs with the acquires in bind and forget_bound */
    __atomic_store_n(&threads.key_ready, 1, __ATOMIC_RELEASE);
    /* This thread may have made its front before the key existed. (So may others, which bind theirs
     * at their next slow call.) */
    if (hak_thread_state == HAK_THREAD_UNBOUND)
        bind(hak_mine_front());
}

void hak_threads_end(void)
{
    /* acq_rel: pairs with the acquires of the key's users, and the release in hak_threads_start */
    if (__atomic_exchange_n(&threads.key_ready, 0, __ATOMIC_ACQ_REL))
        pthread_key_delete(threads.key);
    hak_thread_heap_fronts_stop();
}
