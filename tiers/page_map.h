/* SPDX-License-Identifier: MIT */
/* Address -> who owns it: two loads for a free, no header in front of anything.
 *
 * A page is 64 KiB. Each has an entry of 4 bytes:
 *
 *      class:8 | offset:8 | home:16
 *
 * class 1 and up: a slab of that class; offset: pages back to the slab's first; home: id of the
 * shard that owns it. class 0: offset says what lies there (enum hak_page_kind), home belongs to
 * that tier. An address nobody registered reads as 0: class 0, HAK_PAGE_FOREIGN.
 *
 * Entries lie in leaves, one for each 4 GiB of addresses, and the root leads to the leaves:
 *
 *      address   | beyond user space: 0 | root: 15 or 16 | leaf: 16 | within the page: 16 |
 *
 * A leaf is mapped when the heap enters its 4 GiB. Until then the leaf is `nothing`, static as the
 * root is; an entry of the root is the distance from there to the leaf. So a root of zeros is a map
 * of nothing: it needs no start, and nobody tests for a missing leaf.
 *
 * Memory: 512 KiB of .bss, of which the kernel backs the pages that are written; 256 KiB of
 * addresses for each 4 GiB that the heap ever entered, of which the kernel backs 4 KiB for each
 * 64 MiB of heap. A leaf stays for good, since a reader may be late.
 *
 * An entry changes only while no object of its page is in the program's hands, so a free reads
 * what the allocation wrote: the program's own passing of the pointer orders the two. The same
 * holds for the root's entry, which was written before the memory's first object was handed out.
 * Who looks an address up that is not ours may see the root before or after: `nothing`, or a leaf,
 * in which the address has no entry, either. The leaf's address comes out of the root, so no
 * reader is at the leaf before it was mapped. */
#ifndef HAK_TIERS_PAGE_MAP_H
#define HAK_TIERS_PAGE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/arch.h"
#include "os/compiler.h"

enum {
    HAK_PAGE_SHIFT = 16,
    HAK_PAGE_SIZE = 1 << HAK_PAGE_SHIFT,
    HAK_PAGE_LEAF_SHIFT = 32,
    HAK_PAGE_LEAVES = 1 << (HAK_OS_ADDRESS_BITS - HAK_PAGE_LEAF_SHIFT),
    HAK_PAGE_LEAF_ENTRIES = 1 << (HAK_PAGE_LEAF_SHIFT - HAK_PAGE_SHIFT),
};

enum hak_page_kind {
    HAK_PAGE_FOREIGN = 0,         /* not ours */
    HAK_PAGE_LARGE = 1,           /* inside a large segment; home: 2 MiB units back to its start */
    HAK_PAGE_WHALE = 2,           /* first page of a whale; home: low 16 bits of its number */
    HAK_PAGE_WHALE_NUMBER = 3,    /* second page of a whale; home: high 16 bits of its number */
    HAK_PAGE_RESERVED = 4,        /* ours, but never handed out (headers) */
    HAK_PAGE_SIDE = 5,            /* made while a thread forked (heap/beside.h); home: how */
};

struct hak_page {
    uint8_t class_id;
    uint8_t offset;
    uint16_t home;
};

/* One object, so that one register leads to both parts. `nothing` is never written. */
struct hak_page_map {
    uint32_t nothing[HAK_PAGE_LEAF_ENTRIES];
    uint64_t root[HAK_PAGE_LEAVES];    /* bytes from `nothing` to the leaf; atomic */
};

extern HAK_HIDDEN struct hak_page_map hak_page_map;

static inline struct hak_page hak_page_unpack(uint32_t entry)
{
    return (struct hak_page){ (uint8_t)entry, (uint8_t)(entry >> 8), (uint16_t)(entry >> 16) };
}

static inline uint32_t hak_page_pack(unsigned class_id, unsigned offset, unsigned home)
{
    return (uint32_t)class_id | (uint32_t)offset << 8 | (uint32_t)home << 16;
}

/* Whether the address lies beyond user space, where the map has no room for it. */
static inline bool hak_page_is_beyond(const void *address)
{
    return (uintptr_t)address >> HAK_PAGE_LEAF_SHIFT >= HAK_PAGE_LEAVES;
}

static inline uint64_t hak_page_distance(const struct hak_page_map *map, const void *address)
{
    const uint64_t *root = &map->root[(uintptr_t)address >> HAK_PAGE_LEAF_SHIFT];
    /* relaxed: see above; a plain load is the same, and can be part of an addition */
    return HAK_THREAD_SANITIZER ? __atomic_load_n(root, __ATOMIC_RELAXED) : *root;
}

/* The raw entry of an address that is not beyond user space. The empty instructions hide from the
 * compiler where `leaf` comes from: a leaf is no part of hak_page_map, and addresses would be added
 * up by instructions of their own instead of by those that load. */
static inline uint32_t hak_page_entry_within(const void *address)
{
    const struct hak_page_map *leaf = &hak_page_map;
    __asm__("" : "+r"(leaf));
    leaf = (const void *)((uintptr_t)leaf + hak_page_distance(leaf, address));
    __asm__("" : "+r"(leaf));
    uint64_t page = (uint32_t)(uintptr_t)address >> HAK_PAGE_SHIFT;
    /* relaxed: see above, the program orders it */
    return __atomic_load_n(&leaf->nothing[page], __ATOMIC_RELAXED);
}

/* The raw entry of an address: any 64 bits will do. */
static inline uint32_t hak_page_entry(const void *address)
{
    return hak_unlikely(hak_page_is_beyond(address)) ? 0 : hak_page_entry_within(address);
}

static inline struct hak_page hak_page_find(const void *address)
{
    return hak_page_unpack(hak_page_entry(address));
}

/* The leaf of an address that is ours; for who looks up many addresses of the same 4 GiB. It stays
 * for good. */
static inline const uint32_t *hak_page_leaf(const void *address)
{
    return (const uint32_t *)((uintptr_t)hak_page_map.nothing +
                              hak_page_distance(&hak_page_map, address));
}

/* The raw entry of an address by the leaf of its 4 GiB. */
static inline uint32_t hak_page_entry_of_leaf(const uint32_t *leaf, const void *address)
{
    uint64_t page = (uint32_t)(uintptr_t)address >> HAK_PAGE_SHIFT;
    return __atomic_load_n(&leaf[page], __ATOMIC_RELAXED);    /* relaxed: as above */
}

/* Maps the leaves of [address, address + size) that are not there yet. 0, or -ENOMEM: then the
 * memory cannot be used (beyond user space, or the kernel refuses a leaf). Takes no lock: any
 * thread, also while another forks. Its work: one look for each 4 GiB. */
int hak_page_map_cover(const void *address, size_t size);

/* Enters a slab: its pages get offsets 0, 1, 2, ... from the first. The memory is covered, here
 * and below. */
void hak_page_map_set_slab(const void *address, unsigned pages, unsigned class_id, unsigned home);

/* Enters pages that belong to another tier, or (HAK_PAGE_FOREIGN, 0) forgets them. */
void hak_page_map_set_kind(const void *address, size_t pages, enum hak_page_kind kind,
                           unsigned home);

#endif
