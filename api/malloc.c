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

#include "api/malloc.h"

#include "api/quick.h"
#include "hakmem.h"
#include "shard/front_cpu.h"

HAK_TLS struct hak_front *hak_front_mine;

/* The second tries: what lies behind the first magazine of the thread's front, or the CPU's front.
 * Kept out of malloc and free themselves, whose registers they would cost. */
static __attribute__((noinline)) void *malloc_again(size_t size)
{
    struct hak_front *front = hak_front_mine;
    if (hak_unlikely(size > HAK_MID_MAX))
        return hak_malloc_slow(size);
    void *object = NULL;
    if (front != NULL)
        object = hak_front_pop_spare(front, hak_size_class(size));
    else if (hak_cpu_fronts_exist())
        object = hak_cpu_pop(hak_size_class(size));
    return hak_likely(object != NULL) ? object : hak_malloc_slow(size);
}

static int free_on_cpu(void *object)
{
    uint32_t entry = hak_page_entry(object);
    unsigned class_id = (uint8_t)entry;
    enum hak_cpu_push pushed = hak_cpu_push(class_id, entry >> 16, object);
    if (hak_unlikely(pushed == HAK_CPU_FOREIGN))
        pushed = hak_cpu_push_at(hak_slot_foreign(class_id), object);
    return pushed == HAK_CPU_PUSHED;
}

static __attribute__((noinline)) void free_again(void *object)
{
    struct hak_front *front = hak_front_mine;
    int freed = 0;
    if (front != NULL)
        freed = hak_front_push_behind(front, hak_page_entry(object), object);
    else if (hak_cpu_fronts_exist())
        freed = free_on_cpu(object);
    if (hak_unlikely(!freed))
        hak_free_slow(object);
}

HAK_PUBLIC void *hakmem_malloc(size_t size)
{
    void *object = hak_quick_allocate(size);
    return hak_likely(object != NULL) ? object : malloc_again(size);
}

HAK_PUBLIC void hakmem_free(void *object)
{
    if (hak_unlikely(!hak_quick_release(object)))
        free_again(object);
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
