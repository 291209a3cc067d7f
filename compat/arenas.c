/* SPDX-License-Identifier: MIT */
/* jemalloc's arenas on heaps: see the header. Any thread; a number is taken and given back by one
 * exchange of its slot. */
#include "compat/arenas.h"

#include <errno.h>

/* The heap of each number; NULL: free; HELD: a thread is making or destroying it. */
static struct hakmem_heap *arenas[HAK_ARENAS_MAX];
static unsigned count = 1; /* only grows */

#define HELD ((struct hakmem_heap *)1)

unsigned hak_arenas_count(void)
{
    return __atomic_load_n(&count, __ATOMIC_RELAXED); /* relaxed: a figure */
}

struct hakmem_heap *hak_arenas_heap(size_t number)
{
    if (number == 0 || number >= HAK_ARENAS_MAX)
        return NULL;
    /* acquire: pairs with the release in publish; the heap is made when it is seen */
    struct hakmem_heap *heap = __atomic_load_n(&arenas[number], __ATOMIC_ACQUIRE);
    return heap != HELD ? heap : NULL;
}

bool hak_arenas_exist(size_t number)
{
    return number == 0 || hak_arenas_heap(number) != NULL;
}

static bool exchange(size_t number, struct hakmem_heap *from, struct hakmem_heap *to)
{
    /* acquire: pairs with the release in publish; who takes a slot sees what was there */
    return __atomic_compare_exchange_n(&arenas[number], &from, to, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static void publish(size_t number, struct hakmem_heap *heap)
{
    /* release: pairs with the acquire in hak_arenas_heap and exchange */
    __atomic_store_n(&arenas[number], heap, __ATOMIC_RELEASE);
}

static void count_up_to(unsigned number)
{
    unsigned seen = hak_arenas_count();
    /* relaxed: the slots themselves tell what is there */
    while (seen <= number && !__atomic_compare_exchange_n(&count, &seen, number + 1, false,
                                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

/* Sharded more coarsely than the default heap: an arena is for one purpose or thread. */
static struct hakmem_heap *make_heap(void)
{
    int saved = errno;
    struct hakmem_heap *heap = hakmem_heap_create(NULL);
    errno = saved;
    return heap;
}

unsigned hak_arenas_create(void)
{
    for (unsigned number = 1; number < HAK_ARENAS_MAX; number++) {
        if (!exchange(number, NULL, HELD))
            continue;
        struct hakmem_heap *heap = make_heap();
        publish(number, heap);
        if (heap == NULL)
            return 0;
        count_up_to(number);
        return number;
    }
    return 0;
}

static int end(struct hakmem_heap *heap)
{
    int saved = errno;
    int result = hakmem_heap_destroy(heap);
    errno = saved;
    return result;
}

int hak_arenas_destroy(size_t number)
{
    struct hakmem_heap *heap = hak_arenas_heap(number);
    if (heap == NULL || !exchange(number, heap, HELD))
        return EFAULT;
    int result = end(heap);
    publish(number, result == 0 ? NULL : heap);
    return result == 0 ? 0 : EFAULT;
}

/* A heap frees all at its end, so an arena that is reset gets a new one. */
int hak_arenas_reset(size_t number)
{
    struct hakmem_heap *heap = hak_arenas_heap(number);
    if (heap == NULL || !exchange(number, heap, HELD))
        return EFAULT;
    struct hakmem_heap *fresh = make_heap();
    bool is_reset = fresh != NULL && end(heap) == 0;
    if (!is_reset && fresh != NULL)
        end(fresh);
    publish(number, is_reset ? fresh : heap);
    return is_reset ? 0 : EFAULT;
}

int hak_arenas_purge(size_t number)
{
    struct hakmem_heap *heap = hak_arenas_heap(number);
    if (number == 0)
        hakmem_purge(HAKMEM_ALL_SHARDS, 0, 0);
    else if (number == HAK_ARENAS_ALL || number == hak_arenas_count())
        hakmem_trim(); /* of all heaps; the arena count is jemalloc's older number for all */
    else if (heap != NULL)
        hakmem_heap_purge(heap);
    else
        return EFAULT;
    return 0;
}

int hak_arenas_of(const void *object)
{
    int saved = errno;
    struct hakmem_heap *heap = hakmem_heap_of(object);
    bool is_default = heap == NULL && errno == ENOENT;
    errno = saved;
    if (is_default)
        return 0;
    for (unsigned number = 1; heap != NULL && number < hak_arenas_count(); number++)
        if (hak_arenas_heap(number) == heap)
            return (int)number;
    return -1;
}

/* ---- figures --------------------------------------------------------------------------------- */

static bool add(struct hakmem_heap *heap, struct hak_arena_figures *sum)
{
    struct hakmem_heap_stats stats;
    int saved = errno;
    int result = hakmem_heap_stats(heap, &stats, sizeof stats);
    errno = saved;
    if (result != 0)
        return false;
    size_t large = stats.used - stats.used_small;
    size_t backed = stats.slabs - (stats.holes < stats.slabs ? stats.holes : stats.slabs);
    size_t small_pages = backed > stats.used_small ? backed : stats.used_small;
    sum->small += stats.used_small;
    sum->large += large;
    sum->active += small_pages + large;
    sum->dirty += stats.cached;
    sum->metadata += stats.metadata;
    sum->mapped += stats.mapped;
    return true;
}

bool hak_arenas_figures(size_t number, struct hak_arena_figures *figures)
{
    *figures = (struct hak_arena_figures){0};
    if (number == 0)
        return add(NULL, figures);
    if (number != HAK_ARENAS_ALL) {
        struct hakmem_heap *heap = hak_arenas_heap(number);
        return heap != NULL && add(heap, figures);
    }
    for (unsigned other = 1; other < hak_arenas_count(); other++)
        if (hak_arenas_heap(other) != NULL)
            add(hak_arenas_heap(other), figures);
    return add(NULL, figures);
}
