/* SPDX-License-Identifier: MIT */
/* Taking, giving and purging large runs (see large.h for the structure, large_segment.h for the
 * memory). Any thread, under the lock of the cache; static functions are called with the lock held
 * unless they say otherwise. */
#include "tiers/large.h"

#include "os/memory.h"
#include "topology/bind.h"

enum {
    TICK_SHIFT = 20,               /* a tick is 2^20 ns, about a millisecond */
    FIRST_SEGMENT = 4 * 1024 * 1024,
    PURGE_STEP = 64,               /* units; a run is not purged in smaller parts */
    PURGES_AT_ONCE = 16,           /* runs purged by one call, so that no call takes long */
    DECAY_STEPS = 8,               /* purging what decayed takes so many steps of a tick */
};

/* ---- segments ---- */

/* No lock held. */
static size_t segment_size(size_t wanted, uint32_t units)
{
    size_t size = hak_align_up(wanted, HAK_REGION_SIZE);
    while ((size >> HAK_LARGE_UNIT_SHIFT) - hak_large_segment_overhead(size) < units)
        size += HAK_REGION_SIZE;
    return size;
}

/* Maps a segment with room for a run of `units`: as much again as the cache has, within limits, so
 * that small programs stay small and large ones map seldom. 0: refused. No lock held. */
static int grow(struct hak_large_cache *cache, uint32_t units, const struct hak_policy *policy)
{
    size_t most = policy->large_segment_bytes;
    /* relaxed: a hint */
    size_t wanted = __atomic_load_n(&cache->mapped_bytes, __ATOMIC_RELAXED);
    if (most > HAK_LARGE_SEGMENT_MAX)
        most = HAK_LARGE_SEGMENT_MAX;
    if (wanted > most)
        wanted = most;
    if (wanted < FIRST_SEGMENT)
        wanted = FIRST_SEGMENT;
    size_t size = segment_size(wanted, units);
    int node = hak_region_source_node(cache->source);    /* before it is bound, as in pool.c */
    struct hak_large_segment *segment = hak_region_map(cache->source, size);
    if (segment == NULL) {
        size = segment_size(HAK_REGION_SIZE, units);
        segment = hak_region_map(cache->source, size);
    }
    if (segment == NULL)
        return 0;
    hak_large_segment_start(segment, cache, size);
    segment->node = node;
    hak_large_segment_publish(segment);

    hak_lock_acquire(&cache->lock);
    segment->next = cache->segments;
    if (segment->next != NULL)
        segment->next->previous = segment;
    cache->segments = segment;
    /* relaxed: see above */
    __atomic_store_n(&cache->mapped_bytes, cache->mapped_bytes + size, __ATOMIC_RELAXED);
    hak_large_file(cache, segment, segment->first, segment->units - segment->first, 0, NULL);
    hak_lock_release(&cache->lock);
    return 1;
}

static int is_whole(const struct hak_large_segment *segment, const struct hak_unit *run)
{
    return run->number == segment->units - segment->first;
}

/* Gives a segment of one run, that is in no list, back to the kernel. Lets the lock go. */
static void release_segment(struct hak_large_cache *cache, struct hak_large_segment *segment)
{
    if (segment->next != NULL)
        segment->next->previous = segment->previous;
    if (segment->previous != NULL)
        segment->previous->next = segment->next;
    else
        cache->segments = segment->next;
    /* relaxed: see grow */
    __atomic_store_n(&cache->mapped_bytes, cache->mapped_bytes - segment->size, __ATOMIC_RELAXED);
    hak_lock_release(&cache->lock);
    hak_large_segment_withdraw(segment);
    hak_region_unmap(cache->source, segment, segment->size);
    hak_lock_acquire(&cache->lock);
}

/* ---- freeing ---- */

/* Units that belong to no run become free, together with the free ones on both sides, and the
 * youngest. Returns the run. */
static struct hak_unit *file_merged(struct hak_large_cache *cache,
                                    struct hak_large_segment *segment, uint32_t index,
                                    uint32_t units, uint32_t dirty)
{
    struct hak_unit *before = hak_large_segment_free_before(segment, index);
    struct hak_unit *behind = hak_large_segment_free_at(segment, index + units);
    struct hak_unit *unused;
    if (behind != NULL) {
        units += behind->number;
        dirty += hak_large_unfile(cache, segment, behind, &unused);
    }
    if (before != NULL) {
        units += before->number;
        index -= before->number;
        dirty += hak_large_unfile(cache, segment, before, &unused);
    }
    hak_large_file(cache, segment, index, units, dirty, cache->newest);
    return &segment->unit[index];
}

/* Purges the whole kernel pages within a run that is in no list, and notes it; returns bytes. Lets
 * the lock go meanwhile. */
static size_t purge_units(struct hak_large_cache *cache, struct hak_large_segment *segment,
                          uint32_t index, uint32_t units)
{
    size_t page = hak_os_page_size();
    size_t dirty = hak_large_segment_count_dirty(segment, index, units);
    uintptr_t start = (uintptr_t)hak_large_segment_address(segment, index);
    uintptr_t end = hak_align_down(start + ((size_t)units << HAK_LARGE_UNIT_SHIFT), page);
    start = hak_align_up(start, page);
    if (start >= end)
        return 0;
    hak_lock_release(&cache->lock);
    int result = hak_os_purge((void *)start, end - start, HAK_PURGE_NOW);
    hak_lock_acquire(&cache->lock);
    if (result != 0)
        return 0; /* locked in memory: stays dirty */
    index = (uint32_t)((start - (uintptr_t)segment) >> HAK_LARGE_UNIT_SHIFT);
    hak_large_segment_set_clean(segment, index, (uint32_t)((end - start) >> HAK_LARGE_UNIT_SHIFT));
    hak_count(cache->source->counters, HAK_COUNTER_BYTES_PURGED, dirty << HAK_LARGE_UNIT_SHIFT);
    return dirty << HAK_LARGE_UNIT_SHIFT;
}

/* From which unit on a free run holds `most` dirty units, about; its first, if it has no more. */
static uint32_t tail_with(const struct hak_large_segment *segment, const struct hak_unit *run,
                          size_t most)
{
    uint32_t index = hak_large_segment_index(segment, run);
    uint32_t from = index + run->number;
    for (size_t dirty = 0; dirty < most && from > index;) {
        uint32_t step = from - index < PURGE_STEP ? from - index : PURGE_STEP;
        from -= step;
        dirty += hak_large_segment_count_dirty(segment, from, step);
    }
    return from - index < PURGE_STEP ? index : from;
}

/* Gives about `most` dirty units of a free run back, from its end since runs are cut from the
 * start; if that is all of them, and of the segment, the segment goes. Returns bytes. Lets the lock
 * go meanwhile. */
static size_t purge_run(struct hak_large_cache *cache, struct hak_unit *run, size_t most)
{
    struct hak_large_segment *segment = hak_large_segment_of(run);
    struct hak_unit *older = NULL;
    uint32_t index = hak_large_segment_index(segment, run);
    uint32_t units = run->number;
    uint32_t from = most < run[1].number ? tail_with(segment, run, most) : index;
    int whole = is_whole(segment, run) && from == index;
    uint32_t dirty = hak_large_unfile(cache, segment, run, &older);
    if (whole) {
        release_segment(cache, segment);
        return (size_t)dirty << HAK_LARGE_UNIT_SHIFT;
    }
    if (from != index) {
        uint32_t kept = hak_large_segment_count_dirty(segment, index, from - index);
        hak_large_file(cache, segment, index, from - index, kept, older);
        units -= from - index;
    }
    hak_large_segment_mark(segment, from, units, HAK_UNIT_BUSY);
    cache->used_units += units;
    size_t bytes = purge_units(cache, segment, from, units);
    cache->used_units -= units;
    hak_large_segment_unmark(segment, from);
    uint32_t left = hak_large_segment_count_dirty(segment, from, units);
    file_merged(cache, segment, from, units, left);
    return bytes;
}

/* Purges from the old end until `units` are purged or no more than `keep` are left dirty. */
static size_t purge_oldest(struct hak_large_cache *cache, size_t keep, size_t units)
{
    size_t bytes = 0;
    for (int i = 0; i < PURGES_AT_ONCE && cache->dirty_units > keep; i++) {
        size_t purged = bytes >> HAK_LARGE_UNIT_SHIFT;
        if (cache->oldest == NULL || purged >= units)
            break;
        size_t excess = cache->dirty_units - keep;
        bytes += purge_run(cache, cache->oldest, excess < units - purged ? excess : units - purged);
    }
    return bytes;
}

/* Once in a time of decay: so many units as were free and dirty all that time, nobody needed. They
 * are purged oldest first, in steps. (The age of a run says little: those out of which others are
 * cut, and with which others merge, may be as old as the program, and in constant use.) */
static void decay(struct hak_large_cache *cache, uint32_t ticks)
{
    if (cache->now - cache->window >= ticks) {
        cache->window = cache->now;
        cache->surplus = cache->least_dirty;
        cache->least_dirty = cache->dirty_units;
    }
    if (cache->surplus == 0)
        return;
    size_t purged = purge_oldest(cache, 0, cache->surplus) >> HAK_LARGE_UNIT_SHIFT;
    int ended = purged == 0 || purged >= cache->surplus || cache->dirty_units == 0;
    cache->surplus = ended ? 0 : cache->surplus - purged;
    if (cache->least_dirty > cache->dirty_units)
        cache->least_dirty = cache->dirty_units;
}

/* Dirty units that may stay: what the policy says, and half of what is in use, since so much comes
 * and goes when sizes are mixed (with an eighth, 120 MiB of mixed runs of 64 KiB to 4 MiB were
 * purged all the time, and a third as fast). This bounds bursts; decay finds what is not needed.
 * When there are more, some are purged at once, so that not each give pays a system call. */
static void obey_retention(struct hak_large_cache *cache, const struct hak_policy *policy)
{
    size_t most = (hak_policy_bytes(&policy->large_retain_bytes) >> HAK_LARGE_UNIT_SHIFT) +
                  cache->used_units / 2;
    if (hak_unlikely(cache->dirty_units > most))
        purge_oldest(cache, most - most / 8, SIZE_MAX);
}

/* What the policy wants done at once with the pages of a run on its way into the lists. Returns how
 * many units are still dirty. Lets the lock go where there is something to do. */
static uint32_t apply_arm(struct hak_large_cache *cache, struct hak_large_segment *segment,
                          struct hak_unit *run, const struct hak_policy *policy)
{
    uint32_t index = hak_large_segment_index(segment, run);
    uint32_t units = run->number;
    hak_large_segment_set_dirty(segment, index, units);
    if (policy->large_arm != HAK_ARM_FREE && policy->large_arm != HAK_ARM_DONTNEED)
        return units;
    hak_large_segment_mark(segment, index, units, HAK_UNIT_BUSY);
    if (policy->large_arm == HAK_ARM_DONTNEED) {
        purge_units(cache, segment, index, units);
        return hak_large_segment_count_dirty(segment, index, units);
    }
    /* The kernel may take them, but need not: they count as dirty until decay. */
    hak_lock_release(&cache->lock);
    hak_os_purge(hak_large_segment_address(segment, index), (size_t)units << HAK_LARGE_UNIT_SHIFT,
                 HAK_PURGE_LAZY);
    hak_lock_acquire(&cache->lock);
    return units;
}

/* ---- taking ---- */

/* Makes `units` of a free run, from its unit `lead` on, a used one; the rest stays free, but for an
 * end too small to be worth it. *dirty: whether there may be something else than zeroes in it. */
static struct hak_unit *claim(struct hak_large_cache *cache, struct hak_unit *run, uint32_t units,
                              uint32_t lead, int *dirty)
{
    struct hak_large_segment *segment = hak_large_segment_of(run);
    uint32_t index = hak_large_segment_index(segment, run);
    uint32_t rest = run->number - lead - units;
    struct hak_unit *older = NULL;
    uint32_t total = run->number;
    uint32_t dirty_total = hak_large_unfile(cache, segment, run, &older);
    if (rest <= units / 16) {
        units += rest;
        rest = 0;
    }
    uint32_t before = 0;
    uint32_t behind = 0;
    if (dirty_total == total) {
        before = lead;
        behind = rest;
    } else if (dirty_total != 0) {
        before = hak_large_segment_count_dirty(segment, index, lead);
        uint32_t inside = hak_large_segment_count_dirty(segment, index + lead, units);
        behind = dirty_total - before - inside;
    }
    if (lead != 0)
        hak_large_file(cache, segment, index, lead, before, older);
    if (rest != 0)
        hak_large_file(cache, segment, index + lead + units, rest, behind, older);
    hak_large_segment_mark(segment, index + lead, units, HAK_UNIT_USED);
    cache->used_units += units;
    if (cache->least_dirty > cache->dirty_units)
        cache->least_dirty = cache->dirty_units;
    *dirty = dirty_total != before + behind;
    return &segment->unit[index + lead];
}

static struct hak_unit *take_run(struct hak_large_cache *cache, uint32_t units, uint32_t alignment,
                                 int *dirty)
{
    struct hak_unit *run = hak_large_find(cache, HAK_LARGE_DIRTY, units, alignment);
    if (run != NULL)
        hak_count(cache->source->counters, HAK_COUNTER_LARGE_CACHED_HITS, 1);
    else
        run = hak_large_find(cache, HAK_LARGE_CLEAN, units, alignment);
    if (run == NULL)
        return NULL;
    return claim(cache, run, units, hak_large_lead(run, alignment), dirty);
}

/* ---- what others call ---- */

void hak_large_init(struct hak_large_cache *cache, const struct hak_region_source *source)
{
    cache->source = source;
}

size_t hak_large_round(size_t size)
{
    return hak_align_up(size, HAK_LARGE_UNIT);
}

static uint32_t units_of(size_t size)
{
    return (uint32_t)(hak_large_round(size) >> HAK_LARGE_UNIT_SHIFT);
}

/* Takes or maps. Called without the lock, returns with it; NULL: out of memory, without it. */
static struct hak_unit *take_or_grow(struct hak_large_cache *cache, uint32_t units, uint32_t align,
                                     int *dirty, const struct hak_policy *policy)
{
    hak_lock_acquire(&cache->lock);
    struct hak_unit *run = take_run(cache, units, align, dirty);
    while (run == NULL) {
        /* Another thread may be quicker to take what was mapped: then once more. */
        hak_lock_release(&cache->lock);
        if (!grow(cache, units + align - 1, policy))
            return NULL;
        hak_lock_acquire(&cache->lock);
        run = take_run(cache, units, align, dirty);
    }
    return run;
}

void *hak_large_take(struct hak_large_cache *cache, size_t size, size_t alignment,
                     enum hak_zero zero, const struct hak_policy *policy)
{
    uint32_t units = units_of(size);
    uint32_t align = alignment > HAK_LARGE_UNIT ? units_of(alignment) : 1;
    int dirty = 0;
    struct hak_unit *run = take_or_grow(cache, units, align, &dirty, policy);
    if (run == NULL)
        return NULL;
    uint32_t taken = run->number;
    hak_lock_release(&cache->lock);
    hak_count(cache->source->counters, HAK_COUNTER_LARGE_TAKES, 1);

    struct hak_large_segment *segment = hak_large_segment_of(run);
    uint32_t index = hak_large_segment_index(segment, run);
    if (zero == HAK_ZERO_YES && dirty)
        hak_large_segment_clear(segment, index, taken);
    return hak_large_segment_address(segment, index);
}

/* The descriptor of an address, if a used run begins there. No lock: whoever goes on to change the
 * run looks again under it. */
static struct hak_unit *find_used(const void *object)
{
    struct hak_large_segment *segment = hak_large_segment_find(object);
    if (segment == NULL || (uintptr_t)object % HAK_LARGE_UNIT != 0)
        return NULL;
    size_t index = (size_t)((const char *)object - (const char *)segment) >> HAK_LARGE_UNIT_SHIFT;
    struct hak_unit *run = &segment->unit[index];
    /* relaxed: of a live run nobody else changes it */
    return __atomic_load_n(&run->kind, __ATOMIC_RELAXED) == HAK_UNIT_USED ? run : NULL;
}

size_t hak_large_size(const void *object)
{
    const struct hak_unit *run = find_used(object);
    return run != NULL ? (size_t)run->number << HAK_LARGE_UNIT_SHIFT : 0;
}

int hak_large_give(void *object, const struct hak_policy *policy)
{
    struct hak_unit *run = find_used(object);
    if (run == NULL)
        return 0;
    struct hak_large_segment *segment = hak_large_segment_of(run);
    struct hak_large_cache *cache = segment->cache;
    hak_count(cache->source->counters, HAK_COUNTER_LARGE_GIVES, 1);

    hak_lock_acquire(&cache->lock);
    if (run->kind != HAK_UNIT_USED) { /* two threads in error at once */
        hak_lock_release(&cache->lock);
        return 0;
    }
    uint32_t units = run->number;
    uint32_t index = hak_large_segment_index(segment, run);
    uint32_t dirty = apply_arm(cache, segment, run, policy);
    hak_large_segment_unmark(segment, index);
    cache->used_units -= units;
    run = file_merged(cache, segment, index, units, dirty);
    if (run->kind == HAK_UNIT_FREE && run[1].number == 0 && is_whole(segment, run)
        && (segment->next != NULL || segment->previous != NULL))
        purge_run(cache, run, SIZE_MAX);
    if (policy->large_arm == HAK_ARM_BATCH && ++cache->batched >= policy->batch_runs) {
        cache->batched = 0;
        purge_oldest(cache, 0, SIZE_MAX);
    }
    obey_retention(cache, policy);
    hak_lock_release(&cache->lock);
    return 1;
}

/* Takes what is missing from the free run behind. */
static int extend(struct hak_large_cache *cache, struct hak_large_segment *segment,
                  struct hak_unit *run, uint32_t units)
{
    uint32_t index = hak_large_segment_index(segment, run);
    uint32_t missing = units - run->number;
    struct hak_unit *behind = hak_large_segment_free_at(segment, index + run->number);
    if (behind == NULL || behind->number < missing)
        return 0;
    int dirty;
    behind = claim(cache, behind, missing, 0, &dirty);
    run->number += behind->number;
    hak_large_segment_unmark(segment, hak_large_segment_index(segment, behind));
    return 1;
}

/* Frees the end of a used run. */
static void cut(struct hak_large_cache *cache, struct hak_large_segment *segment,
                struct hak_unit *run, uint32_t units)
{
    uint32_t index = hak_large_segment_index(segment, run);
    uint32_t spare = run->number - units;
    run->number = units;
    cache->used_units -= spare;
    hak_large_segment_set_dirty(segment, index + units, spare);
    file_merged(cache, segment, index + units, spare, spare);
}

int hak_large_resize(void *object, size_t size, const struct hak_policy *policy)
{
    struct hak_unit *run = find_used(object);
    if (run == NULL || size > HAK_LARGE_MAX)
        return 0;
    struct hak_large_segment *segment = hak_large_segment_of(run);
    struct hak_large_cache *cache = segment->cache;
    uint32_t units = units_of(size + (size == 0));
    int done = 1;
    hak_lock_acquire(&cache->lock);
    if (run->number < units) {
        done = extend(cache, segment, run, units);
    } else if (run->number - units >= HAK_LARGE_RUN_MIN && run->number - units >= run->number / 8) {
        cut(cache, segment, run, units);
        obey_retention(cache, policy);
    }
    hak_lock_release(&cache->lock);
    return done;
}

void hak_large_tick(struct hak_large_cache *cache, const struct hak_policy *policy,
                    uint64_t now_ns)
{
    uint32_t now = (uint32_t)(now_ns >> TICK_SHIFT);
    uint32_t ticks = (uint32_t)(policy->decay_ns >> TICK_SHIFT);
    /* relaxed: a hint; a thread that comes with an older time is turned back under the lock */
    if (now - __atomic_load_n(&cache->now, __ATOMIC_RELAXED) < ticks / DECAY_STEPS)
        return;
    hak_lock_acquire(&cache->lock);
    if (cache->now == 0 || (int32_t)(now - cache->now) >= 0) {
        /* relaxed: as above */
        __atomic_store_n(&cache->now, now, __ATOMIC_RELAXED);
        decay(cache, ticks);
    }
    hak_lock_release(&cache->lock);
}

/* Releases one segment that is free as a whole; 0 if there was none. */
static int release_one(struct hak_large_cache *cache)
{
    for (struct hak_large_segment *segment = cache->segments; segment; segment = segment->next) {
        struct hak_unit *run = &segment->unit[segment->first];
        if (run->kind != HAK_UNIT_FREE || !is_whole(segment, run))
            continue;
        purge_run(cache, run, SIZE_MAX);
        return 1;
    }
    return 0;
}

size_t hak_large_trim(struct hak_large_cache *cache)
{
    size_t bytes = 0;
    hak_lock_acquire(&cache->lock);
    /* A round that gives nothing back ends it: memory may be locked. */
    for (size_t got = 1; got != 0 && cache->oldest != NULL; bytes += got)
        got = purge_oldest(cache, 0, SIZE_MAX);
    while (release_one(cache))
        continue;
    hak_lock_release(&cache->lock);
    return bytes;
}

void hak_large_settle(struct hak_large_cache *cache, enum hak_os_pages pages)
{
    int node = hak_region_source_node(cache->source);
    hak_lock_acquire(&cache->lock);
    for (struct hak_large_segment *segment = cache->segments; segment != NULL;
         segment = segment->next) {
        if (segment->node == node ||
            hak_bind_to(segment, segment->size, node, pages) != HAK_BIND_DONE)
            continue;
        /* relaxed: whoever asks where a run lies reads it without the lock */
        __atomic_store_n(&segment->node, node, __ATOMIC_RELAXED);
        hak_count(cache->source->counters, HAK_COUNTER_BINDS, 1);
    }
    hak_lock_release(&cache->lock);
}

struct hak_large_bytes hak_large_bytes(struct hak_large_cache *cache)
{
    hak_lock_acquire(&cache->lock);
    struct hak_large_bytes bytes = {
        .used = cache->used_units << HAK_LARGE_UNIT_SHIFT,
        .dirty = cache->dirty_units << HAK_LARGE_UNIT_SHIFT,
        .mapped = cache->mapped_bytes,
    };
    hak_lock_release(&cache->lock);
    return bytes;
}

void hak_large_lock(struct hak_large_cache *cache)
{
    hak_lock_acquire(&cache->lock);
}

void hak_large_unlock(struct hak_large_cache *cache)
{
    hak_lock_release(&cache->lock);
}

void hak_large_reset_lock(struct hak_large_cache *cache)
{
    hak_lock_reset(&cache->lock);
}
