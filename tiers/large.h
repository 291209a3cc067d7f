/* SPDX-License-Identifier: MIT */
/* The large tier: runs of 4 KiB units above HAK_MID_MAX up to HAK_LARGE_MAX, cut from segments of
 * whole regions (tiers/large_segment.h). One cache a shard, under one lock; any thread may take
 * from it or give to it.
 *
 * Free runs stand in lists by size, 16 bins for each doubling, with a bitmap over the bins: good
 * fit in constant time, as in TLSF (Masmano et al., "TLSF: a new dynamic memory allocator for
 * real-time systems", ECRTS 2004). There are two sets of bins. The runs that hold dirty pages are
 * the BigCache: last in, first out, always asked before clean memory, since a clean page costs a
 * fault and adds to what the process holds. They are also linked by the time of their freeing:
 * their pages go back to the kernel from the old end, when there are too many, or when so many
 * were not needed for a time.
 *
 * Runs are coalesced at once; which of their units are dirty is known one by one, so merging a
 * dirty run with a clean one loses nothing, and calloc clears no more than it must.
 *
 * Locks: the cache's is taken before that of the page map's window, and is never held over a map,
 * an unmap or a purge: a run whose pages are being purged is BUSY, nobody's until the lock is had
 * again. */
#ifndef HAK_TIERS_LARGE_H
#define HAK_TIERS_LARGE_H

#include <stddef.h>
#include <stdint.h>

#include "learn/learner.h"
#include "learn/policy.h"
#include "os/lock.h"
#include "os/numa.h"
#include "stats/counters.h"
#include "tiers/large_segment.h"
#include "tiers/region.h"

enum {
    HAK_LARGE_MAX = 8 * 1024 * 1024,             /* above: whales */
    HAK_LARGE_ALIGNMENT_MAX = HAK_REGION_SIZE,   /* above: whales */
    HAK_LARGE_BINS = 224,                        /* up to 2^17 units, more than any segment has */
    HAK_LARGE_BIN_WORDS = (HAK_LARGE_BINS + 63) / 64,
    HAK_LARGE_BATCH_MAX = 32,                    /* runs in a batch */
};

enum hak_zero { HAK_ZERO_NO, HAK_ZERO_YES };

/* The set of bins of a free run. */
enum hak_large_set { HAK_LARGE_DIRTY, HAK_LARGE_CLEAN, HAK_LARGE_SETS };

/* All zero, then hak_large_init: valid. */
struct hak_large_cache {
    struct hak_lock lock;                    /* over all that follows where not said otherwise */
    uint32_t now;                            /* the last tick's time; ticks read it atomically */
    uint32_t window;                         /* when the present time of decay began */
    uint32_t batched;                        /* HAK_ARM_BATCH: runs that wait, BUSY, */
    uint32_t batched_units;
    uint32_t touches;                        /* takes of clean memory; relaxed atomic */
    uint32_t sharing;                        /* caches that large_retain_bytes is for; 0: this
                                                alone; relaxed atomic */
    uint64_t batch_ns;                       /* since then */
    const struct hak_region_source *source;  /* constant */
    struct hak_learner *learner;             /* constant */
    struct hak_large_segment *segments;
    struct hak_unit *oldest;                 /* dirty free runs by time of freeing */
    struct hak_unit *newest;
    size_t mapped_bytes;                     /* written under the lock, read atomically by grow */
    size_t used_units;                       /* in used and busy runs */
    size_t dirty_units;                      /* in free runs that can be purged, slivers not
                                                counted; neighbours look at it without the lock */
    size_t least_dirty;                      /* the least dirty_units were in this window */
    size_t futile[2];                        /* dirty units of which none could be purged, and some
                                                more: not to be tried again below; huge pages
                                                spared, or not */
    size_t surplus;                          /* what is still to purge of the last window's least */
    uint64_t occupied[HAK_LARGE_SETS][HAK_LARGE_BIN_WORDS]; /* which bins are not empty */
    struct hak_unit *bins[HAK_LARGE_SETS][HAK_LARGE_BINS];
    struct hak_unit *batch[HAK_LARGE_BATCH_MAX];
};

/* Bytes of a cache, for statistics. */
struct hak_large_bytes {
    size_t used;     /* in the program's hands */
    size_t dirty;    /* free, with pages behind that can be purged */
    size_t mapped;   /* in segments, headers included */
};

/* source and learner must live as long as the cache; the learner is used under the cache's lock. */
void hak_large_init(struct hak_large_cache *cache, const struct hak_region_source *source,
                    struct hak_learner *learner);

/* Bytes that a request of `size` gets at least (its usable size). size <= HAK_LARGE_MAX. */
size_t hak_large_round(size_t size);

/* size: 1..HAK_LARGE_MAX; alignment: a power of two up to HAK_LARGE_ALIGNMENT_MAX. NULL: out of
 * memory.
 *
 * Every run begins at a multiple of 4096. To begin at changing cache lines instead, so that first
 * lines do not share sets of the caches, was tried: churning runs of 64 KiB to 4 MiB, one byte of
 * each page written, became 1.6 times slower, since recycled pages were then met at cold lines. */
void *hak_large_take(struct hak_large_cache *cache, size_t size, size_t alignment,
                     enum hak_zero zero, const struct hak_policy *policy);

/* The same, but only what has pages behind it already, and if nobody is in the cache: for
 * neighbours. NULL: there is none. */
void *hak_large_take_dirty(struct hak_large_cache *cache, size_t size, size_t alignment,
                           enum hak_zero zero, const struct hak_policy *policy);

/* The same of whatever is mapped, with pages or without, and nothing is mapped for it: when the
 * kernel refuses. */
void *hak_large_take_mapped(struct hak_large_cache *cache, size_t size, size_t alignment,
                            enum hak_zero zero, const struct hak_policy *policy);

/* Any thread; finds the cache by itself. 1, or 0 and nothing done when no live run begins there. */
int hak_large_give(void *object, const struct hak_policy *policy);

/* Notes the hash (not 0) of the call site that a live run was allocated by, for the learner. */
void hak_large_set_site(void *object, uint32_t site);

/* Usable bytes; 0 when no live run begins there. No lock. */
size_t hak_large_size(const void *object);

/* Makes a live run hold `size` bytes without moving it: 1, or 0 when that cannot be. Shrinking
 * gives back the end if that is an eighth or more. */
int hak_large_resize(void *object, size_t size, const struct hak_policy *policy);

/* Tells the time, and purges what was not needed for policy->decay_ns, a few runs a call. For slow
 * paths; a handful of instructions when there is nothing to do. Any thread. */
void hak_large_tick(struct hak_large_cache *cache, const struct hak_policy *policy,
                    uint64_t now_ns);

/* Gives all dirty pages back to the kernel now, wholly free segments with their addresses. Bytes
 * given back. */
size_t hak_large_trim(struct hak_large_cache *cache);

/* The process comes near its limit of memory: unused pages go as far as they are missed. */
void hak_large_relieve(struct hak_large_cache *cache, const struct hak_policy *policy);

/* A last tick of the learner. */
void hak_large_end_learning(struct hak_large_cache *cache, const struct hak_policy *policy,
                            uint64_t now_ns);

/* Binds all segments to the source's node; what is in them stays, or moves, which may take long. */
void hak_large_settle(struct hak_large_cache *cache, enum hak_os_pages pages);

struct hak_large_bytes hak_large_bytes(struct hak_large_cache *cache);


/* ---- the lists of free runs; between large.c and large_segment.c, lock held ---- */

/* Makes a free run or a sliver out of units that belong to no run; merges nothing. `older` is what
 * it follows by age, NULL: nothing. */
void hak_large_file(struct hak_large_cache *cache, struct hak_large_segment *segment,
                    uint32_t index, uint32_t units, uint32_t dirty, struct hak_unit *older);

/* Takes a free run out of the lists and erases it: its units belong to no run. Returns its dirty
 * units, and in *older its neighbour by age if there are any. */
uint32_t hak_large_unfile(struct hak_large_cache *cache, struct hak_large_segment *segment,
                          struct hak_unit *run, struct hak_unit **older);

/* A free run of one set that holds `units` from a multiple of `alignment` (in units) on, NULL if
 * there is none: the best of the first few of the right bin, else the first of a greater one. */
struct hak_unit *hak_large_find(struct hak_large_cache *cache, enum hak_large_set set,
                                uint32_t units, uint32_t alignment);

/* Units to skip at the start of a free run for the alignment (in units). */
uint32_t hak_large_lead(const struct hak_unit *run, uint32_t alignment);

#endif
