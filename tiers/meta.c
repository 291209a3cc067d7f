/* SPDX-License-Identifier: MIT */
/* The allocator's own memory: a bump pointer in chunks from the kernel, under one lock, because it
 * is only asked when a thread, a shard or a table is born. */
#include "tiers/meta.h"

#include <stdint.h>

#include "os/bits.h"
#include "os/lock.h"
#include "os/memory.h"

enum {
    CHUNK_SIZE = 256 * 1024,
};

/* All fields under the lock. */
static struct {
    struct hak_lock lock;
    uintptr_t next;       /* first free byte of the chunk */
    uintptr_t end;
    size_t bytes;         /* mapped so far */
} meta;

static void *take_from_chunk(size_t size, size_t alignment)
{
    uintptr_t start = hak_align_up(meta.next, alignment);
    if (start + size > meta.end)
        return NULL;
    meta.next = start + size;
    return (void *)start;
}

static void *map_own(size_t size)
{
    size_t whole = hak_align_up(size, hak_os_page_size());
    void *memory = hak_os_map(whole, hak_os_page_size());
    if (memory != NULL)
        meta.bytes += whole;
    return memory;
}

void *hak_meta_alloc(size_t size, size_t alignment)
{
    hak_lock_acquire(&meta.lock);
    void *memory = take_from_chunk(size, alignment);
    if (memory == NULL && size > CHUNK_SIZE / 4) {
        memory = map_own(size);
    } else if (memory == NULL) {
        void *chunk = map_own(CHUNK_SIZE);
        if (chunk != NULL) {
            meta.next = (uintptr_t)chunk;
            meta.end = meta.next + CHUNK_SIZE;
            memory = take_from_chunk(size, alignment);
        }
    }
    hak_lock_release(&meta.lock);
    return memory;
}

size_t hak_meta_bytes(void)
{
    hak_lock_acquire(&meta.lock);
    size_t bytes = meta.bytes;
    hak_lock_release(&meta.lock);
    return bytes;
}

void hak_meta_lock(void)
{
    hak_lock_acquire_to_fork(&meta.lock);
}

void hak_meta_unlock(void)
{
    hak_lock_release_after_fork(&meta.lock);
}

void hak_meta_reset_lock(void)
{
    hak_lock_reset(&meta.lock);
}
