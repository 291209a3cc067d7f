/* SPDX-License-Identifier: MIT */
/* Whales: mappings of their own, the table of their descriptors, and the cache of freed ones (see
 * whale.h). Any thread; the lock is held where a function says so.
 *
 * The page map is told before the kernel: an address that is given back may be another thread's
 * memory at once, and its entries must not be cleared then. */
#include "tiers/whale.h"

#include <string.h>

#include "tiers/meta.h"
#include "tiers/page_map.h"
#include "topology/bind.h"

enum {
    TICK_SHIFT = 20,               /* a tick is 2^20 ns, about a millisecond */
    MAP_PAGES = 2,                 /* entries of the page map */
    SIZE_MIN = MAP_PAGES * HAK_PAGE_SIZE,
    NUMBER_LOW_BITS = 16,
    FIT_SHARE = 8,                 /* a cached whale serves if no more than 1/8 would be wasted */
};

/* ---- descriptors ---- */

/* chunk k holds 2^(6+k) descriptors, so number + 64 has its highest bit at 6 + k. Lock held. */
static struct hak_whale *descriptor(struct hak_whales *whales, uint32_t number)
{
    uint64_t position = (uint64_t)number + (1u << HAK_WHALE_CHUNK_FIRST_SHIFT);
    unsigned log = hak_log2(position);
    struct hak_whale *chunk = whales->chunks[log - HAK_WHALE_CHUNK_FIRST_SHIFT];
    return chunk + (position - ((uint64_t)1 << log));
}

/* A descriptor that is not in use, NULL if there is no memory for one. Lock held. */
static struct hak_whale *new_descriptor(struct hak_whales *whales)
{
    struct hak_whale *whale = whales->unused;
    if (whale != NULL) {
        whales->unused = whale->next;
        whale->next = NULL;
        return whale;
    }
    uint64_t position = (uint64_t)whales->count + (1u << HAK_WHALE_CHUNK_FIRST_SHIFT);
    unsigned log = hak_log2(position);
    unsigned chunk = log - HAK_WHALE_CHUNK_FIRST_SHIFT;
    if (chunk >= HAK_WHALE_CHUNKS)
        return NULL;
    if (whales->chunks[chunk] == NULL)
        whales->chunks[chunk] = hak_meta_alloc(sizeof(struct hak_whale) << log, HAK_CACHE_LINE);
    if (whales->chunks[chunk] == NULL)
        return NULL;
    whale = descriptor(whales, whales->count);
    whale->number = whales->count++;
    return whale;
}

/* Lock held. */
static void drop_descriptor(struct hak_whales *whales, struct hak_whale *whale)
{
    whale->address = NULL;
    whale->live = 0;
    whale->next = whales->unused;
    whales->unused = whale;
}

static void publish(const struct hak_whale *whale)
{
    char *second = (char *)whale->address + HAK_PAGE_SIZE;
    hak_page_map_set_kind(whale->address, 1, HAK_PAGE_WHALE, (uint16_t)whale->number);
    hak_page_map_set_kind(second, 1, HAK_PAGE_WHALE_NUMBER, whale->number >> NUMBER_LOW_BITS);
}

static void withdraw(void *address, enum hak_page_kind kind)
{
    hak_page_map_set_kind(address, MAP_PAGES, kind, 0);
}

/* The live whale that begins at `object`, or NULL. Lock held. */
static struct hak_whale *find(struct hak_whales *whales, const void *object)
{
    struct hak_page first = hak_page_find(object);
    if (first.class_id != 0 || first.offset != HAK_PAGE_WHALE)
        return NULL;
    struct hak_page second = hak_page_find((const char *)object + HAK_PAGE_SIZE);
    uint32_t number = first.home | (uint32_t)second.home << NUMBER_LOW_BITS;
    if (number >= whales->count)
        return NULL; /* another heap's */
    struct hak_whale *whale = descriptor(whales, number);
    return whale->live && whale->address == object ? whale : NULL;
}

/* ---- the cache ---- */

static void cache_push(struct hak_whales *whales, struct hak_whale *whale)
{
    struct hak_whale **link = &whales->oldest;
    while (*link != NULL)
        link = &(*link)->next;
    *link = whale;
    whale->next = NULL;
    whale->freed = whales->now;
    whales->cached_count++;
    whales->cached_bytes += whale->size;
}

/* Takes a whale that stands at *link out of the cache. */
static struct hak_whale *cache_pop(struct hak_whales *whales, struct hak_whale **link)
{
    struct hak_whale *whale = *link;
    *link = whale->next;
    whale->next = NULL;
    whales->cached_count--;
    whales->cached_bytes -= whale->size;
    return whale;
}

/* The tightest cached whale that serves the request from the same node, out of the cache; of equal
 * ones the last freed. */
static struct hak_whale *cache_find(struct hak_whales *whales, size_t size, size_t alignment,
                                    int node)
{
    struct hak_whale **best = NULL;
    for (struct hak_whale **link = &whales->oldest; *link != NULL; link = &(*link)->next) {
        const struct hak_whale *whale = *link;
        if (whale->size < size || whale->size - size > size / FIT_SHARE)
            continue;
        if (((uintptr_t)whale->address & (alignment - 1)) != 0 || whale->source->node != node)
            continue;
        if (best == NULL || whale->size <= (*best)->size)
            best = link;
    }
    return best != NULL ? cache_pop(whales, best) : NULL;
}

/* Unmaps a whale that is in no list, and frees its descriptor. Lock not held. */
static void unmap_whale(struct hak_whales *whales, struct hak_whale *whale)
{
    withdraw(whale->address, HAK_PAGE_FOREIGN);
    hak_os_unmap(whale->address, whale->size);
    hak_count(whale->source->counters, HAK_COUNTER_BYTES_UNMAPPED, whale->size);
    hak_lock_acquire(&whales->lock);
    drop_descriptor(whales, whale);
    hak_lock_release(&whales->lock);
}

/* Unmaps a list of whales; bytes. Lock not held. */
static size_t unmap_list(struct hak_whales *whales, struct hak_whale *list)
{
    size_t bytes = 0;
    while (list != NULL) {
        struct hak_whale *next = list->next;
        bytes += list->size;
        unmap_whale(whales, list);
        list = next;
    }
    return bytes;
}

/* Takes out of the cache, oldest first, what exceeds the limits. Lock held. */
static struct hak_whale *cache_evict(struct hak_whales *whales, size_t bytes, unsigned count)
{
    struct hak_whale *evicted = NULL;
    while (whales->oldest != NULL
           && (whales->cached_bytes > bytes || whales->cached_count > count)) {
        struct hak_whale *whale = cache_pop(whales, &whales->oldest);
        whale->next = evicted;
        evicted = whale;
    }
    return evicted;
}

/* ---- what others call ---- */

/* Bytes of the mapping for a request; 0 if no address space holds so much. */
static size_t mapping_size(size_t size)
{
    if (size > PTRDIFF_MAX - HAK_REGION_SIZE)
        return 0;
    size = hak_align_up(size, hak_os_page_size());
    return size < SIZE_MIN ? SIZE_MIN : size;
}

/* Fresh memory in reach of the page map, or NULL. */
static void *map_fresh(size_t size, size_t alignment)
{
    if (alignment > PTRDIFF_MAX - size)
        return NULL;
    void *address = hak_os_map(size, alignment);
    if (address == NULL || hak_page_map_cover(address, SIZE_MIN) == 0)
        return address;
    hak_os_unmap(address, size);
    return NULL;
}

/* Whether a whale could be had from the kernel for this descriptor. */
static int map_whale(struct hak_whale *whale, const struct hak_region_source *source, size_t size,
                     size_t alignment)
{
    void *address = map_fresh(size, alignment);
    if (address == NULL)
        return 0;
    if (!hak_region_bind(source, address, size)) {
        hak_os_unmap(address, size);
        return 0;
    }
    whale->address = address;
    whale->size = size;
    whale->source = source;
    hak_count(source->counters, HAK_COUNTER_BYTES_MAPPED, size);
    return 1;
}

void *hak_whale_take(struct hak_whales *whales, const struct hak_region_source *source, size_t size,
                     size_t alignment, enum hak_zero zero, const struct hak_policy *policy)
{
    (void)policy; /* how to map will be its matter */
    size = mapping_size(size);
    if (size == 0)
        return NULL;
    if (alignment < HAK_REGION_SIZE)
        alignment = HAK_REGION_SIZE;
    hak_lock_acquire(&whales->lock);
    struct hak_whale *whale = cache_find(whales, size, alignment, source->node);
    int cached = whale != NULL;
    if (!cached)
        whale = new_descriptor(whales);
    hak_lock_release(&whales->lock);
    if (whale == NULL)
        return NULL;

    int mapped = cached || map_whale(whale, source, size, alignment);
    hak_lock_acquire(&whales->lock);
    if (mapped) {
        whale->live = 1;
        whale->source = source;
        whales->used_bytes += whale->size;
    } else {
        drop_descriptor(whales, whale);
    }
    hak_lock_release(&whales->lock);
    if (!mapped)
        return NULL;

    publish(whale);
    hak_count(source->counters, HAK_COUNTER_WHALE_MAPS, 1);
    if (cached)
        hak_count(source->counters, HAK_COUNTER_WHALE_CACHED_HITS, 1);
    if (cached && zero == HAK_ZERO_YES)
        memset(whale->address, 0, whale->size);
    return whale->address;
}

int hak_whale_give(struct hak_whales *whales, void *object, const struct hak_policy *policy)
{
    hak_lock_acquire(&whales->lock);
    struct hak_whale *whale = find(whales, object);
    if (whale == NULL) {
        hak_lock_release(&whales->lock);
        return 0;
    }
    whale->live = 0;
    whales->used_bytes -= whale->size;
    hak_count(whale->source->counters, HAK_COUNTER_WHALE_UNMAPS, 1);
    /* Ours still, but nobody's: a second free of it is told from a foreign pointer. */
    withdraw(object, HAK_PAGE_RESERVED);
    struct hak_whale *excess = whale;
    /* What is spread over nodes of the program's choice serves no other request. */
    size_t most = hak_policy_bytes(&policy->whale_retain_bytes);
    if (whale->size <= most && whale->source->node != HAK_NODE_SPREAD) {
        cache_push(whales, whale);
        excess = cache_evict(whales, most, HAK_WHALE_CACHED_MAX);
    }
    hak_lock_release(&whales->lock);
    unmap_list(whales, excess);
    return 1;
}

size_t hak_whale_size(struct hak_whales *whales, const void *object)
{
    hak_lock_acquire(&whales->lock);
    const struct hak_whale *whale = find(whales, object);
    size_t size = whale != NULL ? whale->size : 0;
    hak_lock_release(&whales->lock);
    return size;
}

/* Moves the pages of a live whale to a new place, aligned. NULL: refused, nothing changed. The
 * whale is the caller's alone, as in realloc. Lock not held. */
static void *move_whale(struct hak_whale *whale, size_t size)
{
    void *old = whale->address;
    void *target = map_fresh(size, HAK_REGION_SIZE);
    if (target == NULL)
        return NULL;
    withdraw(old, HAK_PAGE_FOREIGN);
    if (hak_os_remap_to(old, whale->size, size, target) != target) {
        publish(whale);
        hak_os_unmap(target, size);
        return NULL;
    }
    return target;
}

/* Notes the new size and place of a live whale. Lock not held. */
static void *resized(struct hak_whales *whales, struct hak_whale *whale, void *address, size_t size)
{
    struct hak_counters *counters = whale->source->counters;
    hak_lock_acquire(&whales->lock);
    size_t old = whale->size;
    whales->used_bytes += size - old;
    whale->size = size;
    int moved = whale->address != address;
    whale->address = address;
    hak_lock_release(&whales->lock);
    if (moved)
        publish(whale);
    hak_count(counters, HAK_COUNTER_WHALE_REMAPS, 1);
    if (size > old)
        hak_count(counters, HAK_COUNTER_BYTES_MAPPED, size - old);
    else
        hak_count(counters, HAK_COUNTER_BYTES_UNMAPPED, old - size);
    return address;
}

const struct hak_region_source *hak_whale_source(struct hak_whales *whales, const void *object)
{
    hak_lock_acquire(&whales->lock);
    const struct hak_whale *whale = find(whales, object);
    const struct hak_region_source *source = whale != NULL ? whale->source : NULL;
    hak_lock_release(&whales->lock);
    return source;
}

void hak_whale_adopt(struct hak_whales *whales, const void *object,
                     const struct hak_region_source *source)
{
    hak_lock_acquire(&whales->lock);
    struct hak_whale *whale = find(whales, object);
    if (whale != NULL)
        whale->source = source;
    hak_lock_release(&whales->lock);
}

void *hak_whale_resize(struct hak_whales *whales, void *object, size_t size, enum hak_os_move move)
{
    size = mapping_size(size);
    hak_lock_acquire(&whales->lock);
    struct hak_whale *whale = find(whales, object);
    hak_lock_release(&whales->lock);
    if (whale == NULL || size == 0)
        return NULL;
    if (size == whale->size)
        return object;
    if (size < whale->size) {
        if (hak_os_unmap((char *)object + size, whale->size - size) != 0)
            return object; /* too many mappings: it stays as large as it was */
        return resized(whales, whale, object, size);
    }
    void *address = hak_os_remap(object, whale->size, size, HAK_MOVE_NEVER);
    if (address == NULL && move == HAK_MOVE_ALLOWED)
        address = move_whale(whale, size);
    if (address == NULL)
        return NULL;
    return resized(whales, whale, address, size);
}

void hak_whale_tick(struct hak_whales *whales, const struct hak_policy *policy, uint64_t now_ns)
{
    uint32_t now = (uint32_t)(now_ns >> TICK_SHIFT);
    uint32_t decay = (uint32_t)(policy->decay_ns >> TICK_SHIFT);
    /* relaxed: a hint; a thread that comes with an older time is turned back under the lock */
    if (now - __atomic_load_n(&whales->now, __ATOMIC_RELAXED) < decay / HAK_WHALE_CACHED_MAX)
        return;
    struct hak_whale *old = NULL;
    hak_lock_acquire(&whales->lock);
    if (whales->now == 0 || (int32_t)(now - whales->now) >= 0) {
        __atomic_store_n(&whales->now, now, __ATOMIC_RELAXED); /* relaxed: as above */
        while (whales->oldest != NULL && now - whales->oldest->freed >= decay) {
            struct hak_whale *whale = cache_pop(whales, &whales->oldest);
            whale->next = old;
            old = whale;
        }
    }
    hak_lock_release(&whales->lock);
    unmap_list(whales, old);
}

size_t hak_whale_trim(struct hak_whales *whales)
{
    hak_lock_acquire(&whales->lock);
    struct hak_whale *all = cache_evict(whales, 0, 0);
    hak_lock_release(&whales->lock);
    return unmap_list(whales, all);
}

struct hak_whale_bytes hak_whale_bytes(struct hak_whales *whales)
{
    hak_lock_acquire(&whales->lock);
    struct hak_whale_bytes bytes = { whales->used_bytes, whales->cached_bytes };
    hak_lock_release(&whales->lock);
    return bytes;
}

void hak_whale_lock(struct hak_whales *whales)
{
    hak_lock_acquire(&whales->lock);
}

void hak_whale_unlock(struct hak_whales *whales)
{
    hak_lock_release(&whales->lock);
}

void hak_whale_reset_lock(struct hak_whales *whales)
{
    hak_lock_reset(&whales->lock);
}
