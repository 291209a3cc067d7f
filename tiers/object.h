/* SPDX-License-Identifier: MIT */
/* Free objects: how they are linked, and how a link differs from data that a program wrote over it.
 * Only this file and the sequences of front_cpu_*.h read and write links.
 *
 * A chain of free objects of one class is a word:
 *
 *      63                                16 15             0
 *     +------------------------------------+----------------+
 *     |  address of the top object         |  room          |      0 address: empty
 *     +------------------------------------+----------------+
 *
 * room is how many more objects the chain can take: the class's bundle length minus the objects in
 * it. The first 8 bytes of the top object hold the word from before that object was pushed, so a
 * pop restores pointer and room by one load. The second 8 bytes of the top object link whole chains
 * (bundles) in transfer caches and inboxes: {address of the next bundle's top:48 | objects in the
 * next bundle:16}.
 *
 * A faulty program may write to objects that it has freed, or free them twice. So both words are
 * stored under masks: other data does not read as a link. And a link is checked before it is
 * followed: the room below is one more than above, and an object begins at a multiple of 16
 * (hak_link_is_sound: 20 bits). Readers of a bundle's link compare it with the page map. The mask
 * of the first word is the process's secret. That of the second also depends on the address; for
 * the first word this would make malloc and free 3 % slower
 * (docs/decisions/026-links-are-checked.md).
 *
 * The owner of a chain reads and writes it; only shared stacks (transfer_cache.c) read a link that
 * another thread may be overwriting. */
#ifndef HAK_TIERS_OBJECT_H
#define HAK_TIERS_OBJECT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "os/compiler.h"

enum {
    HAK_WORD_ROOM_BITS = 16,
    HAK_LINK_SOUND_MASK = 0xfffff,    /* room, and the four bits of an address that are 0 */
};

/* The secret that masks are made from. */
extern HAK_HIDDEN uint64_t hak_link_secret;

/* Sets the secret, before the first link is written. Without this, links are stored unmasked. */
void hak_link_start(uint64_t secret);

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
    uint64_t link;
    memcpy(&link, object, sizeof link);
    return link ^ hak_link_secret;
}

static inline void hak_link_write(void *object, uint64_t word)
{
    uint64_t link = word ^ hak_link_secret;
    memcpy(object, &link, sizeof link);
}

/* Whether `below`, read from the top object of the chain `word`, can be the rest of the chain. One
 * subtraction tests both: the room is one more, and both addresses are multiples of 16. */
static inline bool hak_link_is_sound(uint64_t word, uint64_t below)
{
    return ((below - word - 1) & HAK_LINK_SOUND_MASK) == 0;
}

/* The mask of a bundle's link, which depends on the link's address. */
static inline uint64_t hak_link_mask(const uint64_t *second)
{
    return ((uint64_t)(uintptr_t)second + 1) * hak_link_secret;
}

/* The part of hak_link_is_sound that a front tests: the room alone. That saves two instructions,
 * 1.2 % of random_mixed; the other part is tested where chains are walked. */
static inline bool hak_link_has_room(uint64_t word, uint64_t below)
{
    return (uint16_t)below == (uint16_t)(word + 1);
}

/* The second word of a bundle's top object: the next bundle, or 0. relaxed: what publishes the
 * bundle orders it, too */
static inline uint64_t hak_next_bundle(const void *object)
{
    const uint64_t *second = (const uint64_t *)object + 1;
    return __atomic_load_n(second, __ATOMIC_RELAXED) ^ hak_link_mask(second);
}

static inline void hak_set_next_bundle(void *object, uint64_t next)
{
    uint64_t *second = (uint64_t *)object + 1;
    __atomic_store_n(second, next ^ hak_link_mask(second), __ATOMIC_RELAXED);
}

#endif
