/* SPDX-License-Identifier: MIT */
/* Chunks of headers (see the header). Any thread; the lock is the innermost. */
#include "tiers/header.h"

#include <stdint.h>
#include <string.h>

#include "os/apart.h"
#include "os/bits.h"
#include "os/compiler.h"
#include "os/lock.h"
#include "os/memory.h"

enum {
    SLOTS = 64,
    CHUNKS_LOOKED_AT = 16,
};

static const uint64_t ALL_FREE = ~UINT64_C(1); /* slot 0 is the chunk's */

/* At the start of a chunk, whose memory is zero. Under the lock. */
struct chunk {
    uint64_t free;      /* bit s: slot s is free */
    struct chunk *next; /* of those with free slots */
    struct chunk *previous;
};

static struct {
    struct hak_lock lock;
    struct chunk *open;
} headers;

/* Whole kernel pages, so that one slot can be purged. */
static size_t slot_size(void)
{
    return hak_align_up(HAK_HEADER_SLOT, hak_os_page_size());
}

static size_t chunk_size(void)
{
    return SLOTS * slot_size();
}

static size_t chunk_alignment(void)
{
    return (size_t)2 << hak_log2(chunk_size() - 1);
}

static unsigned slots_for(size_t size)
{
    return (unsigned)((size + slot_size() - 1) / slot_size());
}

static uint64_t slot_mask(unsigned first, unsigned count)
{
    return ((UINT64_C(1) << count) - 1) << first;
}

static void link_open(struct chunk *chunk)
{
    chunk->previous = NULL;
    chunk->next = headers.open;
    if (chunk->next != NULL)
        chunk->next->previous = chunk;
    headers.open = chunk;
}

static void unlink_open(struct chunk *chunk)
{
    if (chunk->next != NULL)
        chunk->next->previous = chunk->previous;
    if (chunk->previous != NULL)
        chunk->previous->next = chunk->next;
    else
        headers.open = chunk->next;
}

/* Takes `count` neighbouring slots, the lowest ones; NULL: the chunk has none. Lock held. */
static void *cut(struct chunk *chunk, unsigned count)
{
    uint64_t starts = chunk->free;
    for (unsigned slot = 1; slot < count; slot++)
        starts &= chunk->free >> slot;
    if (starts == 0)
        return NULL;
    unsigned first = hak_lowest_bit(starts);
    chunk->free &= ~slot_mask(first, count);
    if (chunk->free == 0)
        unlink_open(chunk);
    return (char *)chunk + first * slot_size();
}

/* Takes them from one of the first chunks with free slots. Lock held. */
static void *cut_any(unsigned count)
{
    struct chunk *chunk = headers.open;
    void *header = NULL;
    for (unsigned look = 0; look < CHUNKS_LOOKED_AT && chunk != NULL && header == NULL; look++) {
        struct chunk *next = chunk->next;
        header = cut(chunk, count);
        chunk = next;
    }
    return header;
}

void *hak_header_take(size_t size)
{
    unsigned count = slots_for(size);
    hak_lock_acquire(&headers.lock);
    void *header = cut_any(count);
    hak_lock_release(&headers.lock);
    if (hak_likely(header != NULL))
        return header;
    struct chunk *chunk = hak_apart_map_meta(chunk_size(), chunk_alignment());
    if (chunk == NULL)
        return NULL;
    chunk->free = ALL_FREE;
    hak_lock_acquire(&headers.lock);
    link_open(chunk);
    header = cut(chunk, count);
    hak_lock_release(&headers.lock);
    return header;
}

void hak_header_give(void *header, size_t size)
{
    unsigned count = slots_for(size);
    struct chunk *chunk = (struct chunk *)hak_align_down((uintptr_t)header, chunk_alignment());
    unsigned first = (unsigned)((size_t)((char *)header - (char *)chunk) / slot_size());
    /* Refused if it is locked in memory: then it keeps its pages. */
    if (hak_os_purge(header, count * slot_size(), HAK_PURGE_NOW) != 0)
        memset(header, 0, count * slot_size());
    hak_lock_acquire(&headers.lock);
    if (chunk->free == 0)
        link_open(chunk);
    chunk->free |= slot_mask(first, count);
    hak_lock_release(&headers.lock);
}
