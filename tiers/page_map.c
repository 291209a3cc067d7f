/* SPDX-License-Identifier: MIT */
/* The page map: maps leaves and writes entries. Any thread: the owner of a page writes its entry;
 * an entry of the root is written once, by compare-and-swap from 0. */
#include "tiers/page_map.h"

#include <errno.h>

#include "os/apart.h"
#include "os/bits.h"
#include "os/memory.h"

struct hak_page_map hak_page_map __attribute__((aligned(HAK_CACHE_LINE)));

/* If two threads map the same leaf, the later one unmaps its own. If another thread forks in
 * between, the child keeps a leaf that nothing uses. */
static HAK_COLD int map_leaf(uint64_t *root)
{
    size_t page = hak_os_page_size();
    size_t size = hak_align_up(sizeof(struct hak_page_leaf), page);
    struct hak_page_leaf *leaf = hak_apart_map_meta(size, page);
    if (leaf == NULL)
        return -ENOMEM;
    /* Few of its pages are touched. They are in core dumps, where a debugger reads them. */
    hak_os_advise_huge(leaf, size, HAK_HUGE_NEVER);
    uint64_t none = 0;
    uint64_t distance = (uintptr_t)leaf - (uintptr_t)hak_page_map.nothing;
    /* release: pairs with the acquire in hak_page_map_cover. Readers load relaxed; page_map.h says
     * why. */
    if (!__atomic_compare_exchange_n(root, &none, distance, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        hak_apart_release_meta(leaf, size, page);
    return 0;
}

int hak_page_map_cover(const void *address, size_t size)
{
    uintptr_t last = (uintptr_t)address + size - 1;
    if (last < (uintptr_t)address || last >> HAK_OS_ADDRESS_BITS != 0)
        return -ENOMEM;
    uint64_t *root = &hak_page_map.root[(uintptr_t)address >> HAK_PAGE_LEAF_SHIFT];
    uint64_t *end = &hak_page_map.root[(last >> HAK_PAGE_LEAF_SHIFT) + 1];
    for (; root < end; root++) {
        /* acquire: pairs with the release in map_leaf */
        if (__atomic_load_n(root, __ATOMIC_ACQUIRE) == 0 && map_leaf(root) != 0)
            return -ENOMEM;
    }
    return 0;
}

/* relaxed, here and below: the caller covered the memory, or got it from the thread that did; and
 * no thread looks the page up before the program holds an object of it */
static struct hak_page_leaf *leaf_of(uintptr_t address)
{
    uint64_t distance =
        __atomic_load_n(&hak_page_map.root[address >> HAK_PAGE_LEAF_SHIFT], __ATOMIC_RELAXED);
    if (hak_unlikely(distance == 0))
        __builtin_trap(); /* not covered: never write to `nothing` */
    return (struct hak_page_leaf *)((uintptr_t)hak_page_map.nothing + distance);
}

static void write_entry(uintptr_t index, uint32_t entry)
{
    struct hak_page_leaf *leaf = leaf_of(index << HAK_PAGE_SHIFT);
    __atomic_store_n(&leaf->entry[index % HAK_PAGE_LEAF_ENTRIES], entry, __ATOMIC_RELAXED);
}

void hak_page_map_set_slab(const void *address, unsigned pages, unsigned class_id, unsigned home)
{
    uintptr_t index = (uintptr_t)address >> HAK_PAGE_SHIFT;
    for (unsigned offset = 0; offset < pages; offset++)
        write_entry(index + offset, hak_page_pack(class_id, offset, home));
}

void hak_page_map_set_own_slab(const void *address, unsigned pages, unsigned home)
{
    uintptr_t index = (uintptr_t)address >> HAK_PAGE_SHIFT;
    for (unsigned offset = 0; offset < pages; offset++)
        write_entry(index + offset, hak_page_pack(0, HAK_PAGE_OWN_SLAB + offset, home));
}

void hak_page_map_set_kind(const void *address, size_t pages, enum hak_page_kind kind,
                           unsigned home)
{
    uintptr_t index = (uintptr_t)address >> HAK_PAGE_SHIFT;
    for (size_t page = 0; page < pages; page++)
        write_entry(index + page, hak_page_pack(0, kind, home));
}

void hak_page_map_set_header(const void *address, size_t size, void *header)
{
    uintptr_t region = (uintptr_t)address >> HAK_PAGE_HEADER_SHIFT;
    uintptr_t end = region + (size >> HAK_PAGE_HEADER_SHIFT);
    for (; region < end; region++) {
        struct hak_page_leaf *leaf = leaf_of(region << HAK_PAGE_HEADER_SHIFT);
        /* relaxed: as above */
        __atomic_store_n(&leaf->header[region % HAK_PAGE_LEAF_HEADERS], header, __ATOMIC_RELAXED);
    }
}
