/* SPDX-License-Identifier: MIT */
/* malloc after the fast path failed: see the header. Any thread. */
#include "api/counted.h"

#include <stdbool.h>
#include <stdint.h>

#include "api/malloc_slow.h"
#include "api/mine.h"
#include "api/profiler.h"
#include "front/front.h"
#include "front/front_cpu.h"
#include "os/memory.h"
#include "os/section.h"

/* 0 is not: what has no memory is never counted. */
static inline bool is_small(size_t size)
{
    return size - 1 < HAK_MID_MAX;
}

/* The next object of the front's spare magazine, or of the CPU's front. */
static void *at_hand(unsigned class_id)
{
    if (hak_front_is_open(hak_front_mine, class_id))
        return hak_front_pop_spare(hak_front_mine, class_id);
    return hak_thread_may_use_cpu_front() ? hak_cpu_pop(class_id, HAK_CPU_TRIES) : NULL;
}

/* NULL: the front is empty, or the profiler may want the object. */
static __attribute__((noinline)) void *counted_again(size_t size)
{
    unsigned class_id = is_small(size) ? hak_size_class_known(size) : HAK_CLASS_NONE;
    if (class_id == HAK_CLASS_NONE || !hak_profiler_lets_pass(hak_classes[class_id].size))
        return NULL;
    void *object = at_hand(class_id);
    if (object == NULL)
        hak_profiler_uncount(hak_classes[class_id].size);
    return object;
}

static __attribute__((noinline)) void *malloc_counted_again(size_t size)
{
    void *object = counted_again(size);
    return object != NULL ? object : hak_malloc_from_heap(size);
}

/* The front's count has been passed by this object: a wanted one takes its place. The front counts
 * the bytes that were asked for. Any count will do if the chance of a sample follows from it. */
static __attribute__((noinline)) HAK_COLD void *count_passed(size_t size, void *object)
{
    struct hak_front *front = hak_front_mine;
    front->to_sample += (int64_t)size;
    if (!hak_profiler_reached(&front->to_sample, size))
        return object;
    unsigned class_id = hak_size_class_known(size);
    void *noted = hak_allocate_noted(class_id, size);
    if (noted == NULL)
        return object;
    /* To where it came from; hak_release would look for it among what is free. */
    if (!hak_magazine_put(&front->loaded[class_id], object, front->refused[class_id]))
        hak_release(object);
    return noted;
}

/* Pops a small object and counts it; NULL if there is none in the front's first magazine. A front
 * that has objects can be written. */
static inline void *pop_counted(size_t size)
{
    struct hak_front *front = hak_front_mine;
    if (hak_unlikely(!is_small(size)))
        return NULL;
    void *object = hak_front_pop(front, hak_size_class_known(size));
    if (hak_unlikely(object == NULL))
        return NULL;
    front->to_sample -= (int64_t)size;
    return hak_likely(front->to_sample >= 0) ? object : count_passed(size, object);
}

/* used: the page of malloc names it in assembly, which link-time optimisation does not read. */
__attribute__((used, aligned(HAK_CACHE_LINE))) void *hak_malloc_counted(size_t size)
{
    void *object = pop_counted(size);
    return hak_likely(object != NULL) ? object : malloc_counted_again(size);
}

void *hak_malloc_slow(size_t size)
{
    if (hak_likely(!hak_profiler_is_on()))
        return hak_malloc_from_heap(size);
    return hak_malloc_counted(size);
}

void *hak_allocate_counted(size_t size)
{
    void *object = NULL;
    if (hak_unlikely(hak_profiler_is_on())) {
        object = pop_counted(size);
        if (hak_unlikely(object == NULL))
            object = counted_again(size);
    }
    return object != NULL ? object : hak_allocate(size);
}

/* ---- the page of malloc ---------------------------------------------------------------------- */

/* Whether a debugger has a breakpoint in the page: it would later write the old bytes back. */
static bool has_breakpoint(const unsigned char *page)
{
    enum { INT3 = 0xcc };
    for (size_t i = 0; i < HAK_DETOUR_BYTES; i++) {
        if (page[i] == INT3)
            return true;
    }
    return false;
}

void hak_counted_start(void)
{
    const char *page = (const char *)hak_detour.malloc_begin;
    if (!hak_profiler_is_on() || hak_detour.page == NULL ||
        page != hak_detour.page + HAK_DETOUR_BYTES ||
        (const char *)hak_detour.malloc_end != page + HAK_DETOUR_BYTES ||
        hak_os_page_size() != HAK_DETOUR_BYTES || !hak_section_is_alone() ||
        has_breakpoint((const unsigned char *)page) || !hak_os_can_move())
        return;
    void *old = (void *)hak_detour.page;
    if (hak_os_remap_to(old, HAK_DETOUR_BYTES, HAK_DETOUR_BYTES, (void *)page) == NULL)
        return;
    /* If the library is unloaded, the loader unmaps this hole too, so nobody else may map memory
     * there. */
    if (hak_os_map_at(old, HAK_DETOUR_BYTES) != NULL)
        hak_os_forbid(old, HAK_DETOUR_BYTES);
}
