/* SPDX-License-Identifier: MIT */
/* The malloc family except malloc and free: each function is a few lines over api/malloc_slow.h,
 * with glibc's contract. Any thread.
 *
 * The functions are hakmem_*; the standard names, at the end of this file, are aliases of them.
 * They are omitted where a sanitizer must define them (HAK_OVERRIDE_MALLOC in config.h). */
#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/counted.h"
#include "api/doubt.h"
#include "api/heaps.h"
#include "api/malloc_slow.h"
#include "api/misuse.h"
#include "api/own_objects.h"
#include "api/profiler.h"
#include "api/quick.h"
#include "api/wake.h"
#include "hakmem.h"
#include "os/bits.h"
#include "os/compiler.h"
#include "os/memory.h"
#include "tiers/empty.h"
#include "tiers/large.h"
#include "tiers/size_class.h"

#ifndef HAK_OVERRIDE_MALLOC
#error "config.h does not say whether the standard names are to be defined (HAK_OVERRIDE_MALLOC)"
#endif

static HAK_COLD void *fail(int error)
{
    errno = error;
    return NULL;
}

/* Sets errno if the object is NULL. */
static inline void *allocated(void *object)
{
    return hak_likely(object != NULL) ? object : fail(ENOMEM);
}

static inline void *allocate(size_t size)
{
    void *object = hak_quick_allocate(size);
    return hak_likely(object != NULL) ? object : hak_allocate_counted(size);
}

static inline void release(void *object)
{
    if (hak_unlikely(!hak_quick_release(object)))
        hak_release(object);
}

/* ------------------------------------------------------------------ zeroed, resized */

static void *allocate_zeroed(size_t size)
{
    if (size > HAK_MID_MAX)
        return hak_allocate_zeroed(size);
    void *object = hak_allocate_counted(size);
    return object != NULL ? __builtin_memset(object, 0, size) : NULL;
}

static __attribute__((noinline)) void *calloc_slow(size_t size)
{
    void *object = allocate_zeroed(size);
    hak_note_site(object, size, __builtin_return_address(0));
    return allocated(object);
}

void *hakmem_calloc(size_t count, size_t size)
{
    size_t total;
    if (hak_unlikely(__builtin_mul_overflow(count, size, &total)))
        return fail(ENOMEM);
    void *object = hak_quick_allocate(total);
    if (hak_unlikely(object == NULL))
        return calloc_slow(total);
    return __builtin_memset(object, 0, total);
}

/* Moves an object to fresh memory. If that is refused, an object that is large enough stays. */
static void *move(void *object, size_t usable, size_t size)
{
    void *fresh =
        hak_likely(size <= HAK_LARGE_GROWN_MAX) ? allocate(size) : hak_allocate_growing(size);
    if (hak_unlikely(fresh == NULL))
        return size <= usable ? object : fail(ENOMEM);
    __builtin_memcpy(fresh, object, size < usable ? size : usable);
    release(object);
    return fresh;
}

/* An object without memory (malloc(0)); 0: frees it, as any other. */
static HAK_COLD void *resize_empty(void *object, size_t size)
{
    if (!hak_empty_is_live(object)) {
        hak_misuse("realloc", object,
                   hak_empty_begins(object) ? HAK_MISUSE_FREED : HAK_MISUSE_INTERIOR);
        return fail(EINVAL);
    }
    void *fresh = size != 0 ? allocated(hak_allocate(size)) : NULL;
    if (size == 0 || fresh != NULL)
        release(object);
    return fresh;
}

static HAK_COLD void *resize_nothing(void *object, size_t size)
{
    if (object == NULL)
        return allocated(hak_allocate(size));
    struct hak_page page = hak_page_find(object);
    if (page.class_id == HAK_CLASS_NONE && page.offset == HAK_PAGE_EMPTY)
        return resize_empty(object, size);
    bool is_foreign = page.class_id == HAK_CLASS_NONE && page.offset == HAK_PAGE_FOREIGN;
    hak_misuse("realloc", object, is_foreign ? HAK_MISUSE_FOREIGN : HAK_MISUSE_INTERIOR);
    return fail(EINVAL);
}

/* Programs that fill what they get must not grow an object further because it was sampled. */
static size_t usual_size(const void *object, size_t usable)
{
    return hak_unlikely(hak_profiler_is_on()) ? hak_profiler_usual_size(object, usable) : usable;
}

static __attribute__((noinline)) void *resize(void *object, size_t size)
{
    size_t usable = hak_usable_size(object);
    if (hak_unlikely(usable == 0))
        return resize_nothing(object, size);
    if (hak_unlikely(hak_owned_knows(object)))
        return hak_heaps_resize(object, usable, size);
    if (usable <= HAK_MID_MAX && (hak_link_is_likely(object) || hak_misuse_is_checked()) &&
        hak_unlikely(hak_doubt_seems_freed(object))) {
        hak_misuse("realloc", object, HAK_MISUSE_FREED);
        return fail(EINVAL);
    }
    if (size == 0) {
        release(object);
        return NULL;
    }
    /* Memory above the slabs' sizes can grow and shrink in place, by whole pages. */
    if (usable > HAK_MID_MAX && size > HAK_MID_MAX) {
        void *resized = hak_resize(object, size);
        if (resized != NULL)
            return resized;
    }
    if (hak_fits(usual_size(object, usable), size))
        return object;
    void *moved = move(object, usable, size);
    /* Memory that was given back meanwhile may let the object grow in place. */
    if (hak_unlikely(moved == NULL) && usable > HAK_MID_MAX && size > HAK_MID_MAX)
        return hak_resize(object, size);
    hak_note_site(moved, size, __builtin_return_address(0));
    return moved;
}

void *hakmem_realloc(void *object, size_t size)
{
    if (hak_likely(hak_fits(hak_quick_usable_size(object), size) && !hak_link_is_likely(object)))
        return object;
    return resize(object, size);
}

void *hakmem_reallocarray(void *object, size_t count, size_t size)
{
    size_t total;
    if (hak_unlikely(__builtin_mul_overflow(count, size, &total)))
        return fail(ENOMEM);
    return hakmem_realloc(object, total);
}

/* ------------------------------------------------------------------ aligned */

/* C17 requires an error for an unsupported alignment, and glibc reports one since 2.38. Older
 * glibcs round the alignment up, which hides the caller's mistake. */
void *hakmem_aligned_alloc(size_t alignment, size_t size)
{
    if (hak_unlikely(!hak_is_power_of_two(alignment)))
        return fail(EINVAL);
    return allocated(hak_allocate_aligned(size, alignment));
}

int hakmem_posix_memalign(void **result, size_t alignment, size_t size)
{
    if (hak_unlikely(!hak_is_power_of_two(alignment) || alignment < sizeof(void *)))
        return EINVAL;
    void *object = hak_allocate_aligned(size, alignment);
    if (hak_unlikely(object == NULL))
        return errno = ENOMEM; /* as glibc does; programs read errno */
    *result = object;
    return 0;
}

/* ------------------------------------------------------------------ freed, asked */

/* realloc may have left more bytes than `size`, but never fewer. */
static void release_sized(void *object, size_t size)
{
    if (hak_unlikely(hak_misuse_is_checked()) && object != NULL) {
        size_t usable = hak_usable_size(object);
        if (usable != 0 && size > usable)
            hak_misuse("free_sized", object, HAK_MISUSE_SIZE);
    }
    release(object);
}

void hakmem_free_sized(void *object, size_t size)
{
    release_sized(object, size);
}

void hakmem_free_aligned_sized(void *object, size_t alignment, size_t size)
{
    (void)alignment;
    release_sized(object, size);
}

static __attribute__((noinline)) size_t usable_size_of_other(const void *object)
{
    return usual_size(object, hak_usable_size(object));
}

/* A server that counts its memory asks at each malloc and free. What was sampled is a run, so an
 * object of a slab was not. */
size_t hakmem_usable_size(const void *object)
{
    size_t usable = hak_quick_usable_size(object);
    return hak_likely(usable != 0) ? usable : usable_size_of_other(object);
}

size_t hakmem_good_size(size_t size)
{
    hak_start();
    if (size == 0 && hak_misuse_catches_empty)
        return 0;
    if (size <= HAK_MID_MAX)
        return hak_classes[hak_size_class_known(size)].size;
    return size <= PTRDIFF_MAX ? hak_large_round(size) : 0;
}

/* ------------------------------------------------------------------ the standard names */

#if HAK_OVERRIDE_MALLOC

#include <malloc.h>
#include <stdlib.h>

HAK_PUBLIC void *calloc(size_t, size_t) __attribute__((alias("hakmem_calloc")));
HAK_PUBLIC void *realloc(void *, size_t) __attribute__((alias("hakmem_realloc")));
HAK_PUBLIC void *reallocarray(void *, size_t, size_t) __attribute__((alias("hakmem_reallocarray")));
HAK_PUBLIC void *aligned_alloc(size_t, size_t) __attribute__((alias("hakmem_aligned_alloc")));
HAK_PUBLIC int posix_memalign(void **, size_t, size_t)
    __attribute__((alias("hakmem_posix_memalign")));
HAK_PUBLIC void free_sized(void *, size_t) __attribute__((alias("hakmem_free_sized")));
HAK_PUBLIC void free_aligned_sized(void *, size_t, size_t)
    __attribute__((alias("hakmem_free_aligned_sized")));

/* Obsolete functions, which have no hakmem_ names. */

HAK_PUBLIC void cfree(void *);

void cfree(void *object)
{
    release(object);
}

HAK_PUBLIC size_t malloc_usable_size(void *object)
{
    return hakmem_usable_size(object);
}

/* An alignment that is no power of two is rounded up, as glibc does. */
HAK_PUBLIC void *memalign(size_t alignment, size_t size)
{
    if (hak_unlikely(alignment > SIZE_MAX / 2 + 1))
        return fail(EINVAL);
    if (alignment <= HAK_CLASS_STEP)
        return allocated(hak_allocate(size));
    size_t rounded = (size_t)1 << (hak_log2(alignment - 1) + 1);
    return allocated(hak_allocate_aligned(size, rounded));
}

HAK_PUBLIC void *valloc(size_t size)
{
    return allocated(hak_allocate_aligned(size, hak_os_page_size()));
}

/* Rounds up to whole kernel pages, at least one. */
HAK_PUBLIC void *pvalloc(size_t size)
{
    size_t page = hak_os_page_size();
    if (hak_unlikely(size > SIZE_MAX - page))
        return fail(ENOMEM);
    size_t rounded = hak_align_up(size == 0 ? 1 : size, page);
    return allocated(hak_allocate_aligned(rounded, page));
}

/* glibc's own names of the family. A preloaded layer whose malloc calls __libc_malloc would
 * otherwise get memory from glibc, which the program then frees by our free. */

HAK_PUBLIC void *__libc_calloc(size_t, size_t) __attribute__((malloc, alias("hakmem_calloc")));
HAK_PUBLIC void *__libc_realloc(void *, size_t) __attribute__((alias("hakmem_realloc")));
HAK_PUBLIC void *__libc_reallocarray(void *, size_t, size_t)
    __attribute__((alias("hakmem_reallocarray")));
HAK_PUBLIC void *__libc_memalign(size_t, size_t)
    __attribute__((malloc, leaf, nothrow, alloc_align(1), alloc_size(2), alias("memalign")));
HAK_PUBLIC void *__libc_valloc(size_t)
    __attribute__((malloc, leaf, nothrow, alloc_size(1), alias("valloc")));
HAK_PUBLIC void *__libc_pvalloc(size_t) __attribute__((malloc, leaf, nothrow, alias("pvalloc")));
HAK_PUBLIC void __libc_cfree(void *) __attribute__((alias("cfree")));

#endif
