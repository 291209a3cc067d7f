/* SPDX-License-Identifier: MIT */
/* Address -> its class and home: two loads for a free, and no header in front of objects.
 *
 * A page is 64 KiB. Each has an entry of 4 bytes:
 *
 *      class:8 | offset:8 | home:16
 *
 * class 1 and up: a slab of that class; offset: pages back to the slab's first page; home: id of
 * the shard that owns it. class 0: offset says what lies there (enum hak_page_kind), and home
 * belongs to that tier. An address that is not ours reads as 0: class 0, HAK_PAGE_FOREIGN.
 *
 * Entries lie in leaves, one for each 4 GiB of addresses, and the root leads to the leaves:
 *
 *      address   | beyond user space: 0 | root: 15 or 16 | leaf: 16 | within the page: 16 |
 *
 * A leaf is mapped when the heap first has memory in its 4 GiB. Until then `nothing` serves as the
 * leaf: static zeros. An entry of the root is the distance from `nothing` to the leaf. So a root of
 * zeros is an empty map: it needs no initialization, and no reader tests for a missing leaf.
 *
 * Behind its entries a leaf has a pointer for each region of 2 MiB: to the header of the region, or
 * of the large segment that the region is part of. Slow paths follow it, for an address whose entry
 * says that it lies in a slab or a large segment.
 *
 * Memory: 512 KiB of .bss, of which the kernel backs the pages that are written; 272 KiB of
 * addresses for each 4 GiB in which the heap ever had memory, of which the kernel backs 4 KiB for
 * each 64 MiB of heap and 4 KiB for each GiB. A leaf is never unmapped, since a reader may be late.
 *
 * An entry changes only while the program holds no object of its page, so a free reads what the
 * allocation wrote: the program passed the pointer from one to the other, which orders them. The
 * same holds for the root's entry, which was written before the memory's first object was handed
 * out. A look-up of an address that is not ours may see the root before or after the change: it
 * finds `nothing`, or a leaf without an entry for the address. A reader gets the leaf's address
 * from the root, so it cannot be at the leaf before that is mapped. */
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
    HAK_PAGE_HEADER_SHIFT = 21, /* a header describes regions of 2 MiB */
    HAK_PAGE_LEAF_HEADERS = 1 << (HAK_PAGE_LEAF_SHIFT - HAK_PAGE_HEADER_SHIFT),
};

enum hak_page_kind {
    HAK_PAGE_FOREIGN = 0,      /* not ours */
    HAK_PAGE_LARGE = 1,        /* inside a large segment */
    HAK_PAGE_WHALE = 2,        /* first page of a whale; home: low 16 bits of its number */
    HAK_PAGE_WHALE_NUMBER = 3, /* second page of a whale; home: high 16 bits of its number */
    HAK_PAGE_RESERVED = 4,     /* ours, but never handed out (headers) */
    HAK_PAGE_SIDE = 5,         /* made while a thread forked (heap/beside.h); home: how */
    HAK_PAGE_EMPTY = 6,        /* addresses without memory (tiers/empty.h) */
    /* Of heaps that the program made (heap/own_shard.h); home: number of the shard. These too are
     * class 0, so no front, transfer cache or inbox of another heap ever has room for them. */
    HAK_PAGE_OWN = 64,
    HAK_PAGE_OWN_SLAB = 64,  /* and pages back to the slab's first: 64 .. 71 */
    HAK_PAGE_OWN_ALONE = 72, /* first page of an object with a mapping of its own */
    HAK_PAGE_OWN_LARGE = 73, /* inside a large segment */
    HAK_PAGE_OWN_TINY = 128, /* and the class: a slab of one page with objects up to 1 KiB */
};

struct hak_page {
    uint8_t class_id;
    uint8_t offset;
    uint16_t home;
};

struct hak_page_leaf {
    uint32_t entry[HAK_PAGE_LEAF_ENTRIES];
    void *header[HAK_PAGE_LEAF_HEADERS]; /* atomic */
};

/* One object, so that one base register reaches both parts. `nothing` is never written, and has no
 * headers. */
struct hak_page_map {
    uint32_t nothing[HAK_PAGE_LEAF_ENTRIES];
    uint64_t root[HAK_PAGE_LEAVES]; /* bytes from `nothing` to the leaf; atomic */
};

extern HAK_HIDDEN struct hak_page_map hak_page_map;

static inline struct hak_page hak_page_unpack(uint32_t entry)
{
    return (struct hak_page){(uint8_t)entry, (uint8_t)(entry >> 8), (uint16_t)(entry >> 16)};
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
    /* relaxed: see above. A plain load does the same, and the compiler can fold it into an add. */
    return HAK_THREAD_SANITIZER ? __atomic_load_n(root, __ATOMIC_RELAXED) : *root;
}

/* The raw entry of an address in user space. The empty asm statements hide from the compiler where
 * `leaf` comes from. A leaf is not part of hak_page_map; and otherwise the compiler would compute
 * addresses by separate instructions instead of within the loads. */
static inline uint32_t hak_page_entry_within(const void *address)
{
    const struct hak_page_map *leaf = &hak_page_map;
    __asm__("" : "+r"(leaf));
    leaf = (const void *)((uintptr_t)leaf + hak_page_distance(leaf, address));
    __asm__("" : "+r"(leaf));
    uint64_t page = (uint32_t)(uintptr_t)address >> HAK_PAGE_SHIFT;
    /* relaxed: the program orders it, see above */
    return __atomic_load_n(&leaf->nothing[page], __ATOMIC_RELAXED);
}

/* The raw entry of any address. */
static inline uint32_t hak_page_entry(const void *address)
{
    return hak_unlikely(hak_page_is_beyond(address)) ? 0 : hak_page_entry_within(address);
}

static inline struct hak_page hak_page_find(const void *address)
{
    return hak_page_unpack(hak_page_entry(address));
}

/* Whether a page belongs to a heap that the program made. */
static inline bool hak_page_is_own(struct hak_page page)
{
    return page.class_id == 0 && page.offset >= HAK_PAGE_OWN;
}

/* The same, and whether it is of a slab. */
static inline bool hak_page_is_own_slab(struct hak_page page)
{
    return hak_page_is_own(page) &&
           (page.offset < HAK_PAGE_OWN_ALONE || page.offset >= HAK_PAGE_OWN_TINY);
}

/* The leaf of an address that is ours, for callers that look up many addresses of the same 4 GiB.
 * A leaf is never unmapped. */
static inline const uint32_t *hak_page_leaf(const void *address)
{
    return (const uint32_t *)((uintptr_t)hak_page_map.nothing +
                              hak_page_distance(&hak_page_map, address));
}

/* The header of an address whose entry says that it lies in a slab or a large segment. */
static inline void *hak_page_header(const void *address)
{
    const struct hak_page_leaf *leaf = (const struct hak_page_leaf *)hak_page_leaf(address);
    /* relaxed: ordered as the entry is, which is written later and erased before */
    return __atomic_load_n(&leaf->header[(uint32_t)(uintptr_t)address >> HAK_PAGE_HEADER_SHIFT],
                           __ATOMIC_RELAXED);
}

/* Maps the missing leaves of [address, address + size). Returns 0, or -ENOMEM if the memory is
 * beyond user space or the kernel refuses a leaf: the memory cannot be used then. Takes no lock:
 * any thread, also while another forks. Its work is one test for each 4 GiB. */
int hak_page_map_cover(const void *address, size_t size);

/* Writes the entries of a slab: its pages get the offsets 0, 1, 2, ... Here and below, the memory
 * must be covered. */
void hak_page_map_set_slab(const void *address, unsigned pages, unsigned class_id, unsigned home);

/* The same for a slab of a heap that the program made: kinds HAK_PAGE_OWN_SLAB and up. */
void hak_page_map_set_own_slab(const void *address, unsigned pages, unsigned home);

/* Writes the entries of pages that belong to another tier, or erases them (HAK_PAGE_FOREIGN, 0). */
void hak_page_map_set_kind(const void *address, size_t pages, enum hak_page_kind kind,
                           unsigned home);

/* Enters the header of `size` bytes from `address` on, both multiples of 2 MiB; NULL forgets it. */
void hak_page_map_set_header(const void *address, size_t size, void *header);

#endif
