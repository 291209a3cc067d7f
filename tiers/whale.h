/* SPDX-License-Identifier: MIT */
/* Whales: allocations above HAK_LARGE_MAX, or with an alignment above what a large segment gives:
 * each a mapping of its own, aligned to 2 MiB or more. A small cache keeps the last freed ones.
 * Any thread.
 *
 * The page map knows two pages of a whale, however long it is, so that 100 GiB cost no more than
 * 10 MiB; between them they hold the number of its descriptor:
 *
 *    address         + 64 KiB              + 128 KiB                       + size
 *   +---------------+---------------------+------------ - - - ------------+
 *   | WHALE, low 16 | WHALE_NUMBER, high 16 |  FOREIGN                    |
 *   +---------------+---------------------+------------ - - - ------------+
 *
 * Descriptors stand in chunks, each twice as long as the one before, so that a number is found in
 * two steps, no descriptor ever moves, and there is no limit but that of the numbers.
 *
 * Lock: one, taken before that of tiers/meta.h; never held over a system call for the memory of a
 * whale. A whale on its way between the program, the cache and the kernel is in no list. */
#ifndef HAK_TIERS_WHALE_H
#define HAK_TIERS_WHALE_H

#include <stddef.h>
#include <stdint.h>

#include "learn/learner.h"
#include "learn/policy.h"
#include "os/lock.h"
#include "os/memory.h"
#include "tiers/large.h"
#include "tiers/region.h"

enum {
    HAK_WHALE_CHUNK_FIRST_SHIFT = 6,  /* descriptors of the first chunk, log2 */
    HAK_WHALE_CHUNKS = 32 - HAK_WHALE_CHUNK_FIRST_SHIFT,
    HAK_WHALE_CACHED_MAX = 8,         /* whales in the cache */
};

struct hak_whale {
    void *address;                           /* NULL: the descriptor is not in use */
    size_t size;                             /* bytes mapped, all usable */
    const struct hak_region_source *source;  /* for whom it was mapped last */
    struct hak_whale *next;                  /* unused descriptors, or younger in the cache */
    uint32_t number;                         /* constant */
    uint32_t freed;                          /* tick when it came into the cache */
    uint32_t live;                           /* in the program's hands */
    uint32_t is_hugetlb;                     /* of explicit huge pages: it cannot grow */
};

/* All zero, then hak_whale_start: valid, and empty. */
struct hak_whales {
    struct hak_lock lock;                    /* over all that follows */
    uint32_t now;                            /* the last tick's time; ticks read it atomically */
    uint32_t count;                          /* numbers ever used */
    uint32_t cached_count;
    struct hak_whale *chunks[HAK_WHALE_CHUNKS];
    struct hak_whale *unused;
    struct hak_whale *oldest;                /* the cache, in the order of freeing */
    size_t used_bytes;
    size_t cached_bytes;
    struct hak_claim claim;                  /* of what the heap may keep unused: cached_bytes */
    struct hak_learner learner;              /* whether a freed one is kept or given back */
};

/* Bytes of all whales, for statistics. */
struct hak_whale_bytes {
    size_t used;
    size_t cached;
};

/* Begins to learn anew, by the policy; nobody may be in here. */
void hak_whale_start(struct hak_whales *whales, const struct hak_policy *policy);

/* size: any up to PTRDIFF_MAX; alignment: a power of two, honoured up to what the address space
 * holds (2 MiB is always given). NULL: out of memory. source must live as long as the whale. */
void *hak_whale_take(struct hak_whales *whales, const struct hak_region_source *source, size_t size,
                     size_t alignment, enum hak_zero zero, const struct hak_policy *policy);

/* 1, or 0 and nothing done when no live whale begins there. */
int hak_whale_give(struct hak_whales *whales, void *object, const struct hak_policy *policy);

/* Usable bytes; 0 when no live whale begins there. */
size_t hak_whale_size(struct hak_whales *whales, const void *object);

/* The same without the lock, for who finds the heap frozen: nothing changes then, but that it may
 * thaw meanwhile; and of a live whale only its owner changes it. */
size_t hak_whale_size_beside(struct hak_whales *whales, const void *object);

/* For whom a live whale was mapped, NULL when none begins there; and for whom it counts from now
 * on, its pages having moved. */
const struct hak_region_source *hak_whale_source(struct hak_whales *whales, const void *object);
void hak_whale_adopt(struct hak_whales *whales, const void *object,
                     const struct hak_region_source *source);

/* Makes a live whale hold `size` bytes (what is added is zero), moving pages but no bytes. The
 * address, a new one only where `move` allows it and then aligned to 2 MiB; NULL when it cannot be,
 * or only by a copy (the program cut the range by advice on a part of it): the whale is then as it
 * was. */
void *hak_whale_resize(struct hak_whales *whales, void *object, size_t size,
                       enum hak_os_move move);

/* Tells the time, and unmaps cached whales older than policy->decay_ns. For slow paths. */
void hak_whale_tick(struct hak_whales *whales, const struct hak_policy *policy, uint64_t now_ns);

/* A last tick of the learner. */
void hak_whale_end_learning(struct hak_whales *whales, const struct hak_policy *policy,
                            uint64_t now_ns);

/* Unmaps all cached whales; bytes given back. */
size_t hak_whale_trim(struct hak_whales *whales);

struct hak_whale_bytes hak_whale_bytes(struct hak_whales *whales);

#endif
