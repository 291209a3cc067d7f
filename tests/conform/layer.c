/* SPDX-License-Identifier: MIT */
/* layer.c - a library between the program and its malloc, like checkers and profilers: it counts
 * the calls and passes them on by glibc's own names. Preloaded before ours. It does not define
 * free, so the memory that it hands out must come from the malloc whose free the program calls. */
#include <stddef.h>

#define EXPORTED __attribute__((visibility("default")))

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *object, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void *__libc_valloc(size_t size);
extern void *__libc_pvalloc(size_t size);

EXPORTED unsigned long layer_calls;

static void count(void)
{
    __atomic_fetch_add(&layer_calls, 1, __ATOMIC_RELAXED); /* relaxed: a count */
}

EXPORTED void *malloc(size_t size)
{
    count();
    return __libc_malloc(size);
}

EXPORTED void *calloc(size_t number, size_t size)
{
    count();
    return __libc_calloc(number, size);
}

EXPORTED void *realloc(void *object, size_t size)
{
    count();
    return __libc_realloc(object, size);
}

EXPORTED void *memalign(size_t alignment, size_t size)
{
    count();
    return __libc_memalign(alignment, size);
}

EXPORTED void *valloc(size_t size)
{
    count();
    return __libc_valloc(size);
}

EXPORTED void *pvalloc(size_t size)
{
    count();
    return __libc_pvalloc(size);
}
