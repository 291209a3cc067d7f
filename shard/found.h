/* SPDX-License-Identifier: MIT */
/* Faults of the program that are found in freed memory: links that were overwritten, objects that
 * were freed twice or never were objects. They are found deep inside, where nobody may print or
 * end the process: here they are counted and laid down, for api/ to take up at the end of the same
 * slow call, outside the heap.
 *
 * Whoever finds a broken link gives up the chain from the object on that has it: who owns those
 * objects is not known any more. That is at most a magazine, or the bundles below one in a stack.
 *
 * Synchronization: a slot is a word that goes from 0 to a finding and back, each by one exchange;
 * nobody waits. What finds no slot is counted, no more. Any thread. */
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
    HAK_FOUND_FREED,          /* freed twice */
    HAK_FOUND_INTERIOR,       /* freed, and not where an object begins */
    HAK_FOUND_OVERWRITTEN,    /* its link is none, so what was freed was written to */
};

/* Whose counters tell of broken links: it is not known whose they were. By the starting thread. */
void hak_found_start(struct hak_counters *counters);

/* How many wait to be taken up. relaxed: a look */
extern HAK_HIDDEN uint32_t hak_found_waiting;

static inline bool hak_found_any(void)
{
    return __atomic_load_n(&hak_found_waiting, __ATOMIC_RELAXED) != 0;
}

/* Takes one up: which object, and what of it. HAK_FOUND_NOTHING: none waits. */
enum hak_found hak_found_take(const void **object);

/* Lays down that the object was given back and is none, or is free already. `counters`: of whom. */
HAK_COLD void hak_found_bad_free(struct hak_counters *counters, const void *object,
                                 enum hak_found what);

/* Lays down that a chain of the class is broken: its top object is not of that class, or
 * its link is none. */
HAK_COLD void hak_found_broken(unsigned class_id, struct hak_chain chain);

/* Lays down that the second word of a bundle's top object links nothing. */
HAK_COLD void hak_found_broken_bundle(const void *object);

/* Whether the page map knows the address as one of the class's slabs: then it may be read. */
static inline bool hak_found_is_of_class(unsigned class_id, const void *object)
{
    return hak_page_find(object).class_id == class_id;
}

/* Finds what lies below the top object of a chain that is not empty. false: the chain is broken;
 * that is laid down, and whoever walks the chain stops. */
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

/* The bundle below one that is the caller's, whose top object is of the class; 0: none, or it is
 * not to be known, which is laid down. */
struct hak_bundle hak_found_bundle_below(unsigned class_id, const void *object);

#endif
