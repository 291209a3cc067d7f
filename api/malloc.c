/* SPDX-License-Identifier: MIT */
/* malloc and free, and nothing else. Any thread. Context is read once, here: below, everything is
 * an argument.
 *
 *     malloc(n) -- the thread's front (api/quick.h):   |  free(p) -- the same:
 *         |        hak_size_class, hak_front_pop       |      |    hak_page_entry, push
 *         |- its spare magazine, or the CPU's front    |      |- spare, foreign, or the CPU's front
 *         `- n > 32 KiB, or all of them empty:         |      `- large, or all of them full:
 *            hak_malloc_slow (api/malloc_slow.c)       |         hak_free_slow
 */
#include "config.h"

#include "api/malloc_slow.h"
#include "api/mine.h"
#include "api/quick.h"
#include "api/vfork.h"
#include "front/front_cpu.h"
#include "hakmem.h"

/* The second tries: what lies behind the first magazine of the thread's front; or the CPU's front,
 * of classes for which its own is closed, as hak_front_none is for all, hak_front_apart for none.
 * Kept out of malloc and free themselves, whose registers they would cost. */
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

static int free_on_cpu(void *object, uint32_t entry)
{
    unsigned class_id = (uint8_t)entry;
    enum hak_cpu_push pushed = hak_cpu_push(class_id, entry >> 16, object, HAK_CPU_ONE_TRY);
    if (hak_unlikely(pushed == HAK_CPU_FOREIGN))
        pushed = hak_cpu_push_at(hak_slot_foreign(class_id), object, HAK_CPU_ONE_TRY);
    return pushed == HAK_CPU_PUSHED;
}

static __attribute__((noinline)) void free_again(void *object, uint32_t entry)
{
    int freed = 0;
    if (hak_front_is_open(hak_front_mine, (uint8_t)entry))
        freed = hak_front_push_behind(hak_front_mine, entry, object);
    else if (hak_cpu_fronts_exist())
        freed = free_on_cpu(object, entry);
    if (hak_unlikely(!freed))
        hak_free_slow(object);
}

/* These two begin a cache line of code: elsewhere they lie in three or four, for 1 to 4 %. */
__attribute__((aligned(HAK_CACHE_LINE))) HAK_PUBLIC void *hakmem_malloc(size_t size)
{
    void *object = hak_quick_allocate(size);
    return hak_likely(object != NULL) ? object : malloc_again(size);
}

/* An object whose leaf is not at hand: it is the one to be remembered, by a front that is the
 * thread's own. */
static __attribute__((noinline)) void free_afar(void *object)
{
    uint32_t entry = hak_page_entry(object);
    if ((uint8_t)entry != HAK_CLASS_NONE && hak_thread_has_front() &&
        hak_front_mine != &hak_front_apart)
        hak_front_remember(hak_front_mine, object);
    free_again(object, entry);
}

__attribute__((aligned(HAK_CACHE_LINE))) HAK_PUBLIC void hakmem_free(void *object)
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

/* Whoever links the archive and takes malloc must take the whole family, not libc's calloc. */
static void *(*const with_malloc)(size_t, size_t) __attribute__((used)) = hakmem_calloc;

/* The names that everybody calls; a sanitizer's run-time keeps them for itself. */
#if HAK_OVERRIDE_MALLOC
HAK_PUBLIC void *malloc(size_t size) __attribute__((malloc, alloc_size(1), alias("hakmem_malloc")));
HAK_PUBLIC void free(void *object) __attribute__((alias("hakmem_free")));

/* glibc's own names of them, by which a layer between it and the program goes on (see family.c). */
HAK_PUBLIC void *__libc_malloc(size_t size)
    __attribute__((malloc, alloc_size(1), alias("hakmem_malloc")));
HAK_PUBLIC void __libc_free(void *object) __attribute__((alias("hakmem_free")));
#endif
