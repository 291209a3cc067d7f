/* SPDX-License-Identifier: MIT */
/* Address -> who owns it: one load for a free, no header in front of anything.
 *
 * A page is 64 KiB. The map is a flat array of 4-byte entries indexed by address / 64 KiB:
 *
 *      class:8 | offset:8 | home:16
 *
 * class 1..77: a slab of that class; offset: pages back to the slab's first; home: id of the
 * shard that owns it. class 0: offset says what lies there (enum hak_page_kind), home belongs to
 * that tier. An address nobody registered reads as 0: class 0, HAK_PAGE_FOREIGN.
 *
 * The array covers all of user space (8 GiB of reserved addresses, of which the kernel backs what
 * is used: 4 KiB for each 64 MiB of heap). Where an address-space limit forbids that, it covers a
 * window around the first region; then no front may be used (hak_page_of needs the whole map) and
 * everything goes through hak_page_find.
 *
 * An entry changes only while no object of its page is in the program's hands, so a free reads
 * what the allocation wrote: the program's own passing of the pointer orders the two. */
#ifndef HAK_TIERS_PAGE_MAP_H
#define HAK_TIERS_PAGE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "os/compiler.h"

enum {
    HAK_PAGE_SHIFT = 16,
    HAK_PAGE_SIZE = 1 << HAK_PAGE_SHIFT
};

enum hak_page_kind {
    HAK_PAGE_FOREIGN = 0,         /* not ours */
    HAK_PAGE_LARGE = 1,           /* inside a large segment; home: 2 MiB units back to its start */
    HAK_PAGE_WHALE = 2,           /* first page of a whale; home: low 16 bits of its number */
    HAK_PAGE_WHALE_NUMBER = 3,    /* second page of a whale; home: high 16 bits of its number */
    HAK_PAGE_RESERVED = 4,        /* ours, but never handed out (headers) */
    HAK_PAGE_SIDE = 5,            /* made while a thread forked (shard/beside.h); home: how */
};

struct hak_page {
    uint8_t class_id;
    uint8_t offset;
    uint16_t home;
};

/* Indexed by address >> HAK_PAGE_SHIFT; valid for every user address when whole. */
extern HAK_HIDDEN uint32_t *hak_page_map;

/* How much of user space the map covers. */
enum hak_page_map_extent { HAK_PAGE_MAP_NONE, HAK_PAGE_MAP_WINDOW, HAK_PAGE_MAP_WHOLE };

static inline struct hak_page hak_page_unpack(uint32_t entry)
{
    return (struct hak_page){ (uint8_t)entry, (uint8_t)(entry >> 8), (uint16_t)(entry >> 16) };
}

static inline uint32_t hak_page_pack(unsigned class_id, unsigned offset, unsigned home)
{
    return (uint32_t)class_id | (uint32_t)offset << 8 | (uint32_t)home << 16;
}

/* The raw entry of an address. Only when the map is whole. */
static inline uint32_t hak_page_entry(const void *address)
{
    /* relaxed: see above, the program orders it */
    return __atomic_load_n(&hak_page_map[(uintptr_t)address >> HAK_PAGE_SHIFT], __ATOMIC_RELAXED);
}

/* Safe for any value of address, any extent of the map. */
struct hak_page hak_page_find(const void *address);

/* Reserves the map; by the one thread that starts the library. */
enum hak_page_map_extent hak_page_map_start(void);

/* Makes the entries of [address, address + size) writable. 0, or -ENOMEM: then the memory cannot
 * be used (out of the window, or commit refused). Any thread. */
int hak_page_map_cover(const void *address, size_t size);

void hak_page_map_reset_lock(void);   /* in the child of a fork */

/* Enters a slab: its pages get offsets 0, 1, 2, ... from the first. */
void hak_page_map_set_slab(const void *address, unsigned pages, unsigned class_id, unsigned home);

/* Enters pages that belong to another tier, or (HAK_PAGE_FOREIGN, 0) forgets them. */
void hak_page_map_set_kind(const void *address, size_t pages, enum hak_page_kind kind,
                           unsigned home);

#endif
