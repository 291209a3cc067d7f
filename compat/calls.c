/* SPDX-License-Identifier: MIT */
/* mallocx and its relatives. Any thread. Without flags each is hakmem's function of the same
 * purpose, called last. MALLOCX_TCACHE_NONE goes past the fronts; other caches have no meaning
 * here. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "compat/arenas.h"
#include "compat/jemalloc.h"
#include "hakmem.h"

enum {
    ALIGNMENT_BITS = 0x3f,
    CACHE_MASK = 0xfff00,
    ARENA_SHIFT = 20,
    SMALL_MOST = 32768,
    LEAST_ALIGNMENT = 16,
    LG_MOST = 62, /* of arenas.lextent.<i>.size */
};

static size_t alignment_of(int flags)
{
    return (size_t)1 << (flags & ALIGNMENT_BITS);
}

static bool has_no_cache(int flags)
{
    return (flags & CACHE_MASK) == MALLOCX_TCACHE_NONE;
}

/* The heap of the arena that the flags name, NULL: the default one. False: no such arena. */
static bool find_heap(int flags, struct hakmem_heap **heap)
{
    size_t number = (unsigned)flags >> ARENA_SHIFT;
    *heap = number > 1 ? hak_arenas_heap(number - 1) : NULL;
    return number <= 1 || *heap != NULL;
}

static void *take(struct hakmem_heap *heap, size_t size)
{
    return heap != NULL ? hakmem_heap_malloc(heap, size) : hakmem_malloc(size);
}

static void *take_zeroed(struct hakmem_heap *heap, size_t size)
{
    return heap != NULL ? hakmem_heap_calloc(heap, 1, size) : hakmem_calloc(1, size);
}

static void *take_aligned(struct hakmem_heap *heap, size_t alignment, size_t size)
{
    return heap != NULL ? hakmem_heap_aligned_alloc(heap, alignment, size)
                        : hakmem_aligned_alloc(alignment, size);
}

/* Clears all usable bytes from `from` on: an object that grows within its usable size must find
 * zeroes, too. */
static void *zero(void *object, size_t from)
{
    size_t usable = hakmem_usable_size(object);
    if (usable > from)
        memset((char *)object + from, 0, usable - from);
    return object;
}

static __attribute__((noinline)) void *mallocx_by_flags(size_t size, int flags)
{
    struct hakmem_heap *heap;
    size_t alignment = alignment_of(flags);
    bool zeroes = (flags & MALLOCX_ZERO) != 0;
    if (!find_heap(flags, &heap))
        return NULL;
    bool is_plain = alignment <= LEAST_ALIGNMENT;
    bool is_direct = is_plain && heap == NULL && has_no_cache(flags) && size <= SMALL_MOST;
    void *object = is_direct            ? hakmem_malloc_direct(size)
                   : is_plain && zeroes ? take_zeroed(heap, size)
                   : is_plain           ? take(heap, size)
                                        : take_aligned(heap, alignment, size);
    bool is_cleared = is_plain && !is_direct;
    return object != NULL && zeroes ? zero(object, is_cleared ? size : 0) : object;
}

void *mallocx(size_t size, int flags)
{
    return flags == 0 ? hakmem_malloc(size) : mallocx_by_flags(size, flags);
}

/* ---- resizing -------------------------------------------------------------------------------- */

/* Whether the object lies in the arena that the flags name, if they name one. */
static bool is_in_arena(const void *object, int flags, struct hakmem_heap *heap)
{
    if ((unsigned)flags >> ARENA_SHIFT == 0)
        return true;
    int saved = errno;
    bool is_there = hakmem_heap_of(object) == heap;
    errno = saved;
    return is_there;
}

static bool is_aligned(const void *object, int flags)
{
    return ((uintptr_t)object & (alignment_of(flags) - 1)) == 0;
}

static void *move(void *object, size_t usable, size_t size, int flags)
{
    void *fresh = mallocx_by_flags(size, flags & ~MALLOCX_ZERO);
    if (fresh == NULL)
        return NULL;
    memcpy(fresh, object, size < usable ? size : usable);
    hakmem_free(object);
    return fresh;
}

/* realloc keeps an object in its heap, but knows of no alignment. */
static void *resize(void *object, size_t usable, size_t size, int flags)
{
    struct hakmem_heap *heap;
    if (!find_heap(flags, &heap))
        return NULL;
    if (!is_in_arena(object, flags, heap))
        return move(object, usable, size, flags);
    if (alignment_of(flags) <= LEAST_ALIGNMENT)
        return hakmem_realloc(object, size);
    bool fits = size <= usable && size >= usable / 2;
    return fits && is_aligned(object, flags) ? object : move(object, usable, size, flags);
}

static __attribute__((noinline)) void *rallocx_by_flags(void *object, size_t size, int flags)
{
    size_t usable = hakmem_usable_size(object);
    void *result = resize(object, usable, size, flags);
    return result != NULL && (flags & MALLOCX_ZERO) != 0 ? zero(result, usable) : result;
}

/* realloc to nothing would free. */
void *rallocx(void *object, size_t size, int flags)
{
    size += size == 0;
    return flags == 0 ? hakmem_realloc(object, size) : rallocx_by_flags(object, size, flags);
}

size_t xallocx(void *object, size_t size, size_t extra, int flags)
{
    (void)size;
    (void)extra;
    (void)flags;
    return hakmem_usable_size(object);
}

/* ---- freeing, asking ------------------------------------------------------------------------- */

size_t sallocx(const void *object, int flags)
{
    (void)flags;
    return hakmem_usable_size(object);
}

void dallocx(void *object, int flags)
{
    if (has_no_cache(flags))
        hakmem_free_direct(object);
    else
        hakmem_free(object);
}

void sdallocx(void *object, size_t size, int flags)
{
    (void)size;
    dallocx(object, flags);
}

int je_get_defrag_hint(void *object)
{
    int saved = errno;
    int hint = hakmem_page_utilisation(object, NULL, 0);
    errno = saved;
    return hint > 0;
}

size_t nallocx(size_t size, int flags)
{
    size_t alignment = alignment_of(flags);
    size_t most = (size_t)1 << LG_MOST;
    if (size > most || alignment > most || size + alignment > most)
        return 0;
    /* Aligned objects come from any class that fits: only the unit of all sizes is certain. */
    if (alignment > LEAST_ALIGNMENT)
        return (size + LEAST_ALIGNMENT - 1) & ~(size_t)(LEAST_ALIGNMENT - 1);
    return hakmem_good_size(size);
}
