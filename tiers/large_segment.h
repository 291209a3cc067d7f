/* SPDX-License-Identifier: MIT */
/* Large segments: whole regions cut into runs of 4 KiB units, described by a header at their
 * start. Under the lock of the cache that owns the segment, hak_large_size's look at one `kind`
 * apart.
 *
 *    segment, a multiple of 2 MiB
 *   +--------+-----------+---------------------+--------+------------+--------------------+
 *   | fields | dirty,    | unit[0 .. units)    |  run   |    run     |        run         |
 *   |        | watched:  | 16 bytes/unit       |        |            |                    |
 *   |        | 1 bit/unit|                     |        |            |                    |
 *   +--------+-----------+---------------------+--------+------------+--------------------+
 *    header: units [0, first)                   units [first, units)
 *
 * Only the descriptors at both ends of a run are written, so header pages are touched as the
 * segment fills, and neither user memory nor purged pages ever serve for bookkeeping:
 *
 *   used, busy:  [USED n] inner ... inner                       (busy: purged, or in a batch)
 *   free:        [FREE n] inner ... [FREE_END n]                4 units or more, in the lists
 *   sliver:      [SLIVER n] inner [SLIVER n]                    1 to 3 units, in no list
 *
 * Descriptors within a run read INNER, so that a pointer into the middle of one is never taken
 * for its start. The first four descriptors of a free run lend their other fields to the lists:
 *
 *            .number              .link
 *   run[0]   units                next in its bin
 *   run[1]   dirty units          previous in its bin
 *   run[2]                        older by time of freeing
 *   run[3]   (the end's, if 4)    newer
 *
 * The link of a used run holds the key by which the learner knows its call site, 0 if it does not.
 *
 * A dirty bit says that a unit may hold something else than zeroes and has pages behind it. The
 * bits of a used run are those of the time before it was taken; giving it sets them all. A watched
 * bit says that the learner wants to know what becomes of a free unit.
 *
 * A segment of explicit huge pages is never purged piecewise: its free runs stay dirty, found as
 * others are but in no order of age, until it is free as a whole and can be unmapped. */
#ifndef HAK_TIERS_LARGE_SEGMENT_H
#define HAK_TIERS_LARGE_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "os/bits.h"
#include "tiers/region.h"

enum {
    HAK_LARGE_UNIT_SHIFT = 12,
    HAK_LARGE_UNIT = 1 << HAK_LARGE_UNIT_SHIFT,
    HAK_LARGE_RUN_MIN = 4, /* units of a free run that the lists can hold */
    HAK_LARGE_SEGMENT_MAX = 256 * 1024 * 1024, /* keeps the header within the first region */
};

enum hak_unit_kind {
    HAK_UNIT_INNER = 0,
    HAK_UNIT_USED,
    HAK_UNIT_BUSY,
    HAK_UNIT_FREE,
    HAK_UNIT_FREE_END,
    HAK_UNIT_SLIVER,
};

struct hak_unit {
    uint32_t kind; /* enum hak_unit_kind */
    uint32_t number;
    struct hak_unit *link;
};

struct hak_large_cache;

struct hak_large_segment {
    struct hak_large_cache *cache;      /* whose lock guards the rest; constant */
    struct hak_large_segment *next;     /* in the cache's list */
    struct hak_large_segment *previous;
    size_t size;                        /* bytes mapped; constant, as what follows */
    uint32_t units;
    uint32_t first;                     /* units of the header */
    int is_hugetlb;                     /* of explicit huge pages: purged as a whole or not at
                                           all; constant */
    int asks_huge;                      /* for huge pages; constant */
    int node;                           /* that it is bound to; under the lock, read relaxed */
    struct hak_unit *unit;
    uint64_t *watched;                  /* one bit a unit */
    uint64_t dirty[];                   /* one bit a unit */
};

/* Units of the header of a segment of `size` bytes. */
uint32_t hak_large_segment_overhead(size_t size);

/* Fills in the header of fresh memory; no run is made yet. */
void hak_large_segment_start(struct hak_large_segment *segment, struct hak_large_cache *cache,
                             size_t size);

/* Enters the segment in the page map, or takes it out. */
void hak_large_segment_publish(struct hak_large_segment *segment);
void hak_large_segment_withdraw(struct hak_large_segment *segment);

/* The segment of a live or once live address, NULL if it lies in none. Any thread, no lock. */
struct hak_large_segment *hak_large_segment_find(const void *address);

/* Writes both ends of a run: its `units` from `index` on become of this kind. */
void hak_large_segment_mark(struct hak_large_segment *segment, uint32_t index, uint32_t units,
                            enum hak_unit_kind kind);

/* Erases both ends of a run that is about to become part of another. */
void hak_large_segment_unmark(struct hak_large_segment *segment, uint32_t index);

/* The free run or sliver that ends before `index`, or that begins at it; NULL if there is none. */
struct hak_unit *hak_large_segment_free_before(struct hak_large_segment *segment, uint32_t index);
struct hak_unit *hak_large_segment_free_at(struct hak_large_segment *segment, uint32_t index);

void hak_large_segment_set_dirty(struct hak_large_segment *segment, uint32_t index, uint32_t units);
void hak_large_segment_set_clean(struct hak_large_segment *segment, uint32_t index, uint32_t units);
uint32_t hak_large_segment_count_dirty(const struct hak_large_segment *segment, uint32_t index,
                                       uint32_t units);

/* Sets the watched bit of a unit. */
void hak_large_segment_watch(struct hak_large_segment *segment, uint32_t index);

/* The first watched unit of [index, end), or end. */
uint32_t hak_large_segment_next_watched(const struct hak_large_segment *segment, uint32_t index,
                                        uint32_t end);
void hak_large_segment_unwatch(struct hak_large_segment *segment, uint32_t index);

/* Zeroes the dirty ones of a used run's units; by the run's holder, no lock: the bits of a used run
 * do not change, those beside them in a word may. */
void hak_large_segment_clear(const struct hak_large_segment *segment, uint32_t index,
                             uint32_t units);

/* Of any descriptor: the header lies within the first region. */
static inline struct hak_large_segment *hak_large_segment_of(const struct hak_unit *run)
{
    return (struct hak_large_segment *)hak_align_down((uintptr_t)run, HAK_REGION_SIZE);
}

static inline uint32_t hak_large_segment_index(const struct hak_large_segment *segment,
                                               const struct hak_unit *run)
{
    return (uint32_t)(run - segment->unit);
}

/* Whether units in one free run are all that there are. */
static inline int hak_large_segment_is_whole(const struct hak_large_segment *segment,
                                             uint32_t units)
{
    return units == segment->units - segment->first;
}

static inline void *hak_large_segment_address(const struct hak_large_segment *segment,
                                              uint32_t index)
{
    return (char *)segment + ((size_t)index << HAK_LARGE_UNIT_SHIFT);
}

#endif
