/* SPDX-License-Identifier: MIT */
/* Large segments: whole regions cut into runs of 4 KiB units, with a header elsewhere (header.h)
 * that describes the runs. The lock of the cache that owns the segment guards all of it;
 * hak_large_size alone reads one `kind` without the lock.
 *
 *    segment, a multiple of 2 MiB: units [0, units)
 *   +---------+------------+--------------------------------------+
 *   |   run   |    run     |                 run                  |
 *   +---------+------------+--------------------------------------+
 *    header
 *   +--------+-------------------+---------------------------+
 *   | fields | unit[0 .. units)  | dirty, watched: 1 bit/unit|
 *   |        | 16 bytes/unit     |                           |
 *   +--------+-------------------+---------------------------+
 *
 * Only the descriptors at both ends of a run are written: header pages are first touched as the
 * segment fills, and bookkeeping never touches the program's memory or purged pages:
 *
 *   used, busy:  [USED n] inner ... inner                       (busy: being purged, or in a batch)
 *   free:        [FREE n] inner ... [FREE_END n]                4 units or more, in the lists
 *   sliver:      [SLIVER n] inner [SLIVER n]                    1 to 3 units, in no list
 *
 * Descriptors inside a run read INNER, so a pointer into the middle of a run is never taken for its
 * start. The first four descriptors of a free run hold the links of the lists:
 *
 *            .number              .link
 *   run[0]   units                next in its bin
 *   run[1]   dirty units          previous in its bin
 *   run[2]                        older by time of freeing
 *   run[3]   (the end's, if 4)    newer
 *
 * The link of a used run holds the learner's key of its call site, or 0.
 *
 * A dirty bit says that the kernel backs a unit with pages, which may hold anything. The bits of a
 * used run are as they were before it was taken; giving the run back sets them all. A watched bit
 * says that the learner wants to know what becomes of a free unit.
 *
 * A segment of explicit huge pages is only purged as a whole: its free runs stay dirty and in no
 * order of age, but can be taken like others, until all of it is free and it is unmapped. */
#ifndef HAK_TIERS_LARGE_SEGMENT_H
#define HAK_TIERS_LARGE_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/bits.h"
#include "tiers/region.h"

enum {
    HAK_LARGE_UNIT_SHIFT = 12,
    HAK_LARGE_UNIT = 1 << HAK_LARGE_UNIT_SHIFT,
    HAK_LARGE_RUN_MIN = 4,                     /* units of the shortest run in the lists */
    HAK_LARGE_SEGMENT_MAX = 256 * 1024 * 1024, /* units that struct hak_unit can number */
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
    uint16_t kind;  /* enum hak_unit_kind */
    uint16_t index; /* its own, where a run begins or ends: the header is found by it */
    uint32_t number;
    struct hak_unit *link;
};

struct hak_large_cache;

/* The set of bins of a free run. */
enum hak_large_set { HAK_LARGE_DIRTY, HAK_LARGE_CLEAN, HAK_LARGE_SETS };

struct hak_large_segment {
    struct hak_large_cache *cache;  /* whose lock guards the rest; constant */
    struct hak_large_segment *next; /* in the cache's list */
    struct hak_large_segment *previous;
    char *base;  /* unit 0; constant, as the next two */
    size_t size; /* bytes mapped */
    uint32_t units;
    bool is_hugetlb;   /* consists of explicit huge pages; constant */
    bool asks_huge;    /* asked for transparent huge pages; constant */
    int node;          /* that it is bound to; written under the lock, read relaxed without it */
    uint64_t *dirty;   /* one bit a unit */
    uint64_t *watched; /* one bit a unit */
    struct hak_unit unit[];
};

/* A header for fresh memory; no run is made yet. NULL: refused. */
struct hak_large_segment *hak_large_segment_start(struct hak_large_cache *cache, void *memory,
                                                  size_t size);

/* Gives the header back, of a segment that was withdrawn or never published. */
void hak_large_segment_end(struct hak_large_segment *segment);

/* Enters the segment in the page map, or takes it out. */
void hak_large_segment_publish(struct hak_large_segment *segment);
void hak_large_segment_withdraw(struct hak_large_segment *segment);

/* The segment that an address lies in, NULL if it lies in none. Any thread, no lock. */
struct hak_large_segment *hak_large_segment_find(const void *address);

/* Writes the descriptors of both ends of a run: `units` from `index` on are of this kind. */
void hak_large_segment_mark(struct hak_large_segment *segment, uint32_t index, uint32_t units,
                            enum hak_unit_kind kind);

/* Erases the descriptors of both ends of a run that is about to become part of another. */
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

/* Zeroes the dirty units of a used run. Its owner calls this without the lock: nobody changes the
 * bits of a used run, though others may change other bits of the same words. */
void hak_large_segment_clear(const struct hak_large_segment *segment, uint32_t index,
                             uint32_t units);

/* The segment of a descriptor that begins a run. */
static inline struct hak_large_segment *hak_large_segment_of(const struct hak_unit *run)
{
    return (struct hak_large_segment *)((uintptr_t)(run - run->index) -
                                        offsetof(struct hak_large_segment, unit));
}

static inline uint32_t hak_large_segment_index(const struct hak_large_segment *segment,
                                               const struct hak_unit *run)
{
    return (uint32_t)(run - segment->unit);
}

/* Whether a free run of this many units is the whole segment. */
static inline bool hak_large_segment_is_whole(const struct hak_large_segment *segment,
                                              uint32_t units)
{
    return units == segment->units;
}

static inline void *hak_large_segment_address(const struct hak_large_segment *segment,
                                              uint32_t index)
{
    return segment->base + ((size_t)index << HAK_LARGE_UNIT_SHIFT);
}

/* ---- the lists of free runs (large_segment.c); the caller holds the lock ---- */

/* Makes a free run or a sliver of units that belong to no run; merges nothing. The run comes behind
 * `older` by age; NULL makes it the oldest. */
void hak_large_file(struct hak_large_cache *cache, struct hak_large_segment *segment,
                    uint32_t index, uint32_t units, uint32_t dirty, struct hak_unit *older);

/* Takes a free run out of the lists and erases it: its units belong to no run. Returns its dirty
 * units, and in *older the next older run, if it was linked by age. */
uint32_t hak_large_unfile(struct hak_large_cache *cache, struct hak_large_segment *segment,
                          struct hak_unit *run, struct hak_unit **older);

/* A free run of one set with room for `units` from a multiple of `alignment` (in units) on, or
 * NULL: the best of the first few runs of the right bin, else the first of a higher bin. */
struct hak_unit *hak_large_find(struct hak_large_cache *cache, enum hak_large_set set,
                                uint32_t units, uint32_t alignment);

/* Units to skip at the start of a free run for the alignment (in units). */
uint32_t hak_large_lead(const struct hak_unit *run, uint32_t alignment);

#endif
