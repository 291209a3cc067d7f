/* SPDX-License-Identifier: MIT */
/* Free objects: how they are linked, and how a link is told from what a program wrote over it. The
 * one place that reads and writes links, but for the sequences of front_cpu_*.h.
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
 * A program may write into what it has freed, or free it twice. So both words are stored under
 * masks: a word that was not written here does not come out as a link. And it is looked at before
 * it is followed: the room below is one more than above, an object begins at a multiple of 16
 * (hak_link_is_sound: 20 bits); a bundle's link is for who reads it to compare with the page map.
 * The mask of the first word is the process's secret; one that is mixed with the address, which
 * the second has, costs 3 % more of malloc and free (docs/decisions/026-links-are-checked.md).
 *
 * Everybody who holds the chain may touch it; only shared stacks (transfer_cache.c) read a link
 * that another thread may be overwriting. */
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

/* What masks are made of. */
extern HAK_HIDDEN uint64_t hak_link_secret;

/* Sets it, before the first link is written. Without it links are stored as they are. */
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

/* Whether `below`, read from the top object of the chain `word`, can be what lies below it. One
 * difference tells both: the room is one more, and either object begins where one can. */
static inline bool hak_link_is_sound(uint64_t word, uint64_t below)
{
    return ((below - word - 1) & HAK_LINK_SOUND_MASK) == 0;
}

/* The mask of a bundle's link: by where it lies. */
static inline uint64_t hak_bundle_mask(const uint64_t *second)
{
    return ((uint64_t)(uintptr_t)second + 1) * hak_link_secret;
}

/* The half of it that a front looks at: of the room alone. Two instructions less, which is 1.2 % of
 * random_mixed; the other half is looked at where chains are walked. */
static inline bool hak_link_has_room(uint64_t word, uint64_t below)
{
    return (uint16_t)below == (uint16_t)(word + 1);
}

/* The second word of a bundle's top object: which bundle is next, 0 if none. relaxed: handed on by
 * whatever publishes the bundle */
static inline uint64_t hak_next_bundle(const void *object)
{
    const uint64_t *second = (const uint64_t *)object + 1;
    return __atomic_load_n(second, __ATOMIC_RELAXED) ^ hak_bundle_mask(second);
}

static inline void hak_set_next_bundle(void *object, uint64_t next)
{
    uint64_t *second = (uint64_t *)object + 1;
    __atomic_store_n(second, next ^ hak_bundle_mask(second), __ATOMIC_RELAXED);
}

#endif
