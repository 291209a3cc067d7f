/* SPDX-License-Identifier: MIT */
/* Whales: allocations that are longer than HAK_LARGE_MAX, or more aligned than a large segment
 * allows. Each is its own mapping, aligned to 2 MiB or more. A small cache keeps the ones freed
 * last. Any thread.
 *
 * The page map has entries for the first two pages of a whale only, so 100 GiB cost no more than
 * 64 MiB. Together they hold the number of its descriptor:
 *
 *    address         + 64 KiB              + 128 KiB                       + size
 *   +---------------+---------------------+------------ - - - ------------+
 *   | WHALE, low 16 | WHALE_NUMBER, high 16 |  FOREIGN                    |
 *   +---------------+---------------------+------------ - - - ------------+
 *
 * Descriptors are in chunks, each twice as long as the one before: a descriptor is found in two
 * steps and never moves, and only the numbers limit how many there can be.
 *
 * There is one lock. It is never held over a system call for the memory of a whale: a whale that is
 * being mapped, moved or unmapped is in no list. */
#ifndef HAK_TIERS_WHALE_H
#define HAK_TIERS_WHALE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "learn/learner.h"
#include "learn/settings.h"
#include "os/lock.h"
#include "os/memory.h"
#include "tiers/large.h"
#include "tiers/region.h"

enum {
    HAK_WHALE_CHUNK_FIRST_SHIFT = 6, /* log2 of the first chunk's descriptors */
    HAK_WHALE_CHUNKS = 32 - HAK_WHALE_CHUNK_FIRST_SHIFT,
    HAK_WHALE_CACHED_MAX = 8, /* whales in the cache */
};

struct hak_whale {
    void *address;                          /* NULL: the descriptor is not in use */
    size_t size;                            /* bytes mapped, all usable */
    const struct hak_region_source *source; /* of the shard that it counts for */
    struct hak_whale *next;                 /* in the list of unused descriptors, or in the cache,
                                               from old to young */
    uint32_t number;                        /* constant */
    uint32_t freed;                         /* the tick at which it entered the cache */
    bool is_live;                           /* the program holds it */
    bool is_hugetlb;                        /* consists of explicit huge pages: cannot grow */
};

/* All zero, then hak_whale_start: valid, and empty. */
struct hak_whales {
    struct hak_lock lock; /* guards all that follows */
    uint32_t now;         /* the last tick's time; ticks read it relaxed */
    uint32_t count;       /* numbers ever used */
    uint32_t cached_count;
    struct hak_whale *chunks[HAK_WHALE_CHUNKS];
    struct hak_whale *unused;
    struct hak_whale *oldest; /* the cache, in the order of freeing */
    size_t used_bytes;
    size_t cached_bytes;
    struct hak_claim claim;     /* of the unused bytes that the heap may keep */
    struct hak_learner learner; /* whether a freed whale is kept or unmapped */
};

/* Bytes of all whales, for statistics. */
struct hak_whale_bytes {
    size_t used;
    size_t cached;
};

/* Begins to learn again, by the settings. No other thread may use the whales. */
void hak_whale_start(struct hak_whales *whales, const struct hak_settings *settings);

/* size: up to PTRDIFF_MAX; alignment: any power of two (2 MiB is always given). NULL: out of
 * memory, or of address space. source must outlive the whale. */
void *hak_whale_take(struct hak_whales *whales, const struct hak_region_source *source, size_t size,
                     size_t alignment, enum hak_zero zero, const struct hak_settings *settings);

/* False, with nothing done, if no live whale begins there. */
bool hak_whale_give(struct hak_whales *whales, void *object, const struct hak_settings *settings);

/* Usable bytes; 0 if no live whale begins there. */
size_t hak_whale_size(struct hak_whales *whales, const void *object);

/* The same without the lock, while another thread forks: no thread changes the table then. The fork
 * may end meanwhile; but only its owner changes a live whale. */
size_t hak_whale_size_beside(struct hak_whales *whales, const void *object);

/* The shard's source that a live whale counts for, NULL if none begins there. hak_whale_adopt
 * changes that, when the whale's pages have moved. */
const struct hak_region_source *hak_whale_source(struct hak_whales *whales, const void *object);
void hak_whale_adopt(struct hak_whales *whales, const void *object,
                     const struct hak_region_source *source);

/* Changes the size of a live whale; new bytes are zero. It may move pages, but copies nothing.
 * Returns the address: a new one, aligned to 2 MiB, only if `move` allows it. NULL, with the whale
 * unchanged, if this is impossible without a copy (for example, advice on a part of the range has
 * split the mapping). */
void *hak_whale_resize(struct hak_whales *whales, void *object, size_t size, enum hak_os_move move);

/* Tells the time, and unmaps whales that were cached for settings->decay_ns. For slow paths. */
void hak_whale_tick(struct hak_whales *whales, const struct hak_settings *settings,
                    uint64_t now_ns);

/* The last tick of the learner. */
void hak_whale_end_learning(struct hak_whales *whales, const struct hak_settings *settings,
                            uint64_t now_ns);

/* Unmaps all cached whales. Returns their bytes. */
size_t hak_whale_trim(struct hak_whales *whales);

struct hak_whale_bytes hak_whale_bytes(struct hak_whales *whales);

#endif
