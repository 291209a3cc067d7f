/* SPDX-License-Identifier: MIT */
/* The page map: maps leaves and writes entries. Any thread: the owner of a page writes its entry;
 * an entry of the root is written once, by compare-and-swap from 0. */
#include "tiers/page_map.h"

#include <errno.h>

#include "os/memory.h"

struct hak_page_map hak_page_map __attribute__((aligned(HAK_CACHE_LINE)));

/* If two threads map the same leaf, the later one unmaps its own. If another thread forks in
 * between, the child keeps a leaf that nothing uses. */
static HAK_COLD int map_leaf(uint64_t *root)
{
    enum { LEAF_BYTES = HAK_PAGE_LEAF_ENTRIES * sizeof(uint32_t) };
    uint32_t *leaf = hak_os_map_sparse(LEAF_BYTES);
    if (leaf == NULL)
        return -ENOMEM;
    uint64_t none = 0;
    uint64_t distance = (uintptr_t)leaf - (uintptr_t)hak_page_map.nothing;
    /* release: pairs with the acquire in hak_page_map_cover. Readers load relaxed; page_map.h says
     * why. */
    if (!__atomic_compare_exchange_n(root, &none, distance, 0, __ATOMIC_RELEASE,
                                     __ATOMIC_RELAXED))
        hak_os_unmap(leaf, LEAF_BYTES);    /* if refused, 256 KiB of untouched addresses stay */
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

static void write_entry(uintptr_t index, uint32_t entry)
{
    /* relaxed, both: the caller covered the memory, or got it from the thread that did; and nobody
     * looks the page up before the program holds an object of it */
    uint64_t distance = __atomic_load_n(&hak_page_map.root[index / HAK_PAGE_LEAF_ENTRIES],
                                        __ATOMIC_RELAXED);
    if (hak_unlikely(distance == 0))
        __builtin_trap();    /* not covered: never write to `nothing` */
    uint32_t *leaf = (uint32_t *)((uintptr_t)hak_page_map.nothing + distance);
    __atomic_store_n(&leaf[index % HAK_PAGE_LEAF_ENTRIES], entry, __ATOMIC_RELAXED);
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
