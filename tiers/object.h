/* SPDX-License-Identifier: MIT */
/* Free objects: how they are linked, and how a link differs from data that a program wrote over it.
 * Only this file and the sequences of front_cpu_*.h read and write links.
 *
 * Two words describe free objects of one class. They look alike and have distinct types:
 *
 *      63                                16 15             0
 *     +------------------------------------+----------------+
 *     |  address of the top object         |  room          |   struct hak_chain
 *     +------------------------------------+----------------+
 *     |  address of the top object         |  count         |   struct hak_bundle
 *     +------------------------------------+----------------+
 *
 * A chain is what its owner pushes to and pops from. Its room is how many more objects it can take:
 * the class's bundle length minus the objects in it. The first 8 bytes of the top object hold the
 * chain from before that object was pushed, so a pop restores pointer and room by one load. A
 * bundle is a chain that waits in a transfer cache or an inbox, and has the count of its objects.
 * The second 8 bytes of its top object hold the next bundle.
 *
 * A faulty program may write to objects that it has freed, or free them twice. So both links are
 * stored under masks: other data does not read as a link. And a link is checked before it is
 * followed: the room below is one more than above, and an object begins at a multiple of 16
 * (hak_link_is_sound: 20 bits). Readers of a bundle's link compare it with the page map. The mask
 * of the first link is the process's secret. That of the second also depends on the address; for
 * the first link this would make malloc and free 3 % slower
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
#include "tiers/size_class.h"

enum {
    HAK_WORD_ROOM_BITS = 16,
    HAK_LINK_ROOM_MAX = 256,       /* more than any bundle has */
    HAK_LINK_SOUND_MASK = 0xfffff, /* room, and the four bits of an address that are 0 */
};

/* The secret that masks are made from. */
extern HAK_HIDDEN uint64_t hak_link_secret;

/* Sets the secret, before the first link is written. Without this, links are stored unmasked. */
void hak_link_start(uint64_t secret);

struct hak_chain {
    uint64_t word; /* 0: no chain, which is empty and has no room */
};

struct hak_bundle {
    uint64_t word; /* 0: no bundle */
};

#define HAK_NO_CHAIN  ((struct hak_chain){0})
#define HAK_NO_BUNDLE ((struct hak_bundle){0})

/* ---- chains --------------------------------------------------------------------------------- */

static inline struct hak_chain hak_chain_make(const void *top, unsigned room)
{
    return (struct hak_chain){(uint64_t)(uintptr_t)top << HAK_WORD_ROOM_BITS | room};
}

static inline void *hak_chain_top(struct hak_chain chain)
{
    return (void *)(uintptr_t)(chain.word >> HAK_WORD_ROOM_BITS);
}

static inline unsigned hak_chain_room(struct hak_chain chain)
{
    return (uint16_t)chain.word;
}

static inline bool hak_chain_is_empty(struct hak_chain chain)
{
    return hak_chain_top(chain) == NULL;
}

/* Objects in a chain of the class, which is not HAK_NO_CHAIN. */
static inline unsigned hak_chain_length(unsigned class_id, struct hak_chain chain)
{
    return hak_classes[class_id].bundle - hak_chain_room(chain);
}

/* ---- the first link: within a chain --------------------------------------------------------- */

static inline struct hak_chain hak_link_read(const void *object)
{
    uint64_t link;
    memcpy(&link, object, sizeof link);
    return (struct hak_chain){link ^ hak_link_secret};
}

static inline void hak_link_write(void *object, struct hak_chain below)
{
    uint64_t link = below.word ^ hak_link_secret;
    memcpy(object, &link, sizeof link);
}

/* Erases the link of an object that is handed out. */
static inline void hak_link_erase(void *object)
{
    memset(object, 0, sizeof(uint64_t));
}

/* Whether `below`, read from the top object of `chain`, can be the rest of it. One subtraction
 * tests both: the room is one more, and both addresses are multiples of 16. */
static inline bool hak_link_is_sound(struct hak_chain chain, struct hak_chain below)
{
    return ((below.word - chain.word - 1) & HAK_LINK_SOUND_MASK) == 0;
}

/* The part of hak_link_is_sound that a front tests: the room alone. That saves two instructions,
 * 1.2 % of random_mixed; the other part is tested where chains are walked. */
static inline bool hak_link_has_room(struct hak_chain chain, struct hak_chain below)
{
    return (uint16_t)below.word == (uint16_t)(chain.word + 1);
}

/* Whether an object's first word looks like a link: that of a free object does; of live ones few
 * do, until the program writes there. */
static inline bool hak_link_is_likely(const void *object)
{
    return (hak_link_read(object).word & HAK_LINK_SOUND_MASK) <= HAK_LINK_ROOM_MAX;
}

/* ---- bundles, and the second link ----------------------------------------------------------- */

static inline struct hak_bundle hak_bundle_make(const void *top, unsigned count)
{
    return (struct hak_bundle){(uint64_t)(uintptr_t)top << HAK_WORD_ROOM_BITS | count};
}

static inline void *hak_bundle_top(struct hak_bundle bundle)
{
    return (void *)(uintptr_t)(bundle.word >> HAK_WORD_ROOM_BITS);
}

static inline unsigned hak_bundle_count(struct hak_bundle bundle)
{
    return (uint16_t)bundle.word;
}

static inline bool hak_bundle_is_none(struct hak_bundle bundle)
{
    return bundle.word == 0;
}

/* The same objects in the other form. */
static inline struct hak_bundle hak_bundle_of(unsigned class_id, struct hak_chain chain)
{
    return hak_bundle_make(hak_chain_top(chain), hak_chain_length(class_id, chain));
}

static inline struct hak_chain hak_bundle_chain(unsigned class_id, struct hak_bundle bundle)
{
    unsigned room = hak_classes[class_id].bundle - hak_bundle_count(bundle);
    return hak_chain_make(hak_bundle_top(bundle), room);
}

/* The mask of a bundle's link, which depends on the link's address. */
static inline uint64_t hak_link_mask(const uint64_t *second)
{
    return ((uint64_t)(uintptr_t)second + 1) * hak_link_secret;
}

/* The bundle after the one with this top object. relaxed, here and below: what publishes the bundle
 * orders its link, too */
static inline struct hak_bundle hak_bundle_next(const void *top)
{
    const uint64_t *second = (const uint64_t *)top + 1;
    uint64_t link = __atomic_load_n(second, __ATOMIC_RELAXED);
    return (struct hak_bundle){link ^ hak_link_mask(second)};
}

static inline void hak_bundle_set_next(void *top, struct hak_bundle next)
{
    uint64_t *second = (uint64_t *)top + 1;
    __atomic_store_n(second, next.word ^ hak_link_mask(second), __ATOMIC_RELAXED);
}

#endif
