/* SPDX-License-Identifier: MIT */
/* Address space and pages from the kernel. Raw system calls: errno is never touched, nothing of
 * libc is entered, so every function may run before libc is ready and inside any signal-free
 * context. Sizes are bytes and multiples of hak_os_page_size() unless said otherwise. Functions
 * that can fail return NULL or a negative errno value. Any thread. */
#ifndef HAK_OS_MEMORY_H
#define HAK_OS_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* Bits of the addresses that the kernel hands out to who asks for no higher ones. */
#if defined(__aarch64__)
enum { HAK_OS_ADDRESS_BITS = 48 };
#else
enum { HAK_OS_ADDRESS_BITS = 47 };
#endif

enum hak_os_purge {
    HAK_PURGE_LAZY,   /* MADV_FREE: the kernel takes the pages when it needs them */
    HAK_PURGE_NOW,    /* MADV_DONTNEED: gone at once, zero at the next touch */
};

enum hak_os_huge {
    HAK_HUGE_DEFAULT, /* as the system is set */
    HAK_HUGE_ALWAYS,  /* MADV_HUGEPAGE */
    HAK_HUGE_NEVER,   /* MADV_NOHUGEPAGE */
};

/* Bytes of a kernel page: AT_PAGESZ, 4096 until it is known. */
size_t hak_os_page_size(void);

/* Fresh zero memory whose address is a multiple of `alignment` (a power of two >= page size);
 * NULL when refused. What was mapped in excess for the alignment has been unmapped again. */
void *hak_os_map(size_t size, size_t alignment);

/* The same of explicit huge pages of 2 MiB, out of those that the administrator set aside: size and
 * address are multiples of that. They are reserved by the call: a touch finds one. NULL when there
 * are too few, or none. Such memory is purged and unmapped in steps of 2 MiB only. */
void *hak_os_map_huge(size_t size);

/* As hak_os_map at exactly `address`, or NULL if something lies there or the kernel will not. */
void *hak_os_map_at(void *address, size_t size);

/* Zero memory of which few pages will be touched: never huge pages, left out of core dumps. NULL
 * when refused. */
void *hak_os_map_sparse(size_t size);

/* 0 or -errno. The address must be mapped, as a whole or a part of a mapping. */
int hak_os_unmap(void *address, size_t size);

/* Gives back the pages, keeps the addresses. 0 or -errno (EINVAL where MADV_FREE is unknown). */
int hak_os_purge(void *address, size_t size, enum hak_os_purge how);

/* Gives back the pages of many ranges (HAK_PURGE_NOW), by a madvise for each: the one call for all
 * (process_madvise) is what no filter of system calls expects of a malloc. 0 or -errno: the ranges
 * from the first refused one on keep their pages. */
struct hak_os_range {
    void *address;
    size_t size;
};
int hak_os_purge_ranges(const struct hak_os_range *ranges, unsigned count);

/* Grows or shrinks a mapping, moving it if it must and `may_move` says so; NULL when refused
 * (the old mapping is then untouched). */
enum hak_os_move { HAK_MOVE_NEVER, HAK_MOVE_ALLOWED };
void *hak_os_remap(void *address, size_t old_size, size_t new_size, enum hak_os_move move);

/* Moves a mapping to exactly `target`, which must be mapped memory of our own to be replaced. */
void *hak_os_remap_to(void *address, size_t old_size, size_t new_size, void *target);

/* Advice on transparent huge pages; failures are of no consequence and not told. */
void hak_os_advise_huge(void *address, size_t size, enum hak_os_huge how);

#endif
