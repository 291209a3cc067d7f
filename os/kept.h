/* SPDX-License-Identifier: MIT */
/* Address space that the kernel refused to take back: munmap fails where it would have to cut a
 * mapping in two and the process has as many mappings as it may (vm.max_map_count). Such a range is
 * purged and stays known: hak_os_map cuts new memory out of it, and whoever comes by tries again to
 * unmap it. hak_os_release (os/memory.h) puts ranges here; nobody else.
 *
 * The list runs through the first bytes of the ranges themselves, so it needs no memory and has no
 * limit. Whoever looks takes the whole list, which is one exchange, and puts it back, so nobody
 * reads a range that another has unmapped. Meanwhile others find nothing here, and ask the kernel.
 * Neighbours are joined.
 *
 * Bounds: one kernel page resident for a range; a look at HAK_KEPT_LOOKS ranges
 * and HAK_KEPT_TRIES system calls a call. In the child
 * of a fork that came between the two steps the list is lost: addresses without pages. */
#ifndef HAK_OS_KEPT_H
#define HAK_OS_KEPT_H

#include <stddef.h>

enum {
    HAK_KEPT_LOOKS = 64,    /* ranges that one call looks at, others the next time, */
    HAK_KEPT_TRIES = 8,     /* of which so many are tried to be unmapped */
};

enum hak_kept_kind {
    HAK_KEPT_ZERO,     /* purged: zero but for its header */
    HAK_KEPT_DIRTY,    /* could not be purged (locked in memory): cleared when it is taken */
    HAK_KEPT_HUGE,     /* of explicit huge pages: only ever unmapped */
};

/* Whole kernel pages that can be written to and are nobody's. */
void hak_kept_put(void *address, size_t size, enum hak_kept_kind kind);

/* Zero memory out of the smallest kept range that has room, or NULL; sizes and alignment as for
 * hak_os_map. Some that do not serve are tried to be unmapped on the way. */
void *hak_kept_take(size_t size, size_t alignment);

/* Tries to unmap a few; bytes that are gone. */
size_t hak_kept_retry(void);

/* Bytes in kept ranges, a moment ago. */
size_t hak_kept_bytes(void);

#endif
