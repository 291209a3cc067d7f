/* SPDX-License-Identifier: MIT */
/* A magazine: a place for one chain of free objects of a class (tiers/object.h), at most a bundle.
 * Only its owner pushes. */
#ifndef HAK_SHARD_MAGAZINE_H
#define HAK_SHARD_MAGAZINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/compiler.h"
#include "tiers/object.h"
#include "tiers/size_class.h"

enum { HAK_MAGAZINE_OVERFULL = 0xff00 }; /* bits of a room that are set where there was none */

/* An empty magazine of the class. */
static inline struct hak_chain hak_magazine_empty(unsigned class_id)
{
    return hak_chain_make(NULL, hak_classes[class_id].bundle);
}

/* Bytes of the objects in a full magazine of the class. */
static inline uint32_t hak_magazine_bytes(unsigned class_id)
{
    return (uint32_t)hak_classes[class_id].bundle * hak_classes[class_id].size;
}

/* The low bits that no chain's word has after an object of the class was pushed: those of a room,
 * and those of an address that are 0 wherever an object begins. */
static inline uint32_t hak_magazine_refused(unsigned class_id)
{
    return (uint32_t)hak_classes[class_id].misplaced << HAK_WORD_ROOM_BITS | HAK_MAGAZINE_OVERFULL;
}

/* Pushes what a program frees. False if there is no room, if the object is on top already, or if no
 * object of the class can begin there: one test answers the first and the last question, for the
 * room before the first is all ones. refused: hak_magazine_refused of the class. */
static inline bool hak_magazine_put(struct hak_chain *magazine, void *object, uint32_t refused)
{
    struct hak_chain chain = *magazine;
    struct hak_chain same = hak_chain_make(object, hak_chain_room(chain));
    struct hak_chain longer = {same.word - 1};
    if (hak_unlikely((longer.word & refused) != 0 || same.word == chain.word))
        return false;
    hak_link_write(object, chain);
    /* Costs nothing, but keeps the compiler from storing the magazine first: if another thread
     * forks here, the child finds a magazine whose links are all written. */
    __atomic_signal_fence(__ATOMIC_RELEASE);
    *magazine = longer;
    return true;
}

/* Pushes what is known to be an object that is not free. Whether there was room. */
static inline bool hak_magazine_push(struct hak_chain *magazine, void *object)
{
    struct hak_chain chain = *magazine;
    unsigned room = hak_chain_room(chain);
    if (hak_unlikely(room == 0))
        return false;
    hak_link_write(object, chain);
    __atomic_signal_fence(__ATOMIC_RELEASE); /* as in hak_magazine_put */
    magazine->word = hak_chain_make(object, 0).word + room - 1;
    return true;
}

#endif
