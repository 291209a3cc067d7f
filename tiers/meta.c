/* SPDX-License-Identifier: MIT */
/* The allocator's own memory: each chunk has an offset that only grows. There is no lock, so
 * callers may hold any lock, and another thread may be forking. If two threads map a chunk at once,
 * the later one unmaps its own. */
#include "tiers/meta.h"

#include <stdbool.h>
#include <stdint.h>

#include "os/apart.h"
#include "os/bits.h"
#include "os/compiler.h"
#include "os/memory.h"

enum {
    CHUNK_SIZE = 256 * 1024,
};

/* The header of a chunk, whose memory is zero. */
struct chunk {
    uint64_t used; /* bytes handed out, this header included */
};

HAK_EARLY static struct {
    struct chunk *chunk; /* memory is cut from it; release, acquire */
    size_t bytes;        /* mapped so far; relaxed */
} meta;

static void *take_from_chunk(struct chunk *chunk, size_t size, size_t alignment)
{
    /* relaxed, all: only the caller uses the memory that it takes */
    uint64_t used = __atomic_load_n(&chunk->used, __ATOMIC_RELAXED);
    for (;;) {
        uint64_t start = hak_align_up(used, alignment);
        if (start + size > CHUNK_SIZE)
            return NULL;
        if (__atomic_compare_exchange_n(&chunk->used, &used, start + size, 1, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
            return (char *)chunk + start;
    }
}

static void *map_own(size_t size)
{
    size_t whole = hak_align_up(size, hak_os_page_size());
    void *memory = hak_apart_map_meta(whole, hak_os_page_size());
    if (memory != NULL)
        __atomic_fetch_add(&meta.bytes, whole, __ATOMIC_RELAXED); /* relaxed: a figure */
    return memory;
}

/* Puts a new chunk in place of `old`, unless another thread did so. False if the kernel refuses. */
static bool replace_chunk(struct chunk *old)
{
    struct chunk *fresh = map_own(CHUNK_SIZE);
    if (fresh == NULL)
        return false;
    fresh->used = sizeof *fresh;
    /* release: pairs with the acquire in hak_meta_alloc; a thread that finds the chunk sees its
     * header */
    if (!__atomic_compare_exchange_n(&meta.chunk, &old, fresh, 0, __ATOMIC_RELEASE,
                                     __ATOMIC_RELAXED)) {
        hak_apart_release_meta(fresh, CHUNK_SIZE, hak_os_page_size());
        __atomic_fetch_sub(&meta.bytes, CHUNK_SIZE, __ATOMIC_RELAXED); /* relaxed: as above */
    }
    return true;
}

void *hak_meta_alloc(size_t size, size_t alignment)
{
    for (;;) {
        /* acquire: pairs with the release in replace_chunk */
        struct chunk *chunk = __atomic_load_n(&meta.chunk, __ATOMIC_ACQUIRE);
        void *memory = chunk != NULL ? take_from_chunk(chunk, size, alignment) : NULL;
        if (memory != NULL)
            return memory;
        if (size > CHUNK_SIZE / 4)
            return map_own(size);
        if (!replace_chunk(chunk))
            return NULL;
    }
}

size_t hak_meta_bytes(void)
{
    return __atomic_load_n(&meta.bytes, __ATOMIC_RELAXED); /* relaxed: a figure */
}
