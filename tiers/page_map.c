/* SPDX-License-Identifier: MIT */
/* The page map: reservation, its fall-backs, and writing entries. hak_page_map_start runs in the
 * starting thread; the rest in any thread: entries of a page are written by whoever owns the page.
 *
 *   whole:   hak_page_map[0 .. 2^47 / 64 KiB)                  8 GiB of addresses
 *   window:  64 GiB from the address of index `first`; hak_page_find checks the bounds, the fast
 *            paths are shut off
 *
 * Both are reserved as read-only memory, and made writable where regions come to lie. */
#include "tiers/page_map.h"

#include <errno.h>

#include "os/bits.h"
#include "os/lock.h"
#include "os/memory.h"

#if defined(__aarch64__)
enum { ADDRESS_BITS = 48 };
#else
enum { ADDRESS_BITS = 47 };
#endif

enum {
    WINDOW_BITS = 36,    /* 64 GiB, 4 MiB of map: more than a limit that forbids 8 GiB leaves */
    COMMIT_BYTES = 64 * 1024,
};

uint32_t *hak_page_map;

/* Written at start (window: at the first cover, under window_lock), read by all. */
static struct {
    enum hak_page_map_extent extent;
    uintptr_t first;           /* first index covered */
    uintptr_t count;           /* indexes covered; atomic */
    uint32_t *entries;         /* entry of `first` */
    struct hak_lock lock;      /* over the choice of the window and what follows */
    uintptr_t writable_from;   /* addresses of entries that the last commit made writable */
    uintptr_t writable_to;
} map;

enum hak_page_map_extent hak_page_map_start(void)
{
    if (map.extent != HAK_PAGE_MAP_NONE)
        return map.extent;
    uintptr_t count = (uintptr_t)1 << (ADDRESS_BITS - HAK_PAGE_SHIFT);
    uint32_t *entries = hak_os_reserve(count * sizeof *entries);
    if (entries != NULL) {
        map.entries = entries;
        map.count = count;
        map.extent = HAK_PAGE_MAP_WHOLE;
        hak_page_map = entries;
        return map.extent;
    }
    count = (uintptr_t)1 << (WINDOW_BITS - HAK_PAGE_SHIFT);
    entries = hak_os_reserve(count * sizeof *entries);
    if (entries != NULL) {
        map.entries = entries;
        map.extent = HAK_PAGE_MAP_WINDOW;
        /* Where it lies is decided by the first memory that must be covered: count stays 0. */
    }
    return map.extent;
}

/* The kernel maps top down, so most of the window lies below the first address. */
static void place_window(uintptr_t index)
{
    uintptr_t count = (uintptr_t)1 << (WINDOW_BITS - HAK_PAGE_SHIFT);
    uintptr_t above = count / 8;
    uintptr_t last = index + above;
    map.first = last > count ? last - count : 0;
    /* release: `first` is in place when hak_page_find sees the count */
    __atomic_store_n(&map.count, count, __ATOMIC_RELEASE);
}

static uint32_t *entry_of(uintptr_t index)
{
    return map.entries + (index - map.first);
}

struct hak_page hak_page_find(const void *address)
{
    uintptr_t index = (uintptr_t)address >> HAK_PAGE_SHIFT;
    /* acquire: pairs with place_window */
    uintptr_t count = __atomic_load_n(&map.count, __ATOMIC_ACQUIRE);
    if (index < map.first || index - map.first >= count)
        return (struct hak_page){ 0, HAK_PAGE_FOREIGN, 0 };
    /* relaxed: the program orders an allocation before the use of its pointer */
    return hak_page_unpack(__atomic_load_n(entry_of(index), __ATOMIC_RELAXED));
}

/* Makes the entries first .. last writable, and those around them: a heap that grows without gaps
 * asks the kernel once for each GiB. Under the lock. */
static int commit(uintptr_t first, uintptr_t last)
{
    uintptr_t begin = (uintptr_t)map.entries;
    uintptr_t end = begin + map.count * sizeof *map.entries;
    uintptr_t from = hak_align_down((uintptr_t)entry_of(first), COMMIT_BYTES);
    uintptr_t to = hak_align_up((uintptr_t)(entry_of(last) + 1), COMMIT_BYTES);
    from = from < begin ? begin : from;
    to = to > end ? end : to;
    if (from >= map.writable_from && to <= map.writable_to)
        return 0;
    int refused = hak_os_commit((void *)from, to - from);
    if (refused == 0) {
        map.writable_from = from;
        map.writable_to = to;
    }
    return refused;
}

int hak_page_map_cover(const void *address, size_t size)
{
    uintptr_t first = (uintptr_t)address >> HAK_PAGE_SHIFT;
    uintptr_t last = ((uintptr_t)address + size - 1) >> HAK_PAGE_SHIFT;
    hak_lock_acquire(&map.lock);
    if (map.extent == HAK_PAGE_MAP_WINDOW && map.count == 0)
        place_window(first);
    int refused = -ENOMEM;
    if (first >= map.first && last - map.first < map.count)
        refused = commit(first, last);
    hak_lock_release(&map.lock);
    return refused;
}

void hak_page_map_reset_lock(void)
{
    hak_lock_reset(&map.lock);
}

static void write_entry(uintptr_t index, uint32_t entry)
{
    /* relaxed: nobody looks the page up before the program holds an object of it */
    __atomic_store_n(entry_of(index), entry, __ATOMIC_RELAXED);
}

void hak_page_map_set_slab(const void *address, unsigned pages, unsigned class_id, unsigned home)
{
    uintptr_t index = (uintptr_t)address >> HAK_PAGE_SHIFT;
    for (unsigned offset = 0; offset < pages; offset++)
        write_entry(index + offset, hak_page_pack(class_id, offset, home));
}

void hak_page_map_set_kind(const void *address, size_t pages, enum hak_page_kind kind,
                           unsigned home)
{
    uintptr_t index = (uintptr_t)address >> HAK_PAGE_SHIFT;
    for (size_t page = 0; page < pages; page++)
        write_entry(index + page, hak_page_pack(0, kind, home));
}
