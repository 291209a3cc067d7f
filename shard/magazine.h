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

/* Whether there was room. */
static inline bool hak_magazine_push(struct hak_chain *magazine, void *object)
{
    struct hak_chain chain = *magazine;
    unsigned room = hak_chain_room(chain);
    if (hak_unlikely(room == 0))
        return false;
    hak_link_write(object, chain);
    /* release, to the compiler alone: it must not store the magazine first. If another thread forks
     * here, the child finds a magazine whose links are all written. */
    __atomic_signal_fence(__ATOMIC_RELEASE);
    magazine->word = hak_chain_make(object, 0).word + room - 1;
    return true;
}

#endif
