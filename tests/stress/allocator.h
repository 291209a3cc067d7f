/* SPDX-License-Identifier: MIT */
/*
 * allocator.h - the calls that the stress makes: malloc's own names, or ours with the prefix.
 *
 * In a sanitizer build malloc belongs to the sanitizer, so there the stress is built with
 * STRESS_PREFIXED and reaches the library by hakmem_malloc and its sisters.
 */
#ifndef HAK_TESTS_ALLOCATOR_H
#define HAK_TESTS_ALLOCATOR_H

#include "tests/lib/tap.h"

#include <stddef.h>

#ifdef STRESS_PREFIXED

#include <hakmem.h>

static const enum tap_origin stress_origin = TAP_ANY;

static inline void *stress_malloc(size_t size)
{
    return hakmem_malloc(size);
}

static inline void *stress_calloc(size_t count, size_t size)
{
    return hakmem_calloc(count, size);
}

static inline void *stress_realloc(void *object, size_t size)
{
    return hakmem_realloc(object, size);
}

static inline void *stress_aligned_alloc(size_t alignment, size_t size)
{
    return hakmem_aligned_alloc(alignment, size);
}

static inline void stress_free(void *object)
{
    hakmem_free(object);
}

static inline size_t stress_usable_size(void *object)
{
    return hakmem_usable_size(object);
}

#else

#include <malloc.h>
#include <stdlib.h>

static const enum tap_origin stress_origin = TAP_PRELOADED;

static inline void *stress_malloc(size_t size)
{
    return malloc(size);
}

static inline void *stress_calloc(size_t count, size_t size)
{
    return calloc(count, size);
}

static inline void *stress_realloc(void *object, size_t size)
{
    return realloc(object, size);
}

static inline void *stress_aligned_alloc(size_t alignment, size_t size)
{
    return aligned_alloc(alignment, size);
}

static inline void stress_free(void *object)
{
    free(object);
}

static inline size_t stress_usable_size(void *object)
{
    return malloc_usable_size(object);
}

#endif

#endif
