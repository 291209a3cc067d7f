/* SPDX-License-Identifier: MIT */
/* jemalloc's interface on hakmem (libhakmem-jemalloc): what differs stands in docs/jemalloc.md.
 * malloc and its family are those of <stdlib.h> and <malloc.h>.
 *
 * If JEMALLOC_PREFIX is defined, such as to je_, all names begin with it: for the archive of
 * `make prefixed PREFIX=je_`. Any thread may call any of these functions; signal handlers none. */
#ifndef HAK_COMPAT_JEMALLOC_H
#define HAK_COMPAT_JEMALLOC_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <strings.h>

#ifdef JEMALLOC_PREFIX
#define HAK_JE_PASTE(prefix, name) prefix##name
#define HAK_JE_NAME(prefix, name)  HAK_JE_PASTE(prefix, name)
#define HAK_JE(name)               HAK_JE_NAME(JEMALLOC_PREFIX, name)
#else
#define HAK_JE(name) name
#endif

#define JEMALLOC_EXPORT __attribute__((visibility("default")))

/* The version of jemalloc's interface that is followed. */
#define JEMALLOC_VERSION        "5.3.0-0-hakmem"
#define JEMALLOC_VERSION_MAJOR  5
#define JEMALLOC_VERSION_MINOR  3
#define JEMALLOC_VERSION_BUGFIX 0
#define JEMALLOC_VERSION_NREV   0
#define JEMALLOC_VERSION_GID    "hakmem"

/* Flags: alignment in bits 0-5, zeroing in bit 6, cache in bits 8-19, arena in bits 20-31. */
#define MALLOCX_LG_ALIGN(la) ((int)(la))
#define MALLOCX_ALIGN(a) \
    ((int)((size_t)(a) < (size_t)INT_MAX ? ffs((int)(a)) - 1 : ffs((int)((size_t)(a) >> 32)) + 31))
#define MALLOCX_ZERO        ((int)0x40)
#define MALLOCX_TCACHE(tc)  ((int)(((tc) + 2) << 8))
#define MALLOCX_TCACHE_NONE MALLOCX_TCACHE(-1)
#define MALLOCX_ARENA(a)    ((int)(((unsigned)(a) + 1u) << 20))

/* As index in arena.<i>.* and stats.arenas.<i>.*: all arenas. A plain number, for STRINGIFY. */
#define MALLCTL_ARENAS_ALL 4096

#ifdef __cplusplus
extern "C" {
#endif

/* A program may define its own: options, as MALLOC_CONF, which is read after it. */
extern JEMALLOC_EXPORT const char *HAK_JE(malloc_conf);

/* If set: gets the text of malloc_stats_print without a function. */
extern JEMALLOC_EXPORT void (*HAK_JE(malloc_message))(void *opaque, const char *text);

/* At least `size` bytes by the flags; NULL: no memory, or no such arena. */
JEMALLOC_EXPORT void *HAK_JE(mallocx)(size_t size, int flags) __attribute__((malloc));

/* As realloc. With MALLOCX_ZERO, bytes beyond the old usable size are 0. NULL: nothing changed. */
JEMALLOC_EXPORT void *HAK_JE(rallocx)(void *object, size_t size, int flags);

/* The usable bytes of the object, which stays as it is: hakmem resizes in place by realloc only. */
JEMALLOC_EXPORT size_t HAK_JE(xallocx)(void *object, size_t size, size_t extra, int flags);

/* Usable bytes. */
JEMALLOC_EXPORT size_t HAK_JE(sallocx)(const void *object, int flags);

JEMALLOC_EXPORT void HAK_JE(dallocx)(void *object, int flags);
JEMALLOC_EXPORT void HAK_JE(sdallocx)(void *object, size_t size, int flags);

/* What redis asks for where the macro is defined, and by this name whatever the prefix: 1 if a copy
 * of the object, taken and freed with MALLOCX_TCACHE_NONE, would empty its slab, else 0. */
#define JEMALLOC_FRAG_HINT
JEMALLOC_EXPORT int je_get_defrag_hint(void *object);

/* The least usable bytes that mallocx would give; 0: it would give NULL. */
JEMALLOC_EXPORT size_t HAK_JE(nallocx)(size_t size, int flags);

/* Reads a value into *old (of *old_size bytes), then writes `fresh` (of fresh_size bytes), each
 * unless it is NULL. 0, or ENOENT: no such name; EINVAL: a wrong size; EPERM: the name may not be
 * read or written; EAGAIN: no memory; EFAULT: it cannot be done. */
JEMALLOC_EXPORT int HAK_JE(mallctl)(const char *name, void *old, size_t *old_size, void *fresh,
                                    size_t fresh_size);

/* The name as *mib_length numbers for mallctlbymib; a number in the name stands for itself. */
JEMALLOC_EXPORT int HAK_JE(mallctlnametomib)(const char *name, size_t *mib, size_t *mib_length);
JEMALLOC_EXPORT int HAK_JE(mallctlbymib)(const size_t *mib, size_t mib_length, void *old,
                                         size_t *old_size, void *fresh, size_t fresh_size);

/* All readable values by name, a line each; with 'J' in `options` as one object of JSON. `write`
 * NULL: to malloc_message, or else stderr. */
JEMALLOC_EXPORT void HAK_JE(malloc_stats_print)(void (*write)(void *opaque, const char *text),
                                                void *opaque, const char *options);

JEMALLOC_EXPORT size_t HAK_JE(malloc_usable_size)(void *object);

#ifdef __cplusplus
}
#endif

#endif
