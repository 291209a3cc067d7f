/* SPDX-License-Identifier: MIT */
/* Free objects: how they are linked. The one place that reads and writes a link, so that a hardened
 * build can encode it here.
 *
 * A chain of free objects of one class is a word:
 *
 *      63                                16 15             0
 *     +------------------------------------+----------------+
 *     |  address of the top object         |  room          |      0 address: empty
 *     +------------------------------------+----------------+
 *
 * room is how many more objects the chain may take: bundle length of the class minus the objects
 * in it. The first 8 bytes of the top object hold the word as it was before that object was
 * pushed, so pop restores pointer and room by one load. The second 8 bytes of the top object link
 * whole chains (bundles) in transfer caches and inboxes: {address of the next bundle's top:48 |
 * objects in the next bundle:16}.
 *
 * Everybody who holds the chain may touch it; only shared stacks (transfer_cache.c) read a link
 * that another thread may be overwriting, by hak_next_bundle_peek. */
#ifndef HAK_TIERS_OBJECT_H
#define HAK_TIERS_OBJECT_H

#include <stdint.h>
#include <string.h>

enum {
    HAK_WORD_ROOM_BITS = 16
};

static inline void *hak_word_object(uint64_t word)
{
    return (void *)(uintptr_t)(word >> HAK_WORD_ROOM_BITS);
}

static inline unsigned hak_word_room(uint64_t word)
{
    return (uint16_t)word;
}

static inline uint64_t hak_word_make(const void *object, unsigned room)
{
    return (uint64_t)(uintptr_t)object << HAK_WORD_ROOM_BITS | room;
}

static inline uint64_t hak_link_read(const void *object)
{
    uint64_t word;
    memcpy(&word, object, sizeof word);
    return word;
}

static inline void hak_link_write(void *object, uint64_t word)
{
    memcpy(object, &word, sizeof word);
}

/* Second word of a bundle's top object. */
static inline uint64_t *hak_next_bundle(void *object)
{
    return (uint64_t *)object + 1;
}

#endif
