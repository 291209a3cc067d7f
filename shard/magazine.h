/* SPDX-License-Identifier: MIT */
/* A magazine: a word {top object:48 | room:16} that holds a chain of free objects of one class
 * (tiers/object.h), at most a bundle of them. Its owner alone pushes. */
#ifndef HAK_SHARD_MAGAZINE_H
#define HAK_SHARD_MAGAZINE_H

#include <stddef.h>
#include <stdint.h>

#include "os/compiler.h"
#include "tiers/object.h"
#include "tiers/size_class.h"

/* An empty magazine of the class. */
static inline uint64_t hak_magazine_empty(unsigned class_id)
{
    return hak_word_make(NULL, hak_classes[class_id].bundle);
}

static inline uint32_t hak_magazine_bytes(unsigned class_id)
{
    return (uint32_t)hak_classes[class_id].bundle * hak_classes[class_id].size;
}

/* 1, or 0 when there is no room. */
static inline int hak_magazine_push(uint64_t *magazine, void *object)
{
    uint64_t word = *magazine;
    unsigned room = hak_word_room(word);
    if (hak_unlikely(room == 0))
        return 0;
    hak_link_write(object, word);
    /* Costs nothing, but keeps the compiler from storing the magazine first: the child of a fork by
     * another thread finds a magazine whose links are all written. */
    __atomic_signal_fence(__ATOMIC_RELEASE);
    *magazine = hak_word_make(object, 0) + room - 1;
    return 1;
}

#endif
