/* SPDX-License-Identifier: MIT */
/* Findings: misuse of the heap that shows in freed memory, such as overwritten links, second frees,
 * and frees of addresses that are no objects. The code that finds them must not print or end the
 * process. So it counts and records them here, and api/ reports them at the end of the same slow
 * call, outside the heap.
 *
 * The finder of a broken link drops the chain from that object on, for its other objects can no
 * longer be found. It loses at most a magazine, or the bundles below one in a stack.
 *
 * Synchronization: a slot is a word that changes from 0 to a finding and back, by one exchange
 * each; no thread waits. A finding without a free slot is only counted. Any thread. */
#ifndef HAK_SHARD_FOUND_H
#define HAK_SHARD_FOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/compiler.h"
#include "tiers/object.h"
#include "tiers/page_map.h"

struct hak_counters;

enum hak_found {
    HAK_FOUND_NOTHING,
    HAK_FOUND_FREED,       /* freed twice */
    HAK_FOUND_INTERIOR,    /* freed, but no object begins there */
    HAK_FOUND_OVERWRITTEN, /* its link is broken: the program wrote to a freed object */
};

/* Sets the counters for broken links, whose shard is not known. By the starting thread. */
void hak_found_start(struct hak_counters *counters);

/* How many findings wait; relaxed, here and below: a hint. */
extern HAK_HIDDEN uint32_t hak_found_waiting;

static inline bool hak_found_any(void)
{
    return __atomic_load_n(&hak_found_waiting, __ATOMIC_RELAXED) != 0;
}

/* Takes a finding and its object. HAK_FOUND_NOTHING: none waits. */
enum hak_found hak_found_take(const void **object);

/* Records that a program freed what is no object or is free already; counted in `counters`. */
HAK_COLD void hak_found_bad_free(struct hak_counters *counters, const void *object,
                                 enum hak_found what);

/* Records that a chain of the class is broken: its top object is not of that class, or has no sound
 * link. */
HAK_COLD void hak_found_broken(unsigned class_id, struct hak_chain chain);

/* Records that the second word of a bundle's top object is no link. */
HAK_COLD void hak_found_broken_bundle(const void *object);

/* Whether the page map has the address in a slab of the class: then it may be read. */
static inline bool hak_found_is_of_class(unsigned class_id, const void *object)
{
    return hak_page_find(object).class_id == class_id;
}

/* Finds what lies below the top object of a chain that is not empty. false: the chain is broken;
 * that is recorded, and whoever walks the chain stops. */
static inline bool hak_found_chain_below(unsigned class_id, struct hak_chain chain,
                                         struct hak_chain *below)
{
    const void *object = hak_chain_top(chain);
    if (hak_likely(hak_found_is_of_class(class_id, object))) {
        *below = hak_link_read(object);
        if (hak_likely(hak_link_is_sound(chain, *below)))
            return true;
    }
    hak_found_broken(class_id, chain);
    return false;
}

/* Whether a bundle's link leads to a bundle of the class (HAK_CLASS_NONE: of any), or says that
 * none follows. */
bool hak_found_bundle_is_sound(unsigned class_id, struct hak_bundle next);

/* The bundle below one that the caller owns, whose top object is of the class. HAK_NO_BUNDLE: none,
 * or the link is broken, which this records. */
struct hak_bundle hak_found_bundle_below(unsigned class_id, const void *object);

#endif
