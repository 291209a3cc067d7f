/* SPDX-License-Identifier: MIT */
/* Address space and pages from the kernel. Raw system calls that never touch errno or enter libc,
 * so every function may run before libc is ready and in any context that no signal interrupts.
 * Sizes are bytes, multiples of hak_os_page_size() unless said otherwise. Functions that can fail
 * return NULL or a negative errno value. Any thread. */
#ifndef HAK_OS_MEMORY_H
#define HAK_OS_MEMORY_H

#include <stddef.h>
#include <stdint.h>

enum hak_os_purge {
    HAK_PURGE_LAZY, /* MADV_FREE: the kernel reclaims the pages when it needs them */
    HAK_PURGE_NOW,  /* MADV_DONTNEED: gone at once, zero at the next touch */
};

enum hak_os_huge {
    HAK_HUGE_DEFAULT, /* the system's setting */
    HAK_HUGE_ALWAYS,  /* MADV_HUGEPAGE */
    HAK_HUGE_NEVER,   /* MADV_NOHUGEPAGE */
};

/* Bytes of a kernel page: AT_PAGESZ, 4096 until it is known. */
size_t hak_os_page_size(void);

/* Page faults of the process so far: without I/O, and with it. 0 where the kernel does not tell. */
struct hak_os_faults {
    uint64_t minor;
    uint64_t major;
};
struct hak_os_faults hak_os_faults(void);

/* Zero memory whose address is a multiple of `alignment` (a power of two >= page size); NULL when
 * refused. Releases what it mapped in excess for the alignment. Ranges that the kernel would not
 * take back (os/kept.h) are used first. */
void *hak_os_map(size_t size, size_t alignment);

/* The same from explicit huge pages of 2 MiB, out of those that the administrator reserved; size
 * and address are multiples of 2 MiB. The call reserves the pages, so no touch fails. NULL when too
 * few are left. Such memory is purged and unmapped in steps of 2 MiB only. */
void *hak_os_map_huge(size_t size);

/* As hak_os_map at exactly `address`; NULL if something is mapped there or the kernel refuses. */
void *hak_os_map_at(void *address, size_t size);

/* The same from the kernel alone, at `place` (a multiple of the alignment; 0: anywhere) if nothing
 * is mapped there, else anywhere. */
void *hak_os_map_near(uintptr_t place, size_t size, size_t alignment);

/* For fresh memory of which few pages will be touched: no huge pages, and no core dumps of it. */
void hak_os_advise_sparse(void *address, size_t size);

/* Makes pages inaccessible that only hak_os_unmap will see again; ignores a failure. */
int hak_os_forbid(void *address, size_t size);

/* 0 or -errno. The range must be a mapping or a part of one. */
int hak_os_unmap(void *address, size_t size);

/* Unmaps unused memory. Where the kernel refuses (too many mappings), the pages go back and the
 * addresses are kept for the next map (os/kept.h). `kind` says whether hak_os_map_huge made it. */
enum hak_os_pages_kind { HAK_OS_PLAIN, HAK_OS_HUGETLB };
void hak_os_release(void *address, size_t size, enum hak_os_pages_kind kind);

/* Purges the pages, keeps the addresses. 0 or -errno (EINVAL where MADV_FREE is unknown). */
int hak_os_purge(void *address, size_t size, enum hak_os_purge how);

/* Purges many ranges (HAK_PURGE_NOW), by one madvise each: process_madvise could purge all in one
 * call, but no system call filter expects it from a malloc. 0 or -errno: the ranges from the first
 * refused one on keep their pages. */
struct hak_os_range {
    void *address;
    size_t size;
};
int hak_os_purge_ranges(const struct hak_os_range *ranges, unsigned count);

/* Whether growing may move the memory. */
enum hak_os_move { HAK_MOVE_NEVER, HAK_MOVE_ALLOWED };

/* Grows a mapping in place. 0 or -errno. -EFAULT: the range is no longer one mapping (the program
 * advised a part of it), so it cannot be moved either. */
int hak_os_grow(void *address, size_t old_size, size_t new_size);

/* Moves a mapping to exactly `target`, mapped memory of the library that it replaces. */
void *hak_os_remap_to(void *address, size_t old_size, size_t new_size, void *target);

/* Addresses to move a mapping to. They count neither as data nor as committed memory, so a block
 * can grow beyond half of a limit. NULL when refused. */
void *hak_os_map_target(size_t size, size_t alignment);

/* Whether a mapping can be moved now, tried with a page of its own: near the limit of mappings the
 * kernel refuses, and does not tell whether the target was unmapped. 1 or 0. */
int hak_os_can_move(void);

/* Keeps the range out of core dumps; ignores failures. Memory that is released is in them again. */
void hak_os_advise_no_dump(void *address, size_t size);

/* A child of fork finds the range zero (Linux 4.14). 0 or -errno. */
int hak_os_advise_wipe(void *address, size_t size);

/* Advice on transparent huge pages; ignores failures. */
void hak_os_advise_huge(void *address, size_t size, enum hak_os_huge how);

#endif
