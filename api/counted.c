/* SPDX-License-Identifier: MIT */
/* malloc after the fast path failed: see the header. Any thread. */
#include "api/counted.h"

#include "api/malloc_slow.h"
#include "api/mine.h"
#include "api/profiler.h"
#include "front/front.h"
#include "front/front_cpu.h"

/* The next object of the front's spare magazine, or of the CPU's front. */
static void *at_hand(unsigned class_id)
{
    if (hak_front_is_open(hak_front_mine, class_id))
        return hak_front_pop_spare(hak_front_mine, class_id);
    return hak_thread_may_use_cpu_front() ? hak_cpu_pop(class_id, HAK_CPU_TRIES) : NULL;
}

static __attribute__((noinline)) void *malloc_again(size_t size)
{
    unsigned class_id = size > HAK_MID_MAX ? HAK_CLASS_NONE : hak_size_class_known(size);
    if (class_id == HAK_CLASS_NONE || !hak_profiler_lets_pass(hak_classes[class_id].size))
        return hak_malloc_from_heap(size);
    void *object = at_hand(class_id);
    if (object != NULL)
        return object;
    hak_profiler_uncount(hak_classes[class_id].size);
    return hak_malloc_from_heap(size);
}

/* Pops first and counts then: an object that the profile wants goes back where it lay. */
static __attribute__((noinline)) void *malloc_counted(size_t size)
{
    if (hak_unlikely(size > HAK_MID_MAX))
        return malloc_again(size);
    unsigned class_id = hak_size_class_known(size);
    void *object = hak_front_pop(hak_front_mine, class_id);
    if (hak_unlikely(object == NULL))
        return malloc_again(size);
    if (hak_likely(hak_profiler_lets_pass(hak_classes[class_id].size)))
        return object;
    hak_magazine_push(&hak_front_mine->loaded[class_id], object);
    return hak_malloc_from_heap(size);
}

void *hak_malloc_slow(size_t size)
{
    if (hak_likely(!hak_profiler_is_on()))
        return hak_malloc_from_heap(size);
    return malloc_counted(size);
}
