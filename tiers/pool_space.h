/* SPDX-License-Identifier: MIT */
/* A pool's space: its regions, and which of their 64 KiB pages belong to no slab.
 *
 *   region (2 MiB):  | gap | page 1 | page 2 | ... | page 31 |
 *   header, elsewhere (header.h): struct hak_region with 32 slab descriptors
 *
 * The gap is never touched: an overflow from the memory below a region reaches no object at once.
 *
 *   fits: lists of regions by the length of their longest free run, then by how full they are. A
 *         bit says that a list is not empty, so the tightest fit is found by counting zeros.
 *
 *     run   1   1   1   1   2   2  ...  30  31        The tightest fit comes first, so long runs
 *     full  +++ ++  +   .   +++ ++      .   (empty)   stay whole, and almost empty regions become
 *                                                     empty: hak_pool_space_collect takes those.
 *
 *   dirty: regions with free pages that the kernel still backs, those visited longest ago first
 *
 * How much stays dirty: an eighth of the bytes in slabs, and what the space claims of the heap's
 * one credit (learn/credit.h). Beyond the first bytes of the credit, the space may claim as many as
 * the program took again in this time of decay or the one before, since it would have to fault them
 * in each time. They are counted as the rise of the bytes in slabs, but at most the bytes taken of
 * pages that had been in slabs before. So most pages of a first burst go back when they are freed;
 * fronts may serve the program afterwards, without any slow call that could purge. A space claims
 * at most slab_retain_bytes. The time of decay bounds each page in any case, and near the limit of
 * memory the shortfall is purged.
 *
 * Any thread, under the space's lock, which is never held over mmap. Bounds: a take or a give is a
 * few steps, however many regions there are; a tick or a give calls madvise at most as often as
 * stated below; longer tasks (purge, collect, settle) release the lock between portions. Memory: a
 * header for each region; a region is mapped only if no region has a run that is long enough. Pages
 * that madvise refuses stay dirty until they are due the next time. */
#ifndef HAK_TIERS_POOL_SPACE_H
#define HAK_TIERS_POOL_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "learn/credit.h"
#include "learn/settings.h"
#include "os/lock.h"
#include "os/numa.h"
#include "tiers/page_map.h"
#include "tiers/region.h"
#include "tiers/slab.h"

enum {
    HAK_REGION_PAGES = HAK_REGION_SIZE / HAK_PAGE_SIZE,
    HAK_SPACE_DEGREES = 4, /* of fullness, for each length of run */
    HAK_SPACE_LISTS = HAK_REGION_PAGES * HAK_SPACE_DEGREES,
    HAK_SPACE_WHOLLY_FREE = (HAK_REGION_PAGES - 1) * HAK_SPACE_DEGREES,
    /* The most that one call does. A give may purge as many runs as the longest slab has pages, so
     * that dirty pages never exceed their bound, however short the runs are. */
    HAK_SPACE_GIVE_CALLS = 8,
    HAK_SPACE_TICK_CALLS = 16,
    HAK_SPACE_PORTION_PAGES = 64, /* about 4 MiB */
};

/* The lists in which a region stands, at most once in each. */
enum hak_region_role { HAK_REGION_FITS, HAK_REGION_DIRTY, HAK_REGION_ALL, HAK_REGION_ROLES };

struct hak_region {
    struct hak_pool *pool; /* constant, as the next two */
    char *base;
    const struct hak_region_source *source;
    struct hak_region *next; /* in the list that hak_pool_space_collect returns */
    struct {
        struct hak_region *next;
        struct hak_region *previous;
    } links[HAK_REGION_ROLES];
    int node;             /* that it is bound to, or HAK_NODE_ANY; written under the lock, read
                             relaxed without it */
    uint32_t free_pages;  /* bit p: page p belongs to no slab; bit 0, the gap, is 0 */
    uint32_t dirty_pages; /* free pages that the kernel still backs */
    uint32_t known_pages; /* pages that were in slabs some time */
    uint32_t aged_pages;  /* dirty pages that were dirty at the last visit, too */
    uint64_t looked_ns;   /* the last visit, or when the region became dirty */
    uint64_t given_ns;    /* when pages last became dirty */
    struct hak_region_list *in_dirty; /* the list of dirty regions that it stands in */
    uint8_t fit;                      /* the list of `fits`; 0: in none, it has no free page */
    struct hak_slab slabs[HAK_REGION_PAGES]; /* indexed by the slab's first page */
};

enum {
    HAK_SPACE_FIRST = 2 * 1024 * 1024,
    HAK_SPACE_FIRST_SHARE = 4,
};

struct hak_region_list {
    struct hak_region *first;
    struct hak_region *last;
    uint32_t count;
};

struct hak_pool_space {
    struct hak_lock lock;
    const struct hak_region_source *source;
    uint64_t fitting[HAK_SPACE_LISTS / 64]; /* bit l: fits[l] is not empty */
    struct hak_region_list fits[HAK_SPACE_LISTS];
    struct hak_region_list dirty;
    struct hak_region_list spared; /* dirty, but only a full purge takes them */
    struct hak_region_list all;
    struct hak_region *looked_at; /* the next in `all` for statistics: pool_view.h */
    size_t dirty_bytes;
    uint64_t given_ns;      /* when pages were last given; relaxed */
    uint64_t refused_ns;    /* when the kernel last refused a purge; 0: never */
    size_t used_bytes;      /* of pages in slabs */
    size_t least_used;      /* bytes in slabs, in this time of decay */
    size_t rise[2];         /* above that; this and the last time of decay */
    size_t again_bytes[2];  /* taken of pages once in slabs; likewise */
    uint64_t taken_ns;      /* when this time of decay began */
    struct hak_claim claim; /* of what the heap may keep */
    size_t most_kept;       /* bytes that needed it in this time of decay */
};

/* What may be claimed before any of it was taken again: this many bytes, and a share of those in
 * slabs, up to HAK_CREDIT_FIRST. What a burst leaves stays until somebody looks at the clock, which
 * may be never; if another burst comes, the first one costs as many faults more. */
static inline size_t hak_pool_space_first(size_t used_bytes)
{
    size_t first = HAK_SPACE_FIRST + used_bytes / HAK_SPACE_FIRST_SHARE;
    return first < HAK_CREDIT_FIRST ? first : HAK_CREDIT_FIRST;
}

/* First page of the shortest free run of at least `count` pages, of equally short ones the one with
 * the most dirty pages; 0 if there is none (page 0 is never free). */
unsigned hak_pool_space_find_run(uint32_t free_pages, uint32_t dirty_pages, unsigned count);

/* Length of the longest run of ones. */
unsigned hak_pool_space_longest_run(uint32_t pages);

/* The list of `fits` for a region with such free pages. */
unsigned hak_pool_space_fit(uint32_t free_pages);

/* Takes `count` (1 to 8) pages of the region where they fit most tightly; NULL if none has room. */
void *hak_pool_space_take(struct hak_pool_space *space, unsigned count);

/* Enters a fresh region, and takes `count` of its pages. */
void *hak_pool_space_add(struct hak_pool_space *space, struct hak_region *region, unsigned count);

/* Takes back `count` pages, which must be reserved in the page map. If the space then holds more
 * dirty pages than the settings allow, it purges regions visited longest ago. */
void hak_pool_space_give(struct hak_pool_space *space, struct hak_region *region, unsigned first,
                         unsigned count, const struct hak_settings *settings);

/* Purges a portion of the pages that were free and dirty for settings->decay_ns. A page that stays
 * free is due after at most twice that time, even if others of its region come and go. */
void hak_pool_space_tick(struct hak_pool_space *space, const struct hak_settings *settings,
                         uint64_t now_ns);

/* Purges all free pages, in portions. Returns bytes. */
size_t hak_pool_space_purge(struct hak_pool_space *space);

/* Unlinks and purges all empty regions, and returns them as a list by `next`. */
struct hak_region *hak_pool_space_collect(struct hak_pool_space *space);

/* Unlinks all regions, in use or not, and returns them as a list by `next`. No other thread is in
 * the space. */
struct hak_region *hak_pool_space_end(struct hak_pool_space *space);

/* Binds all regions to the source's node, one for each time that it takes the lock. */
void hak_pool_space_settle(struct hak_pool_space *space, enum hak_os_pages pages);

#endif
