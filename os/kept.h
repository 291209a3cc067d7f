/* SPDX-License-Identifier: MIT */
/* Address space that the kernel refused to take back. munmap fails where it would have to split a
 * mapping and the process already has as many mappings as it may (vm.max_map_count). The range is
 * purged and kept: hak_os_map cuts new memory from it, and later calls try again to unmap it. Only
 * hak_os_release (os/memory.h) puts ranges here.
 *
 * The list is linked through the first bytes of the ranges, so it needs no memory and has no limit.
 * A caller takes the whole list by one exchange and puts it back, so no thread reads a range that
 * another has unmapped. Meanwhile other callers find an empty list and ask the kernel. Neighbouring
 * ranges are merged.
 *
 * Bounds: one resident kernel page a range; HAK_KEPT_LOOKS ranges and HAK_KEPT_TRIES system calls a
 * call. If a fork comes between taking the list and putting it back, the child loses the list:
 * addresses without pages. */
#ifndef HAK_OS_KEPT_H
#define HAK_OS_KEPT_H

#include <stddef.h>

enum {
    HAK_KEPT_LOOKS = 64, /* ranges that one call looks at; the next call looks at others */
    HAK_KEPT_TRIES = 8,  /* ranges that one call tries to unmap */
};

enum hak_kept_kind {
    HAK_KEPT_ZERO,  /* purged: zero except for its header */
    HAK_KEPT_DIRTY, /* could not be purged (locked in memory): cleared when taken */
    HAK_KEPT_HUGE,  /* explicit huge pages: only unmapped, never reused */
};

/* Keeps whole kernel pages that are writable and unused. */
void hak_kept_put(void *address, size_t size, enum hak_kept_kind kind);

/* Zero memory from the smallest kept range that has room, or NULL; sizes and alignment as for
 * hak_os_map. Tries to unmap some of the ranges that do not fit. */
void *hak_kept_take(size_t size, size_t alignment);

/* Tries to unmap a few ranges; returns the bytes unmapped. */
size_t hak_kept_retry(void);

/* Bytes in kept ranges; may be stale. */
size_t hak_kept_bytes(void);

#endif
