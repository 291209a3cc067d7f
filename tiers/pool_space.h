/* SPDX-License-Identifier: MIT */
/* A pool's space: its regions, and which of their pages of 64 KiB belong to no slab.
 *
 *   region (2 MiB):  | header: 32 slab descriptors | page 1 | page 2 | ... | page 31 |
 *
 *   fits: lists of regions by the length of their longest free run, and of those by how full they
 *         are; a bit says that a list is not empty, so the tightest fit is found by counting zeros
 *
 *     run   1   1   1   1   2   2  ...  30  31        regions with longer runs stay whole, and of
 *     full  +++ ++  +   .   +++ ++      .   wholly    those with equal runs the emptier ones
 *           free: what hak_pool_space_collect takes
 *
 *   dirty: regions whose free pages the kernel still backs, those looked at longest ago first
 *
 * How much stays dirty: slab_retain_bytes, and beyond that as much as was taken within this time of
 * decay or the one before (what a program takes again and again it would fault in again and
 * again), but no more than is in slabs now, and all spaces together no more than slab_lend_bytes.
 * Each page is bounded by the time of decay anyway; near the limit of memory what is missing goes.
 *
 * Any thread, under the space's lock, which is never held over mmap. Bounds: a take and a give are
 * a few steps however many regions there are; a tick and a give make so many calls of madvise as
 * stands below, and no more; what goes on longer (purge, collect, settle) leaves the lock between
 * portions. Memory: a header page for each region; a region is mapped only when no run of any
 * region is long enough. A refused madvise leaves pages dirty; they are tried again when they are
 * due the next time, not before. */
#ifndef HAK_TIERS_POOL_SPACE_H
#define HAK_TIERS_POOL_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "learn/policy.h"
#include "os/lock.h"
#include "os/numa.h"
#include "tiers/page_map.h"
#include "tiers/region.h"
#include "tiers/slab.h"

enum {
    HAK_REGION_PAGES = HAK_REGION_SIZE / HAK_PAGE_SIZE,
    HAK_SPACE_DEGREES = 4,                       /* of fullness, for each length of run */
    HAK_SPACE_LISTS = HAK_REGION_PAGES * HAK_SPACE_DEGREES,
    HAK_SPACE_WHOLLY_FREE = (HAK_REGION_PAGES - 1) * HAK_SPACE_DEGREES,
    /* Work of one call. A give may purge as many runs as a slab has pages at most, so that what is
     * dirty never grows beyond what may be kept, however short the runs. */
    HAK_SPACE_GIVE_CALLS = 8,
    HAK_SPACE_TICK_CALLS = 16,
    HAK_SPACE_PORTION_PAGES = 64,                /* 4 MiB in one go, about */
};

/* Lists in which a region can stand at once. */
enum hak_region_role { HAK_REGION_FITS, HAK_REGION_DIRTY, HAK_REGION_ALL, HAK_REGION_ROLES };

struct hak_region {
    struct hak_pool *pool;
    struct hak_region *next;     /* of those that were collected */
    struct {
        struct hak_region *next;
        struct hak_region *previous;
    } links[HAK_REGION_ROLES];
    int node;                    /* that it is bound to, or HAK_NODE_ANY; under the lock, read
                                    relaxed by whoever asks for it */
    uint32_t free_pages;         /* bit p: page p belongs to no slab; bit 0 (header) never */
    uint32_t dirty_pages;        /* free pages that the kernel still backs */
    uint32_t aged_pages;         /* those of them that were dirty when last looked at */
    uint64_t looked_ns;          /* when that was, or when the region became dirty */
    uint64_t given_ns;           /* when pages last became dirty */
    struct hak_region_list *in_dirty;           /* the list of dirty ones that it stands in */
    uint8_t fit;                 /* the list of `fits`; 0: no free page, in none */
    struct hak_slab slabs[HAK_REGION_PAGES];    /* by the slab's first page */
};

struct hak_region_list {
    struct hak_region *first;
    struct hak_region *last;
    uint32_t count;
};

struct hak_pool_space {
    struct hak_lock lock;
    const struct hak_region_source *source;
    uint64_t fitting[HAK_SPACE_LISTS / 64];     /* bit l: fits[l] is not empty */
    struct hak_region_list fits[HAK_SPACE_LISTS];
    struct hak_region_list dirty;
    struct hak_region_list spared;              /* dirty, but only purged when all must go */
    struct hak_region_list all;
    size_t dirty_bytes;
    uint64_t given_ns;                          /* when pages last came; relaxed atomic for looks */
    uint64_t refused_ns;                        /* when a purge was refused; 0: never */
    size_t used_bytes;                          /* of pages in slabs */
    size_t taken_bytes[2];                      /* in this time of decay, and in the one before */
    uint64_t taken_ns;                          /* when this one began */
    size_t kept_for_all;                        /* slab_retain_bytes, as last seen */
    size_t lent_bytes;                          /* dirty beyond that; in the sum over all spaces */
};

/* First page of a run of `count` pages: of the shortest one that is long enough, of several the one
 * with the most dirty pages; 0 if there is none (page 0 is never free). */
unsigned hak_pool_space_find_run(uint32_t free_pages, uint32_t dirty_pages, unsigned count);

/* Length of the longest run of ones. */
unsigned hak_pool_space_longest_run(uint32_t pages);

/* The list of `fits` for a region with such free pages. */
unsigned hak_pool_space_fit(uint32_t free_pages);

/* `count` (1 .. 8) pages of the region that they fit into most tightly; NULL: of none. */
void *hak_pool_space_take(struct hak_pool_space *space, unsigned count);

/* Enters a fresh region, and takes `count` of its pages. */
void *hak_pool_space_add(struct hak_pool_space *space, struct hak_region *region, unsigned count);

/* Takes back `count` pages, which the page map must know as reserved already. Beyond what the
 * policy lets it keep, it purges those looked at longest ago. */
void hak_pool_space_give(struct hak_pool_space *space, struct hak_region *region, unsigned first,
                         unsigned count, const struct hak_policy *policy);

/* Purges, in one portion, what was dirty and free for policy->decay_ns: a page that stays so is due
 * at latest after twice that, also where others around it come and go. */
void hak_pool_space_tick(struct hak_pool_space *space, const struct hak_policy *policy,
                         uint64_t now_ns);

/* Purges everything, portion by portion. Bytes. */
size_t hak_pool_space_purge(struct hak_pool_space *space);

/* Unlinks wholly free regions, purged, as a list by `next`. */
struct hak_region *hak_pool_space_collect(struct hak_pool_space *space);

/* Binds all regions to the source's node, one under the lock at a time. */
void hak_pool_space_settle(struct hak_pool_space *space, enum hak_os_pages pages);

#endif
