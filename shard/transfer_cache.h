/* SPDX-License-Identifier: MIT */
/* The transfer cache: per class a lock-free stack of full bundles, open to the shard's own threads
 * and to neighbours that steal. It is only used when a front runs empty or over.
 *
 * A head is two words, changed together by a 16-byte compare-and-swap:
 *
 *     top:  the top bundle (struct hak_bundle)
 *     tag:  changes so far:48 | bundles in the stack:16
 *
 * Bundles link through the second word of their top objects (object.h). The 48-bit count of changes
 * is the tag against ABA: the compare-and-swap of a popper that was preempted fails after any
 * number of pops and pushes, unless the count came round within one preemption.
 *
 * How many bundles a bin holds follows what is missed: 64 KiB of its class at first, four bundles
 * at least. A bin that is found empty after it had to refuse bundles doubles, up to a MiB. One that
 * goes on refusing while nobody takes any loses one for each: what is freed in a burst goes back
 * to its slabs, which can then fall empty, while what comes and goes stays in bundles. A bin that
 * is left alone for a time of decay starts again.
 *
 * Synchronization (any thread against any thread):
 *
 *                      push            pop
 *     push             CAS             CAS
 *     pop              CAS             CAS; peeks, or takes all and puts back the others
 *
 * A pop peeks: it reads the link of a bundle that another thread may have taken meanwhile. If so,
 * its compare-and-swap fails, but the memory must be mapped and readable. Only regions of tiny
 * classes (up to HAK_TINY_MAX) guarantee that, within a read section: they are unmapped after a
 * grace period (hak_heap_reap) and until then hold only tiny objects, of which none is a whole
 * kernel page that a program might protect. Pages of the mid pool pass from class to class, and may
 * be one object of the program's by now. So a pop never peeks at objects above HAK_TINY_MAX, nor
 * when its thread finds no reader to borrow (grace.h). Then it takes all bundles by one exchange
 * and puts the others back by another; if a thread pushed in between, one by one. For that moment
 * the bin looks empty to others. The capacity bounds the work; for mid classes it is at most
 * HAK_TRANSFER_MID_MAX.
 *
 * After: R. K. Treiber's stack (IBM RJ 5118, 1986); magazines and their depot: Bonwick and Adams,
 * "Magazines and Vmem", USENIX 2001. */
#ifndef HAK_SHARD_TRANSFER_CACHE_H
#define HAK_SHARD_TRANSFER_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "os/compiler.h"
#include "tiers/object.h"
#include "tiers/size_class.h"

enum {
    HAK_TRANSFER_MID_MAX = 8, /* bundles in a bin of a mid class */
};

struct hak_stack_head {
    struct hak_bundle top;
    uint64_t tag;
} __attribute__((aligned(16)));

struct hak_transfer_bin {
    struct hak_stack_head head;
    uint32_t capacity;  /* bundles, but for those refused in vain; 0: as at first; relaxed */
    uint32_t refused;   /* bundles, since one was missed; 1 when one was popped since; relaxed */
    uint64_t seen_tag;  /* the tag at the last hak_transfer_cache_is_idle; relaxed, as the next */
    uint64_t swept_tag; /* and at the last hak_transfer_cache_is_stale */
} __attribute__((aligned(HAK_CACHE_LINE)));

struct hak_transfer_cache {
    struct hak_transfer_bin bins[HAK_CLASS_COUNT];
};

/* Bundles that a bin has room for. Not set at start: a shard whose memory was never touched is
 * valid, so that a short process does not pay for what it does not use. */
unsigned hak_transfer_cache_capacity(const struct hak_transfer_cache *cache, unsigned class_id);

/* Pushes a chain that is not empty, as a bundle. Whether the bin had room. */
bool hak_transfer_cache_push(struct hak_transfer_cache *cache, unsigned class_id,
                             struct hak_chain chain);

/* Whether a bin has no room; may be a moment old. */
bool hak_transfer_cache_is_full(const struct hak_transfer_cache *cache, unsigned class_id);

/* Tells the bin whether a refill that wanted a bundle got one; see above. */
void hak_transfer_cache_note_demand(struct hak_transfer_cache *cache, unsigned class_id,
                                    bool was_met);

/* Whether a bin holds more than it has room for, a moment ago: one that refuses bundles in vain has
 * room for one less with each. */
bool hak_transfer_cache_is_over(const struct hak_transfer_cache *cache, unsigned class_id);

/* The bundles under a popped one that are no longer in the bin. If a link is broken, those behind
 * it are lost: `count` includes them, but a walk from `first` does not reach them. */
struct hak_bundles_left {
    struct hak_bundle first; /* each links to the next */
    unsigned count;
};

/* Pops a bundle, as a chain; HAK_NO_CHAIN when there is none. *left: the bundles under it for which
 * the bin has no room any more, and those that are lost. */
struct hak_chain hak_transfer_cache_pop(struct hak_transfer_cache *cache, unsigned class_id,
                                        struct hak_bundles_left *left);

/* Whether a bin that is not empty has been left alone since the last such call. A bin that was left
 * alone, empty or not, gets its first capacity back. */
bool hak_transfer_cache_is_idle(struct hak_transfer_cache *cache, unsigned class_id);

/* The same for another who asks; it leaves the room as it is. */
bool hak_transfer_cache_is_stale(struct hak_transfer_cache *cache, unsigned class_id);

/* Bundles in a bin; may be a moment old. */
unsigned hak_transfer_cache_depth(const struct hak_transfer_cache *cache, unsigned class_id);

#endif
