/* SPDX-License-Identifier: MIT */
/* The large tier: runs of 4 KiB units, longer than HAK_MID_MAX and up to HAK_LARGE_MAX, cut from
 * segments of whole regions (tiers/large_segment.h). A shard has one cache or several (lanes), each
 * with a lock; any thread may take from it and give to it.
 *
 * Free runs are in lists by size, 16 bins for each doubling, with a bitmap over the bins: good fit
 * in constant time, as in TLSF (Masmano et al., "TLSF: a new dynamic memory allocator for real-time
 * systems", ECRTS 2004). There are two sets of bins. One is for runs with dirty pages: last in,
 * first out, and always searched before clean memory, since a clean page costs a fault and makes
 * the process larger. Dirty runs are also linked by the time of freeing: the oldest are purged when
 * there are too many dirty pages, or when some were not needed for a time.
 *
 * A freed run is merged with free neighbours at once. Each unit has its own dirty bit, so merging a
 * dirty run with a clean one loses nothing, and calloc clears only what it must.
 *
 * The lock is never held over a map, an unmap or a purge: a run whose pages are being purged is
 * BUSY, and belongs to the purging thread until that has the lock again. */
#ifndef HAK_TIERS_LARGE_H
#define HAK_TIERS_LARGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "learn/credit.h"
#include "learn/learner.h"
#include "learn/settings.h"
#include "os/lock.h"
#include "os/numa.h"
#include "stats/counters.h"
#include "tiers/large_segment.h"
#include "tiers/region.h"

enum {
    HAK_LARGE_MAX = 32 * 1024 * 1024,          /* longer ones are whales */
    HAK_LARGE_GROWN_MAX = 8 * 1024 * 1024,     /* the same for memory that realloc grows */
    HAK_LARGE_ALIGNMENT_MAX = HAK_REGION_SIZE, /* more aligned ones are whales */
    HAK_LARGE_BINS = 224,                      /* up to 2^17 units, more than any segment has */
    HAK_LARGE_BIN_WORDS = (HAK_LARGE_BINS + 63) / 64,
    HAK_LARGE_BATCH_MAX = 32,  /* runs in a batch */
    HAK_LARGE_TICK_SHIFT = 20, /* a tick is 2^20 ns, about a millisecond */
};

enum hak_zero { HAK_ZERO_NO, HAK_ZERO_YES };

/* What a cache counts, for statistics. It does so itself and not in the shard's counters, of which
 * each run wrote three: eight lanes sent those lines to and fro. */
struct hak_large_counts {
    uint64_t takes; /* HAK_COUNTER_LARGE_NAME */
    uint64_t gives;
    uint64_t cached_hits;
};

/* All zero, then hak_large_init: valid. */
struct hak_large_cache {
    struct hak_lock lock; /* guards all that follows, unless stated otherwise */
    uint32_t now;         /* the last tick's time; ticks read it atomically */
    uint32_t window;      /* when this time of decay began */
    uint32_t batched;     /* runs in the batch (HAK_ARM_BATCH), all BUSY */
    uint32_t batched_units;
    uint32_t touches;                       /* takes of clean memory; relaxed atomic */
    uint64_t batch_ns;                      /* when the batch began */
    const struct hak_region_source *source; /* constant */
    struct hak_learner *learner;            /* constant */
    struct hak_large_segment *segments;
    struct hak_unit *oldest; /* dirty free runs, by the time of freeing */
    struct hak_unit *newest;
    size_t mapped_bytes;            /* written under the lock, read relaxed by grow */
    size_t used_units;              /* in used and busy runs */
    size_t dirty_units;             /* in free runs that can be purged, without slivers;
                                       neighbours read it without the lock */
    size_t least_dirty;             /* the minimum of dirty_units in this window */
    size_t futile[2];               /* by enum thorough: a purge that gave back nothing is
                                       not repeated up to this many dirty units */
    size_t most_kept;               /* the maximum beyond used_share in this window */
    struct hak_claim claim;         /* of the unused bytes that the heap may keep */
    struct hak_large_counts counts; /* written under the lock, read relaxed */
    size_t surplus;                 /* units still to purge of the last least_dirty */
    uint64_t occupied[HAK_LARGE_SETS][HAK_LARGE_BIN_WORDS]; /* which bins are not empty */
    struct hak_unit *bins[HAK_LARGE_SETS][HAK_LARGE_BINS];
    struct hak_unit *batch[HAK_LARGE_BATCH_MAX];
};

/* Bytes of a cache, for statistics. */
struct hak_large_bytes {
    size_t used;   /* held by the program */
    size_t dirty;  /* free, but still backed by the kernel; slivers not counted */
    size_t mapped; /* in segments, without their headers */
};

/* source and learner must outlive the cache; its lock guards the learner. */
void hak_large_init(struct hak_large_cache *cache, const struct hak_region_source *source,
                    struct hak_learner *learner);

/* The least usable size of a request of `size` bytes. size <= HAK_LARGE_MAX. */
size_t hak_large_round(size_t size);

/* size: 1 to HAK_LARGE_MAX; alignment: a power of two up to HAK_LARGE_ALIGNMENT_MAX. NULL: out of
 * memory.
 *
 * Every run begins at a multiple of 4096. Runs that begin at varying cache lines, so that first
 * lines do not share sets of a cache, were tried: a churn of runs of 64 KiB to 4 MiB, writing one
 * byte of each page, became 1.6 times slower, since it then met cold lines of recycled pages. */
void *hak_large_take(struct hak_large_cache *cache, size_t size, size_t alignment,
                     enum hak_zero zero, const struct hak_settings *settings);

/* The same for neighbours: takes only a dirty run, and only if the lock is free; else NULL. */
void *hak_large_take_dirty(struct hak_large_cache *cache, size_t size, size_t alignment,
                           enum hak_zero zero, const struct hak_settings *settings);

/* The same after the kernel has refused memory: takes dirty or clean runs, but maps nothing. */
void *hak_large_take_mapped(struct hak_large_cache *cache, size_t size, size_t alignment,
                            enum hak_zero zero, const struct hak_settings *settings);

/* Gives a run back to its cache, from any thread. False, with nothing done, if no live run begins
 * there. */
bool hak_large_give(void *object, const struct hak_settings *settings);

/* Notes, for the learner, the hash (not 0) of the call site that allocated a live run. */
void hak_large_set_site(void *object, uint32_t site);

/* Usable bytes; 0 if no live run begins there. Takes no lock. */
size_t hak_large_size(const void *object);

/* Changes the size of a live run without moving it; false if that is impossible. A shrinking run
 * gives back its end only if that is an eighth or more. */
bool hak_large_resize(void *object, size_t size, const struct hak_settings *settings);

/* Binds all segments to the source's node. `pages` says whether their pages stay where they are or
 * move, which may take long. */
void hak_large_settle(struct hak_large_cache *cache, enum hak_os_pages pages);

struct hak_large_bytes hak_large_bytes(struct hak_large_cache *cache);

/* Takes no lock: each is a number that it was at some moment. */
struct hak_large_counts hak_large_counts(const struct hak_large_cache *cache);

/* Unmaps all segments, in use or not: the cache is at its end. No other thread is in the cache. */
void hak_large_end(struct hak_large_cache *cache);

#endif
