/* SPDX-License-Identifier: MIT */
/* A magazine: a word {top object:48 | room:16} that holds a chain of free objects of one class
 * (tiers/object.h), at most a bundle of them. Its owner alone pushes. */
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
    /* Costs nothing, but keeps the compiler from storing the magazine first: the child of a fork by
     * another thread finds a magazine whose links are all written. */
    __atomic_signal_fence(__ATOMIC_RELEASE);
    magazine->word = hak_chain_make(object, 0).word + room - 1;
    return true;
}

#endif
