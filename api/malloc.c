/* SPDX-License-Identifier: MIT */
/* malloc and free, and nothing else. Any thread. These read the thread's context; functions below
 * get it as arguments.
 *
 *     malloc(n) -- the thread's front (api/quick.h):   |  free(p) -- the same:
 *         |        hak_size_class, hak_front_pop       |      |    hak_page_entry, push
 *         |- its spare magazine, or the CPU's front    |      |- spare, foreign, or the CPU's front
 *         `- n > 32 KiB, or all of them empty:         |      `- large, or all of them full:
 *            hak_malloc_slow (api/counted.c)           |         hak_free_slow
 */
#include "config.h"

#include "api/counted.h"
#include "api/malloc_slow.h"
#include "api/mine.h"
#include "api/quick.h"
#include "api/vfork.h"
#include "front/front_cpu.h"
#include "hakmem.h"

#if defined(__x86_64__) && defined(__LP64__)
#include "api/detour_x86_64.h"
#else
#include "api/detour_none.h"
#endif

/* The second attempts: the other magazines of the thread's front; or, for classes that the front is
 * closed for, the CPU's front. (hak_front_none is closed for all classes, hak_front_apart for
 * none.) They are separate functions, since malloc and free would have to save registers for
 * them. */
static __attribute__((noinline)) void *malloc_again(size_t size)
{
    if (hak_unlikely(size > HAK_MID_MAX))
        return hak_malloc_slow(size);
    void *object = NULL;
    unsigned class_id = hak_size_class(size);
    if (hak_front_is_open(hak_front_mine, class_id))
        object = hak_front_pop_spare(hak_front_mine, class_id);
    else if (hak_cpu_fronts_exist())
        object = hak_cpu_pop(class_id, HAK_CPU_ONE_TRY);
    return hak_likely(object != NULL) ? object : hak_malloc_slow(size);
}

static bool free_on_cpu(void *object, uint32_t entry)
{
    unsigned class_id = (uint8_t)entry;
    enum hak_cpu_push pushed = hak_cpu_push(class_id, entry >> 16, object, HAK_CPU_ONE_TRY);
    if (hak_unlikely(pushed == HAK_CPU_FOREIGN)) {
        if (hak_unlikely(((uintptr_t)object & hak_classes[class_id].misplaced) != 0))
            return false;
        pushed = hak_cpu_push_at(hak_slot_foreign(class_id), object, HAK_CPU_ONE_TRY);
    }
    return pushed == HAK_CPU_PUSHED;
}

static __attribute__((noinline)) void free_again(void *object, uint32_t entry)
{
    bool is_freed = false;
    if (hak_front_is_open(hak_front_mine, (uint8_t)entry))
        is_freed = hak_front_push_behind(hak_front_mine, entry, object);
    else if (hak_cpu_fronts_exist())
        is_freed = free_on_cpu(object, entry);
    if (hak_unlikely(!is_freed))
        hak_free_slow(object);
}

/* Frees an object in another 4 GiB than the last one. The thread's own front remembers the leaf. */
static __attribute__((noinline)) void free_afar(void *object)
{
    uint32_t entry = hak_page_entry(object);
    if ((uint8_t)entry != HAK_CLASS_NONE && hak_thread_has_front() &&
        hak_front_mine != &hak_front_apart)
        hak_front_remember(hak_front_mine, object);
    free_again(object, entry);
}

/* malloc and free begin at a cache line: otherwise they touch one line more, and are 1 to 4 %
 * slower. malloc has a page to itself, which another can replace (api/counted.h). */
HAK_BEHIND_DETOUR HAK_PUBLIC void *hakmem_malloc(size_t size)
{
    void *object = hak_quick_allocate(size);
    return hak_likely(object != NULL) ? object : malloc_again(size);
}

HAK_BEHIND_DETOUR HAK_PUBLIC void hakmem_free(void *object)
{
    struct hak_front *front = hak_front_mine;
    if (hak_unlikely(!hak_front_knows(front, object))) {
        free_afar(object);
        return;
    }
    uint32_t entry = hak_front_entry(front, object);
    if (hak_unlikely(!hak_quick_push(front, object, entry)))
        free_again(object, entry);
}

static void *malloc_here(size_t size) __attribute__((malloc, alias("hakmem_malloc")));
static void free_here(void *object) __attribute__((alias("hakmem_free")));

const struct hak_detour hak_detour = {HAK_DETOUR_PAGE, malloc_here, free_here};

/* A program that links malloc from the archive must get the whole family, not libc's calloc. */
static void *(*const with_malloc)(size_t, size_t) __attribute__((used)) = hakmem_calloc;

/* The standard names; with a sanitizer its run-time library defines them. */
#if HAK_OVERRIDE_MALLOC
HAK_PUBLIC void *malloc(size_t size) __attribute__((malloc, alloc_size(1), alias("hakmem_malloc")));
HAK_PUBLIC void free(void *object) __attribute__((alias("hakmem_free")));

/* glibc's own names, which a layer between glibc and the program calls (see family.c). */
HAK_PUBLIC void *__libc_malloc(size_t size)
    __attribute__((malloc, alloc_size(1), alias("hakmem_malloc")));
HAK_PUBLIC void __libc_free(void *object) __attribute__((alias("hakmem_free")));
#endif
