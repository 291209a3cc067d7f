/* SPDX-License-Identifier: MIT */
/* Whales are mapped, resized, moved, cached and unmapped here (see whale.h). Any thread; comments
 * say where the caller holds the lock.
 *
 * Entries of the page map are cleared before memory goes back to the kernel: another thread may get
 * the address at once and write its own entries. */
#include "tiers/whale.h"

#include <errno.h>
#include <string.h>

#include "learn/match.h"
#include "os/apart.h"
#include "os/clock.h"
#include "os/probe.h"
#include "tiers/headroom.h"
#include "tiers/page_map.h"
#include "tiers/whale_cache.h"
#include "topology/bind.h"

enum {
    MAP_PAGES = 2, /* entries of the page map */
    SIZE_MIN = MAP_PAGES * HAK_PAGE_SIZE,
    NUMBER_LOW_BITS = 16,
    LOOK_MOST = 100, /* ticks; the cache's oldest is looked at that often at least */
};

/* ---- the page map ---- */

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
        return NULL; /* a whale of another heap */
    struct hak_whale *whale = hak_whale_descriptor(whales, number);
    return whale->is_live && whale->address == object ? whale : NULL;
}

/* ---- back to the kernel ---- */

static uint32_t units_of(const struct hak_whale *whale)
{
    return (uint32_t)(whale->size >> HAK_LARGE_UNIT_SHIFT);
}

static enum hak_os_pages_kind kind_of(const struct hak_whale *whale)
{
    return whale->is_hugetlb ? HAK_OS_HUGETLB : HAK_OS_PLAIN;
}

/* Unmaps a whale that is in no list, and frees its descriptor. Lock not held. */
static void unmap_whale(struct hak_whales *whales, struct hak_whale *whale)
{
    withdraw(whale->address, HAK_PAGE_FOREIGN);
    HAK_PROBE2(unmap, whale->address, whale->size);
    uint64_t began = hak_os_now_ns();
    hak_os_release(whale->address, whale->size, kind_of(whale));
    uint64_t now = hak_os_now_ns();
    hak_count(whale->source->counters, HAK_COUNTER_BYTES_UNMAPPED, whale->size);
    hak_lock_acquire(&whales->lock);
    /* The costs count for all arms: each of them makes this system call. */
    hak_headroom_give(whale->size);
    for (unsigned arm = HAK_ARM_KEEP; arm <= HAK_ARM_DONTNEED; arm++)
        hak_learner_saw(&whales->learner, HAK_LEARN_ACT, arm, units_of(whale), now - began);
    hak_learner_purged(&whales->learner, (uintptr_t)whale->address, hak_os_coarse_now_ns());
    hak_whale_drop_descriptor(whales, whale);
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

/* ---- from the kernel ---- */

static bool wants_hugetlb(size_t size)
{
    return size > HAK_LARGE_GROWN_MAX && hak_region_wants_hugetlb();
}

/* Bytes of the mapping for a request; 0 if no address space is large enough. */
static size_t mapping_size(size_t size)
{
    if (size > PTRDIFF_MAX - HAK_REGION_SIZE)
        return 0;
    /* The excess of plain memory is never touched, so it costs nothing. */
    size = hak_align_up(size, wants_hugetlb(size) ? HAK_REGION_SIZE : hak_os_page_size());
    return size < SIZE_MIN ? SIZE_MIN : size;
}

/* Fresh memory that the page map covers, or NULL. */
static void *map_fresh(size_t size, size_t alignment)
{
    if (alignment > PTRDIFF_MAX - size)
        return NULL;
    void *address = hak_apart_map(size, alignment);
    if (address == NULL || hak_page_map_cover(address, SIZE_MIN) == 0)
        return address;
    hak_os_release(address, size, HAK_OS_PLAIN);
    return NULL;
}

/* The same of explicit huge pages, bound. Not for memory that is spread over nodes page by page. */
static void *map_hugetlb(const struct hak_region_source *source, size_t size, size_t alignment)
{
    if (alignment > HAK_REGION_SIZE || size % HAK_REGION_SIZE != 0 ||
        source->node == HAK_NODE_SPREAD)
        return NULL;
    void *address = hak_region_take_hugetlb(source, size);
    if (address == NULL || hak_page_map_cover(address, SIZE_MIN) == 0)
        return address;
    hak_os_release(address, size, HAK_OS_HUGETLB);
    return NULL;
}

/* The same of plain memory, advised and bound. */
static void *map_plain(const struct hak_region_source *source, size_t size, size_t alignment)
{
    void *address = map_fresh(size, alignment);
    if (address == NULL)
        return NULL;
    hak_region_advise(address, size);
    if (hak_region_bind(source, address, size))
        return address;
    hak_os_release(address, size, HAK_OS_PLAIN);
    return NULL;
}

/* Maps memory for a descriptor; false if the kernel refuses. */
static bool map_whale(struct hak_whale *whale, const struct hak_region_source *source, size_t size,
                      size_t alignment)
{
    void *address = map_hugetlb(source, size, alignment);
    whale->is_hugetlb = address != NULL;
    if (address == NULL)
        address = map_plain(source, size, alignment);
    if (address == NULL)
        return false;
    whale->address = address;
    whale->size = size;
    whale->source = source;
    hak_count(source->counters, HAK_COUNTER_BYTES_MAPPED, size);
    HAK_PROBE2(map, address, size);
    return true;
}

void hak_whale_start(struct hak_whales *whales, const struct hak_settings *settings)
{
    hak_lock_acquire(&whales->lock);
    whales->learner.arms = 1u << HAK_ARM_KEEP | 1u << HAK_ARM_DONTNEED;
    hak_learner_start(&whales->learner, settings, 0);
    hak_lock_release(&whales->lock);
}

/* The kernel refused to move pages to the target. A kernel before about 6.16 may have unmapped the
 * target first, and another thread may have mapped memory there since. If the addresses can be
 * mapped again they were free, and are unmapped; else nothing touches them. hak_os_grow and
 * hak_os_can_move avoid all known reasons for such a refusal. */
static HAK_COLD void give_up_target(void *target, size_t size)
{
    if (hak_os_map_at(target, size) == target)
        hak_os_release(target, size, HAK_OS_PLAIN);
}

/* Maps a target that consists of addresses alone, for a whale that leaves no room for a second one.
 * First maps and unmaps `more` bytes, to see that the kernel will not refuse when the target is
 * gone. */
static HAK_COLD void *map_target(size_t size, size_t more)
{
    void *probe = hak_os_can_move() ? hak_os_map(more, hak_os_page_size()) : NULL;
    if (probe == NULL)
        return NULL;
    hak_os_release(probe, more, HAK_OS_PLAIN);
    void *target = hak_os_map_target(size, HAK_REGION_SIZE);
    if (target == NULL || hak_page_map_cover(target, SIZE_MIN) == 0)
        return target;
    hak_os_release(target, size, HAK_OS_PLAIN);
    return NULL;
}

/* Moves the pages of a whale to a new, aligned place. NULL if refused: the whale is then as it was,
 * and entered in the page map. Only the caller uses the whale, as in realloc. Lock not held. */
static void *move_whale(struct hak_whale *whale, size_t size)
{
    void *old = whale->address;
    void *target = hak_os_can_move() ? map_fresh(size, HAK_REGION_SIZE) : NULL;
    if (target == NULL)
        target = map_target(size, size - whale->size);
    if (target == NULL)
        return NULL;
    withdraw(old, HAK_PAGE_FOREIGN);
    if (hak_os_remap_to(old, whale->size, size, target) == target)
        return target;
    publish(whale);
    give_up_target(target, size);
    return NULL;
}

/* Cuts a cached whale at `size`: the rest becomes a cached whale of the same age. False, with
 * nothing changed, if that is impossible. Lock held. */
static bool cut(struct hak_whales *whales, struct hak_whale *whale, size_t size)
{
    size = hak_align_up(size, HAK_REGION_SIZE);
    if (whale->size < size + HAK_REGION_SIZE)
        return false;
    void *address = (char *)whale->address + size;
    struct hak_whale *rest = NULL;
    if (hak_page_map_cover(address, SIZE_MIN) == 0)
        rest = hak_whale_new_descriptor(whales);
    if (rest == NULL)
        return false;
    rest->address = address;
    rest->size = whale->size - size;
    rest->source = whale->source;
    rest->is_hugetlb = false;
    whale->size = size;
    withdraw(address, HAK_PAGE_RESERVED);
    hak_whale_cache_push_old(whales, rest, whale->freed);
    return true;
}

/* Finds a whale for a request in the cache, or else a new descriptor. *had: the bytes that it has,
 * which may be too few, or 0. Tells the learner. Lock held. */
static struct hak_whale *find_or_new(struct hak_whales *whales, size_t size, size_t alignment,
                                     int node, size_t *had)
{
    uint64_t now = hak_os_coarse_now_ns();
    hak_learner_turn(&whales->learner, now);
    struct hak_whale *whale = hak_whale_cache_find(whales, size, alignment, node);
    if (whale == NULL && alignment == HAK_REGION_SIZE && !wants_hugetlb(size)) {
        whale = hak_whale_cache_find_other(whales, size, alignment, node);
        if (whale != NULL && whale->size > size && !cut(whales, whale, size)) {
            hak_whale_cache_push_old(whales, whale, whale->freed);
            whale = NULL;
        }
    }
    *had = whale != NULL ? whale->size : 0;
    if (*had < size) {
        hak_learner_missed(&whales->learner, hak_learn_bucket(size), now);
        hak_learner_saw(&whales->learner, HAK_LEARN_MISSED, HAK_ARM_KEEP,
                        (size - *had) >> HAK_LARGE_UNIT_SHIFT, 0);
    }
    if (whale == NULL)
        return hak_whale_new_descriptor(whales);
    hak_learner_reused(&whales->learner, (uintptr_t)whale->address, now);
    hak_learner_saw(&whales->learner, HAK_LEARN_REUSED, HAK_ARM_KEEP, units_of(whale), 0);
    return whale;
}

/* Lengthens a whale that came from the cache. False if that is impossible: its memory is then gone.
 * Lock not held. */
static bool lengthen(struct hak_whale *whale, size_t size)
{
    size_t old = whale->size;
    void *address =
        hak_os_grow(whale->address, old, size) == 0 ? whale->address : move_whale(whale, size);
    struct hak_counters *counters = whale->source->counters;
    if (address == NULL) {
        withdraw(whale->address, HAK_PAGE_FOREIGN);
        hak_os_release(whale->address, old, HAK_OS_PLAIN);
        hak_count(counters, HAK_COUNTER_BYTES_UNMAPPED, old);
        hak_headroom_give(old);
        return false;
    }
    hak_region_advise(address, size);
    whale->address = address;
    whale->size = size;
    hak_count(counters, HAK_COUNTER_WHALE_REMAPS, 1);
    hak_count(counters, HAK_COUNTER_BYTES_MAPPED, size - old);
    hak_headroom_grow(size - old);
    hak_headroom_take(size - old);
    return true;
}

/* Makes a whale `size` bytes long. It has *had bytes, whose contents are arbitrary. False: out of
 * memory. Lock not held. */
static bool furnish(struct hak_whale *whale, const struct hak_region_source *source, size_t size,
                    size_t alignment, size_t *had)
{
    if (*had >= size || (*had != 0 && lengthen(whale, size)))
        return true;
    *had = 0;
    if (!map_whale(whale, source, size, alignment))
        return false;
    hak_headroom_grow(size);
    hak_headroom_take(size);
    return true;
}

/* Lets another shard count a whale's bytes. Lock held. */
static void move_to(struct hak_whale *whale, const struct hak_region_source *source)
{
    if (whale->source == source)
        return;
    hak_count(whale->source->counters, HAK_COUNTER_BYTES_UNMAPPED, whale->size);
    hak_count(source->counters, HAK_COUNTER_BYTES_MAPPED, whale->size);
    whale->source = source;
}

void *hak_whale_take(struct hak_whales *whales, const struct hak_region_source *source, size_t size,
                     size_t alignment, enum hak_zero zero, const struct hak_settings *settings)
{
    (void)settings;
    size = mapping_size(size);
    if (size == 0)
        return NULL;
    if (alignment < HAK_REGION_SIZE)
        alignment = HAK_REGION_SIZE;
    hak_lock_acquire(&whales->lock);
    size_t had;
    struct hak_whale *whale = find_or_new(whales, size, alignment, source->node, &had);
    hak_lock_release(&whales->lock);
    if (whale == NULL)
        return NULL;

    bool is_mapped = furnish(whale, source, size, alignment, &had);
    hak_lock_acquire(&whales->lock);
    if (is_mapped) {
        whale->is_live = true;
        move_to(whale, source);
        whales->used_bytes += whale->size;
    } else {
        hak_whale_drop_descriptor(whales, whale);
    }
    hak_lock_release(&whales->lock);
    if (!is_mapped)
        return NULL;

    publish(whale);
    hak_count(source->counters, HAK_COUNTER_WHALE_MAPS, 1);
    if (had != 0)
        hak_count(source->counters, HAK_COUNTER_WHALE_CACHED_HITS, 1);
    if (zero == HAK_ZERO_YES)
        memset(whale->address, 0, had);
    return whale->address;
}

/* Puts a freed whale into the cache, if settings and learner keep it. Returns a list of whales to
 * unmap: the freed one, or older ones that exceed the cache's bound. Lock held. */
static struct hak_whale *keep_or_not(struct hak_whales *whales, struct hak_whale *whale,
                                     const struct hak_settings *settings)
{
    struct hak_learner *learner = &whales->learner;
    size_t most = hak_learner_retain(learner, settings, hak_whale_cache_most(settings));
    struct hak_learn_give give = {
        .id = (uintptr_t)whale->address,
        .units = units_of(whale),
        .key = (uint8_t)hak_learn_bucket(whale->size),
        .now_ns = hak_os_coarse_now_ns(),
    };
    unsigned pin = settings->pinned[give.key];
    give.arm = pin != 0 ? (uint8_t)(pin - 1)
                        : (uint8_t)hak_learner_choose(learner, settings, give.key, give.units);
    bool is_purged = hak_arms[give.arm].act == HAK_ACT_PURGE;
    /* A whale that is spread over nodes that the program chose serves no other request. */
    bool is_kept = whale->size <= most && whale->source->node != HAK_NODE_SPREAD && !is_purged &&
                   hak_headroom_shortfall() == 0 && settings->decay_ns != 0;
    if (hak_learner_watches(settings)) {
        give.is_purged = is_purged;
        give.spent_ns = is_purged ? hak_learner_act_ns(learner, give.arm, give.units) : 0;
        hak_learner_gave(learner, &give);
        if (!is_kept && !give.is_purged)
            hak_learner_saw(learner, HAK_LEARN_EXCESS, HAK_ARM_KEEP, give.units, 0);
    }
    if (!is_kept)
        return whale;
    hak_whale_cache_push(whales, whale);
    size_t before = whales->cached_bytes;
    hak_learner_saw(learner, HAK_LEARN_DIRTY, HAK_ARM_KEEP, before >> HAK_LARGE_UNIT_SHIFT, 0);
    if (before > most && hak_learner_grow_retain(learner, settings, hak_whale_cache_most(settings)))
        most = hak_learner_retain(learner, settings, hak_whale_cache_most(settings));
    most = hak_whale_cache_claim(whales, settings, before < most ? before : most, most);
    struct hak_whale *evicted = hak_whale_cache_evict(whales, most, HAK_WHALE_CACHED_MAX);
    hak_whale_cache_settle(whales, settings);
    hak_learner_saw(learner, HAK_LEARN_EXCESS, HAK_ARM_KEEP,
                    (before - whales->cached_bytes) >> HAK_LARGE_UNIT_SHIFT, 0);
    return evicted;
}

static void tick_learner(struct hak_whales *whales, const struct hak_settings *settings,
                         uint64_t now_ns)
{
    if (hak_learner_watches(settings) && hak_learner_is_due(&whales->learner, now_ns))
        hak_learner_tick(&whales->learner, settings, hak_whale_cache_most(settings), now_ns);
}

bool hak_whale_give(struct hak_whales *whales, void *object, const struct hak_settings *settings)
{
    hak_lock_acquire(&whales->lock);
    struct hak_whale *whale = find(whales, object);
    if (whale == NULL) {
        hak_lock_release(&whales->lock);
        return false;
    }
    whale->is_live = false;
    whales->used_bytes -= whale->size;
    hak_count(whale->source->counters, HAK_COUNTER_WHALE_UNMAPS, 1);
    /* Still mapped but free: so a second free differs from one of a foreign pointer. */
    withdraw(object, HAK_PAGE_RESERVED);
    struct hak_whale *excess = keep_or_not(whales, whale, settings);
    tick_learner(whales, settings, hak_os_coarse_now_ns());
    hak_lock_release(&whales->lock);
    unmap_list(whales, excess);
    return true;
}

size_t hak_whale_size(struct hak_whales *whales, const void *object)
{
    hak_lock_acquire(&whales->lock);
    const struct hak_whale *whale = find(whales, object);
    size_t size = whale != NULL ? whale->size : 0;
    hak_lock_release(&whales->lock);
    return size;
}

size_t hak_whale_size_beside(struct hak_whales *whales, const void *object)
{
    const struct hak_whale *whale = find(whales, object);
    return whale != NULL ? whale->size : 0;
}

/* Notes the new size and place of a live whale. Lock not held. */
static void *resized(struct hak_whales *whales, struct hak_whale *whale, void *address, size_t size)
{
    struct hak_counters *counters = whale->source->counters;
    hak_lock_acquire(&whales->lock);
    size_t old = whale->size;
    whales->used_bytes += size - old;
    whale->size = size;
    bool has_moved = whale->address != address;
    whale->address = address;
    hak_lock_release(&whales->lock);
    if (has_moved)
        publish(whale);
    hak_count(counters, HAK_COUNTER_WHALE_REMAPS, 1);
    if (size > old) {
        hak_count(counters, HAK_COUNTER_BYTES_MAPPED, size - old);
        hak_headroom_take(size - old);
    } else {
        hak_count(counters, HAK_COUNTER_BYTES_UNMAPPED, old - size);
        hak_headroom_give(old - size);
    }
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
        move_to(whale, source);
    hak_lock_release(&whales->lock);
}

/* If the kernel will not cut the mapping (there are too many, or it would split a huge page), the
 * whale keeps its length, and its end is purged. */
static void *shrink(struct hak_whales *whales, struct hak_whale *whale, size_t size)
{
    char *end = (char *)whale->address + size;
    if (hak_os_unmap(end, whale->size - size) == 0)
        return resized(whales, whale, whale->address, size);
    /* If that is refused, too, the pages stay: they are locked by mlock. */
    if (!whale->is_hugetlb && hak_os_purge(end, whale->size - size, HAK_PURGE_NOW) == 0)
        hak_count(whale->source->counters, HAK_COUNTER_BYTES_PURGED, whale->size - size);
    return whale->address;
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
    if (size < whale->size)
        return shrink(whales, whale, size);
    if (whale->is_hugetlb)
        return NULL; /* there may be no more huge pages */
    int refused = hak_os_grow(object, whale->size, size);
    void *address = refused == 0 ? object : NULL;
    /* -EFAULT: the program gave advice on a part, so there are several mappings: mremap moves
     * none. */
    if (refused != 0 && refused != -EFAULT && move == HAK_MOVE_ALLOWED)
        address = move_whale(whale, size);
    if (address == NULL)
        return NULL;
    hak_region_advise(address, size); /* it may have been mapped before options were read */
    return resized(whales, whale, address, size);
}

void hak_whale_tick(struct hak_whales *whales, const struct hak_settings *settings, uint64_t now_ns)
{
    uint32_t now = (uint32_t)(now_ns >> HAK_LARGE_TICK_SHIFT);
    uint32_t look = (uint32_t)(settings->decay_ns >> HAK_LARGE_TICK_SHIFT) / HAK_WHALE_CACHED_MAX;
    look = look < LOOK_MOST ? look : LOOK_MOST;
    /* relaxed: an estimate; under the lock a thread with an older time does nothing */
    if (now - __atomic_load_n(&whales->now, __ATOMIC_RELAXED) < look)
        return;
    struct hak_whale *old = NULL;
    hak_lock_acquire(&whales->lock);
    uint32_t decay = (uint32_t)(settings->decay_ns >> HAK_LARGE_TICK_SHIFT);
    if (whales->now == 0 || (int32_t)(now - whales->now) >= 0) {
        __atomic_store_n(&whales->now, now, __ATOMIC_RELAXED); /* relaxed: as above */
        while (whales->oldest != NULL && now - whales->oldest->freed >= decay) {
            struct hak_whale *whale = hak_whale_cache_pop(whales, &whales->oldest);
            hak_learner_saw(&whales->learner, HAK_LEARN_DECAY, HAK_ARM_KEEP, units_of(whale), 0);
            whale->next = old;
            old = whale;
        }
    }
    tick_learner(whales, settings, now_ns);
    hak_whale_cache_settle(whales, settings);
    hak_lock_release(&whales->lock);
    unmap_list(whales, old);
}

void hak_whale_end_learning(struct hak_whales *whales, const struct hak_settings *settings,
                            uint64_t now_ns)
{
    hak_lock_acquire(&whales->lock);
    hak_learner_tick(&whales->learner, settings, hak_whale_cache_most(settings), now_ns);
    hak_lock_release(&whales->lock);
}

size_t hak_whale_trim(struct hak_whales *whales)
{
    hak_lock_acquire(&whales->lock);
    struct hak_whale *all = hak_whale_cache_evict(whales, 0, 0);
    hak_lock_release(&whales->lock);
    return unmap_list(whales, all);
}

struct hak_whale_bytes hak_whale_bytes(struct hak_whales *whales)
{
    hak_lock_acquire(&whales->lock);
    struct hak_whale_bytes bytes = {whales->used_bytes, whales->cached_bytes};
    hak_lock_release(&whales->lock);
    return bytes;
}
