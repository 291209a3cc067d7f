/* SPDX-License-Identifier: MIT */
/* Memory beside the shards. Any thread, also while the heap is frozen; see beside.h.
 *
 * A side page's state is one word {bytes used:32 | held:1 | live objects:31}: held while the page
 * is in one of the slots that allocations come from. The thread that takes away the last of both
 * frees the page. No thread takes an object from a page that is not held, so an old pointer to a
 * page does no harm: only the word decides. */
#include "heap/beside.h"

#include "front/fronts.h"
#include "heap/heap.h"
#include "os/bits.h"
#include "os/lock.h"
#include "os/memory.h"
#include "shard/shard.h"
#include "tiers/large.h"
#include "tiers/page_map.h"
#include "tiers/region.h"
#include "tiers/whale.h"

enum {
    SLOTS = 8,
    USED_SHIFT = 32,
    FREE_KEPT = 16, /* free pages that keep their memory */
    SETTLED_AT_ONCE = 16,
    LEAD = 64, /* of a mapping's object */
    TAG_BITS = 16,
    HEADER = 16,
    REGION_PAGES = HAK_REGION_SIZE / HAK_PAGE_SIZE,
};

static const uint64_t KEPT = UINT64_C(1) << 32; /* the page has memory */
static const uint64_t HELD = UINT64_C(1) << 31;
static const uint64_t LIVE_MASK = (UINT64_C(1) << 31) - 1;

/* In front of each object. */
struct header {
    uint64_t mapping; /* where that begins; 0: a side page's object */
    uint64_t tag;     /* usable bytes:48 | a hash of them and of the address:16; 0: free */
};

_Static_assert(sizeof(struct header) == HEADER, "a header is as long as objects are aligned");

/* The first page of a side region; those are never unmapped. */
struct region {
    uint64_t words[REGION_PAGES]; /* of the pages; atomic */
    uint64_t next[REGION_PAGES];  /* while a page is in the list: the next one's number, KEPT or
                                     not; relaxed */
};

static struct {
    uintptr_t current[SLOTS]; /* pages; 0: none yet. Acquire, release */
    uint64_t free_head;       /* page number:32 | changes:32, so that no ABA is seen */
    uint32_t kept;            /* free pages with memory; relaxed */
    uint32_t next_slot;       /* relaxed */
    void *deferred;           /* newest first: release, acquire */
    struct hak_lock settling; /* over: */
    void *rest;               /* deferred ones that are being given back */
} __attribute__((aligned(HAK_CACHE_LINE))) beside; /* not in hak_owed's line */

/* ---- pages ---------------------------------------------------------------------------------- */

static struct region *region_of(uintptr_t page)
{
    return (struct region *)hak_align_down(page, HAK_REGION_SIZE);
}

static unsigned index_of(uintptr_t page)
{
    return (unsigned)(page >> HAK_PAGE_SHIFT) % REGION_PAGES;
}

static uint64_t *word_of(uintptr_t page)
{
    return &region_of(page)->words[index_of(page)];
}

static void push_free(uintptr_t page, uint64_t kept)
{
    uint64_t number = page >> HAK_PAGE_SHIFT;
    /* relaxed, all but the exchange: these values are only passed on */
    uint64_t head = __atomic_load_n(&beside.free_head, __ATOMIC_RELAXED);
    uint64_t wanted;
    do {
        __atomic_store_n(&region_of(page)->next[index_of(page)], head >> 32 | kept,
                         __ATOMIC_RELAXED);
        wanted = number << 32 | (uint32_t)(head + 1);
        /* release: pairs with the acquire in pop_free */
    } while (!__atomic_compare_exchange_n(&beside.free_head, &head, wanted, 1, __ATOMIC_RELEASE,
                                          __ATOMIC_RELAXED));
}

/* Frees a page. FREE_KEPT free pages keep their memory. */
static void retire(uintptr_t page)
{
    /* relaxed: a count; threads that retire at once may exceed it by one each */
    bool is_kept = __atomic_load_n(&beside.kept, __ATOMIC_RELAXED) < FREE_KEPT;
    if (is_kept)
        __atomic_fetch_add(&beside.kept, 1, __ATOMIC_RELAXED);
    else
        hak_os_purge((void *)page, HAK_PAGE_SIZE, HAK_PURGE_NOW);
    push_free(page, is_kept ? KEPT : 0);
}

/* 0: there is none. */
static uintptr_t pop_free(void)
{
    /* acquire, both: pair with the release in push_free; the link is seen with the head, so its own
     * load is relaxed */
    uint64_t head = __atomic_load_n(&beside.free_head, __ATOMIC_ACQUIRE);
    uint64_t wanted;
    uint64_t next;
    uintptr_t page;
    do {
        page = (uintptr_t)(head >> 32) << HAK_PAGE_SHIFT;
        if (page == 0)
            return 0;
        next = __atomic_load_n(&region_of(page)->next[index_of(page)], __ATOMIC_RELAXED);
        wanted = next << 32 | (uint32_t)(head + 1);
    } while (!__atomic_compare_exchange_n(&beside.free_head, &head, wanted, 1, __ATOMIC_ACQUIRE,
                                          __ATOMIC_ACQUIRE));
    if ((next & KEPT) != 0)
        __atomic_fetch_sub(&beside.kept, 1, __ATOMIC_RELAXED); /* relaxed: a count */
    return page;
}

/* Maps a region: its first usable page is the caller's, the others go to the list; 0: refused. */
static uintptr_t map_region(struct hak_shard *shard)
{
    char *region = hak_os_map(HAK_REGION_SIZE, HAK_REGION_SIZE);
    if (region == NULL)
        return 0;
    if (hak_page_map_cover(region, HAK_REGION_SIZE) != 0) {
        hak_os_release(region, HAK_REGION_SIZE, HAK_OS_PLAIN);
        return 0;
    }
    hak_os_advise_huge(region, HAK_REGION_SIZE, HAK_HUGE_NEVER);
    hak_count(&shard->counters, HAK_COUNTER_REGIONS_MAPPED, 1);
    hak_count(&shard->counters, HAK_COUNTER_BYTES_MAPPED, HAK_REGION_SIZE);
    hak_page_map_set_kind(region, 1, HAK_PAGE_RESERVED, 0);
    hak_page_map_set_kind(region + HAK_PAGE_SIZE, REGION_PAGES - 1, HAK_PAGE_SIDE, HAK_SIDE_PAGE);
    for (unsigned index = REGION_PAGES - 1; index > 1; index--)
        push_free((uintptr_t)region + (size_t)index * HAK_PAGE_SIZE, 0);
    return (uintptr_t)region + HAK_PAGE_SIZE;
}

/* Changes a page's word by one of the functions below, and returns the new one. Whoever makes it 0
 * frees the page. acq_rel: what threads did in the page's objects comes before its next use; pairs
 * with the acquire in cut. relaxed, the first load: the exchange checks it */
static uint64_t change(uintptr_t page, uint64_t (*how)(uint64_t))
{
    uint64_t *word = word_of(page);
    uint64_t old = __atomic_load_n(word, __ATOMIC_RELAXED);
    uint64_t new;
    do
        new = how(old);
    while (!__atomic_compare_exchange_n(word, &old, new, 1, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    if (new == 0)
        retire(page);
    return new;
}

static uint64_t release_hold(uint64_t word)
{
    word &= ~HELD;
    return (word & LIVE_MASK) != 0 ? word : 0;
}

/* A held page whose last object is freed starts again. */
static uint64_t release_object(uint64_t word)
{
    word--;
    return (word & LIVE_MASK) != 0 ? word : word & HELD;
}

/* Another page in the place of `old`, whose room is used up. False: no memory. */
static bool replace(struct hak_shard *shard, uintptr_t *slot, uintptr_t old)
{
    uintptr_t page = pop_free();
    if (page == 0)
        page = map_region(shard);
    if (page == 0)
        return false;
    /* relaxed: published by the exchange; no thread takes from a page that is not held */
    __atomic_store_n(word_of(page), HELD, __ATOMIC_RELAXED);
    /* release: pairs with the acquire in take_small */
    bool is_ours =
        __atomic_compare_exchange_n(slot, &old, page, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
    if (!is_ours)
        change(page, release_hold);
    else if (old != 0)
        change(old, release_hold);
    return true;
}

/* ---- objects -------------------------------------------------------------------------------- */

static struct header *header_of(const void *object)
{
    return (struct header *)((uintptr_t)object - HEADER);
}

static uint64_t tag_for(uintptr_t object, uint64_t size)
{
    uint64_t hash = (object ^ size << TAG_BITS) * UINT64_C(0x9E3779B97F4A7C15) >> 48;
    return size << TAG_BITS | hash | 1;
}

/* The tag of a live object; 0: it is none. */
static uint64_t live_tag(const void *object)
{
    uintptr_t address = (uintptr_t)object;
    struct hak_page page = hak_page_find(object);
    if (page.class_id != HAK_CLASS_NONE || page.offset != HAK_PAGE_SIDE || address % HEADER != 0 ||
        (page.home == HAK_SIDE_PAGE && address % HAK_PAGE_SIZE < HEADER))
        return 0;
    /* relaxed: of a live object only its owner changes it */
    uint64_t tag = __atomic_load_n(&header_of(object)->tag, __ATOMIC_RELAXED);
    return tag == tag_for(address, tag >> TAG_BITS) ? tag : 0;
}

static void *dress(uintptr_t object, uint64_t mapping, size_t size)
{
    struct header *header = header_of((void *)object);
    header->mapping = mapping;
    /* relaxed: the program hands the object on */
    __atomic_store_n(&header->tag, tag_for(object, size), __ATOMIC_RELAXED);
    return (void *)object;
}

/* 0: the page has no room, or is not held any more. */
static uintptr_t cut(uintptr_t page, size_t size, size_t alignment)
{
    uint64_t *word = word_of(page);
    /* relaxed: the exchange orders */
    uint64_t old = __atomic_load_n(word, __ATOMIC_RELAXED);
    for (;;) {
        uintptr_t object = hak_align_up(page + (old >> USED_SHIFT) + HEADER, alignment);
        uint64_t used = object + size - page;
        if ((old & HELD) == 0 || used > HAK_PAGE_SIZE)
            return 0;
        uint64_t new = used << USED_SHIFT | ((uint32_t)old + 1);
        /* acquire: pairs with the release in `change`, which may have started the page again */
        if (__atomic_compare_exchange_n(word, &old, new, 1, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return object;
    }
}

static void *take_small(struct hak_shard *shard, size_t size, size_t alignment)
{
    size = hak_align_up(size + (size == 0), HEADER);
    /* relaxed: a turn */
    uint32_t turn = __atomic_fetch_add(&beside.next_slot, 1, __ATOMIC_RELAXED);
    uintptr_t *slot = &beside.current[turn % SLOTS];
    for (;;) {
        /* acquire: pairs with the release in replace */
        uintptr_t page = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
        uintptr_t object = page != 0 ? cut(page, size, alignment) : 0;
        if (object != 0)
            return dress(object, 0, size);
        if (!replace(shard, slot, page))
            return NULL;
    }
}

static void *take_mapping(struct hak_shard *shard, size_t size, size_t alignment)
{
    size_t lead = alignment > LEAD ? alignment : LEAD;
    size_t total;
    if (__builtin_add_overflow(size, lead + HAK_PAGE_SIZE - 1, &total) || total > PTRDIFF_MAX)
        return NULL;
    total = hak_align_down(total, HAK_PAGE_SIZE);
    char *mapping = hak_os_map(total, alignment > HAK_PAGE_SIZE ? alignment : HAK_PAGE_SIZE);
    if (mapping == NULL)
        return NULL;
    char *object = mapping + lead;
    if (hak_page_map_cover(object, 1) != 0) {
        hak_os_release(mapping, total, HAK_OS_PLAIN);
        return NULL;
    }
    hak_page_map_set_kind(object, 1, HAK_PAGE_SIDE, HAK_SIDE_MAPPING);
    hak_count(&shard->counters, HAK_COUNTER_BYTES_MAPPED, total);
    return dress((uintptr_t)object, (uintptr_t)mapping, total - lead);
}

void *hak_beside_take(struct hak_shard *shard, size_t size, size_t alignment, bool *is_zero)
{
    hak_count(&shard->counters, HAK_COUNTER_BESIDE, 1);
    alignment = alignment > HEADER ? alignment : HEADER;
    *is_zero = size > HAK_MID_MAX || alignment > HAK_MID_MAX / 2;
    return *is_zero ? take_mapping(shard, size, alignment) : take_small(shard, size, alignment);
}

bool hak_beside_give(void *object)
{
    uint64_t tag = live_tag(object);
    struct header *header = header_of(object);
    /* relaxed: if two threads free it, one of them sees that it is free */
    if (tag == 0 ||
        !__atomic_compare_exchange_n(&header->tag, &tag, 0, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return false;
    if (hak_page_find(object).home == HAK_SIDE_PAGE) {
        change(hak_align_down((uintptr_t)object, HAK_PAGE_SIZE), release_object);
        return true;
    }
    char *mapping = (char *)(uintptr_t)header->mapping;
    size_t total = (size_t)((char *)object - mapping) + (size_t)(tag >> TAG_BITS);
    hak_page_map_set_kind(object, 1, HAK_PAGE_FOREIGN, 0);
    hak_os_release(mapping, total, HAK_OS_PLAIN);
    hak_count(&hak_shard_of_id(1)->counters, HAK_COUNTER_BYTES_UNMAPPED, total);
    return true;
}

size_t hak_beside_size(const void *object)
{
    return (size_t)(live_tag(object) >> TAG_BITS);
}

/* ---- afterwards ----------------------------------------------------------------------------- */

/* The first words of an object that waits. No live object has its mark by chance. An exchange sets
 * the mark, so if two threads free the object at once, one of them sees it. */
struct waiting {
    void *next;
    uint64_t mark;
};

static uint64_t mark_of(const void *object)
{
    return ((uintptr_t)object ^ (uintptr_t)&beside) * UINT64_C(0x9E3779B97F4A7C15);
}

bool hak_beside_defer(void *object)
{
    struct waiting *waiting = object;
    /* relaxed: the mark alone is of interest */
    if (__atomic_exchange_n(&waiting->mark, mark_of(object), __ATOMIC_RELAXED) == mark_of(object))
        return false;
    /* relaxed: only handed on */
    void *head = __atomic_load_n(&beside.deferred, __ATOMIC_RELAXED);
    do
        waiting->next = head;
    /* release: pairs with the acquire in fetch */
    while (!__atomic_compare_exchange_n(&beside.deferred, &head, object, 1, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED));
    hak_owe(HAK_OWED_DEFERRED);
    return true;
}

/* Takes some deferred objects out of the lists. Only tries the lock: its holder does the same
 * work. */
static unsigned fetch(void **objects)
{
    unsigned count = 0;
    if (!hak_lock_try(&beside.settling))
        return 0;
    if (beside.rest == NULL) {
        hak_owe_no_more(HAK_OWED_DEFERRED);
        /* acquire: pairs with the release in hak_beside_defer */
        beside.rest = __atomic_exchange_n(&beside.deferred, NULL, __ATOMIC_ACQUIRE);
    }
    while (beside.rest != NULL && count < SETTLED_AT_ONCE) {
        struct waiting *waiting = beside.rest;
        beside.rest = waiting->next;
        *waiting = (struct waiting){NULL, 0};
        objects[count++] = waiting;
    }
    if (beside.rest != NULL)
        hak_owe(HAK_OWED_DEFERRED);
    hak_lock_release(&beside.settling);
    return count;
}

static void give_deferred(void *object)
{
    struct hak_heap *heap = hak_heap_default();
    struct hak_page page = hak_page_find(object);
    bool given = false;
    if (page.class_id == HAK_CLASS_NONE && page.offset == HAK_PAGE_LARGE)
        given = hak_large_give(object, heap->settings);
    else if (page.class_id == HAK_CLASS_NONE && page.offset == HAK_PAGE_WHALE)
        given = hak_whale_give(&heap->whales, object, heap->settings);
    if (!given)
        hak_count(&hak_shard_of_id(1)->counters, HAK_COUNTER_BAD_FREES, 1);
}

void hak_beside_settle(void)
{
    void *objects[SETTLED_AT_ONCE];
    uint32_t owed = __atomic_load_n(&hak_owed, __ATOMIC_RELAXED); /* relaxed: a hint */
    unsigned count = (owed & HAK_OWED_DEFERRED) != 0 ? fetch(objects) : 0;
    for (unsigned index = 0; index < count; index++)
        give_deferred(objects[index]);
    if ((owed & HAK_OWED_FRONTS) != 0)
        hak_front_collect();
}
