/* SPDX-License-Identifier: MIT */
/* Address space and pages from the kernel (see memory.h). Any thread; no state but the page size.
 *
 * head and tail are unmapped again. The kernel hands out addresses downwards, so the next map of
 * the same size and alignment mostly fits at the first try. */
#define _GNU_SOURCE
#include "os/memory.h"

#include <errno.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "os/bits.h"
#include "os/compiler.h"
#include "os/kept.h"
#include "os/probe.h"
#include "os/syscall.h"

/* Values of the kernel's interface that older libc headers lack. */
enum {
    ADVICE_FREE = 8,
    ADVICE_DOFORK = 11,
    ADVICE_HUGEPAGE = 14,
    ADVICE_NOHUGEPAGE = 15,
    ADVICE_DONTDUMP = 16,
    ADVICE_DODUMP = 17,
    ADVICE_WIPEONFORK = 18,
    FIXED_NOREPLACE = 0x100000,
    HUGE_2MB = 21 << 26, /* log2 of the size; without it the system's default size */
};

HAK_EARLY static size_t page_size; /* 0 until known; every writer writes the same value */

size_t hak_os_page_size(void)
{
    /* relaxed: publishes nothing, and all threads write the same value */
    size_t size = __atomic_load_n(&page_size, __ATOMIC_RELAXED);
    if (hak_likely(size != 0))
        return size;
    int saved = errno; /* getauxval() sets it when the entry is missing */
    size = getauxval(AT_PAGESZ);
    errno = saved;
    if (size == 0)
        return 4096;
    __atomic_store_n(&page_size, size, __ATOMIC_RELAXED); /* relaxed: as above */
    return size;
}

struct hak_os_faults hak_os_faults(void)
{
    struct rusage usage;
    if (hak_syscall2(SYS_getrusage, RUSAGE_SELF, (uintptr_t)&usage) != 0)
        return (struct hak_os_faults){0, 0};
    return (struct hak_os_faults){(uint64_t)usage.ru_minflt, (uint64_t)usage.ru_majflt};
}

/* mmap(2) of anonymous private memory; NULL when refused. */
static void *map_anonymous(void *address, size_t size, int protection, int flags)
{
    if (HAK_THREAD_SANITIZER) { /* through libc: the sanitizer must see the new mapping */
        int saved = errno;
        void *memory = mmap(address, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
        errno = saved;
        return memory == MAP_FAILED ? NULL : memory;
    }
    long result = hak_syscall6(SYS_mmap, (uintptr_t)address, size, (uintptr_t)protection,
                               (uintptr_t)(MAP_PRIVATE | MAP_ANONYMOUS | flags), (uintptr_t)-1, 0);
    return hak_syscall_failed(result) ? NULL : (void *)result;
}

static int advise(void *address, size_t size, int advice)
{
    return (int)hak_syscall3(SYS_madvise, (uintptr_t)address, size, (uintptr_t)advice);
}

/* Maps too much and unmaps the excess. */
static HAK_COLD void *map_and_trim(size_t size, size_t alignment, int protection, int flags)
{
    size_t room = size + alignment - hak_os_page_size();
    if (room < size)
        return NULL;
    char *raw = map_anonymous(NULL, room, protection, flags);
    if (raw == NULL)
        return NULL;
    size_t head = hak_align_up((uintptr_t)raw, alignment) - (uintptr_t)raw;
    size_t tail = room - size - head;
    /* If an unmap is refused (too many mappings), later maps use these untouched addresses. */
    if (head != 0)
        hak_os_release(raw, head, HAK_OS_PLAIN);
    if (tail != 0)
        hak_os_release(raw + head + size, tail, HAK_OS_PLAIN);
    return raw + head;
}

void *hak_os_map_near(uintptr_t place, size_t size, size_t alignment)
{
    void *address = map_anonymous((void *)place, size, PROT_READ | PROT_WRITE, 0);
    if (address == NULL || ((uintptr_t)address & (alignment - 1)) == 0)
        return address;
    hak_os_release(address, size, HAK_OS_PLAIN);
    return map_and_trim(size, alignment, PROT_READ | PROT_WRITE, 0);
}

void *hak_os_map(size_t size, size_t alignment)
{
    void *address = hak_kept_take(size, alignment);
    return hak_unlikely(address != NULL) ? address : hak_os_map_near(0, size, alignment);
}

void *hak_os_map_target(size_t size, size_t alignment)
{
    return map_and_trim(size, alignment, PROT_NONE, MAP_NORESERVE);
}

void *hak_os_map_huge(size_t size)
{
    return map_anonymous(NULL, size, PROT_READ | PROT_WRITE, MAP_HUGETLB | HUGE_2MB);
}

void *hak_os_map_at(void *address, size_t size)
{
    void *got = map_anonymous(address, size, PROT_READ | PROT_WRITE, FIXED_NOREPLACE);
    if (got == NULL || got == address)
        return got;
    /* Before Linux 4.17 the flag is ignored and the address is only a hint. */
    hak_os_release(got, size, HAK_OS_PLAIN);
    return NULL;
}

void hak_os_advise_sparse(void *address, size_t size)
{
    /* If refused, touched pages may cost more and appear in a core dump. */
    advise(address, size, ADVICE_NOHUGEPAGE);
    advise(address, size, ADVICE_DONTDUMP);
}

int hak_os_forbid(void *address, size_t size)
{
    return (int)hak_syscall3(SYS_mprotect, (uintptr_t)address, size, PROT_NONE);
}

int hak_os_advise_wipe(void *address, size_t size)
{
    return advise(address, size, ADVICE_WIPEONFORK);
}

void hak_os_advise_no_dump(void *address, size_t size)
{
    advise(address, size, ADVICE_DONTDUMP);
}

int hak_os_unmap(void *address, size_t size)
{
    return (int)hak_syscall2(SYS_munmap, (uintptr_t)address, size);
}

/* Makes the range writable, and inherited by children: the program may have changed both. A range
 * that cannot be reset stays mapped and unused. */
static HAK_COLD void keep(void *address, size_t size, enum hak_os_pages_kind kind)
{
    if (hak_syscall3(SYS_mprotect, (uintptr_t)address, size, PROT_READ | PROT_WRITE) != 0)
        return;
    if (kind == HAK_OS_HUGETLB) {
        hak_kept_put(address, size, HAK_KEPT_HUGE);
        return;
    }
    int is_shared = advise(address, size, ADVICE_DOFORK) == 0;
    advise(address, size, ADVICE_DODUMP);
    int is_zero = hak_os_purge(address, size, HAK_PURGE_NOW) == 0;
    if (is_shared)
        hak_kept_put(address, size, is_zero ? HAK_KEPT_ZERO : HAK_KEPT_DIRTY);
}

void hak_os_release(void *address, size_t size, enum hak_os_pages_kind kind)
{
    if (hak_unlikely(hak_os_unmap(address, size) != 0))
        keep(address, size, kind);
    else
        hak_kept_retry();
}

int hak_os_purge(void *address, size_t size, enum hak_os_purge how)
{
    int result = advise(address, size, how == HAK_PURGE_LAZY ? ADVICE_FREE : MADV_DONTNEED);
    if (result == 0)
        HAK_PROBE2(purge, address, size);
    return result;
}

int hak_os_purge_ranges(const struct hak_os_range *ranges, unsigned count)
{
    int result = 0;
    for (unsigned i = 0; i < count && result == 0; i++)
        result = hak_os_purge(ranges[i].address, ranges[i].size, HAK_PURGE_NOW);
    return result;
}

int hak_os_grow(void *address, size_t old_size, size_t new_size)
{
    long result = hak_syscall4(SYS_mremap, (uintptr_t)address, old_size, new_size, 0);
    return hak_syscall_failed(result) ? (int)result : 0;
}

void *hak_os_remap_to(void *address, size_t old_size, size_t new_size, void *target)
{
    long result = hak_syscall5(SYS_mremap, (uintptr_t)address, old_size, new_size,
                               MREMAP_MAYMOVE | MREMAP_FIXED, (uintptr_t)target);
    return hak_syscall_failed(result) ? NULL : (void *)result;
}

int hak_os_can_move(void)
{
    size_t size = hak_os_page_size();
    char *from = map_anonymous(NULL, size, PROT_READ | PROT_WRITE, 0);
    char *to = map_anonymous(NULL, size, PROT_READ | PROT_WRITE, 0);
    int moved = from != NULL && to != NULL && hak_os_remap_to(from, size, size, to) == to;
    if (from != NULL && !moved)
        hak_os_release(from, size, HAK_OS_PLAIN);
    if (to != NULL)
        hak_os_release(to, size, HAK_OS_PLAIN);
    return moved;
}

void hak_os_advise_huge(void *address, size_t size, enum hak_os_huge how)
{
    if (how == HAK_HUGE_DEFAULT)
        return;
    advise(address, size, how == HAK_HUGE_ALWAYS ? ADVICE_HUGEPAGE : ADVICE_NOHUGEPAGE);
}
