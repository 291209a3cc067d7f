/* SPDX-License-Identifier: MIT */
/* Takes and gives large runs: large.h describes the structure, large_segment.h the memory,
 * large_purge.h what goes back to the kernel. Any thread, under the lock of the cache; the caller
 * of a static function holds it, unless a comment says otherwise. */
#include "tiers/large.h"

#include "os/clock.h"
#include "os/memory.h"
#include "tiers/headroom.h"
#include "tiers/large_purge.h"
#include "topology/bind.h"

enum {
    FIRST_SEGMENT = 4 * 1024 * 1024,
    TOUCHED_UNITS = 4, /* units whose first touch is timed, in each part */
    HUGE_UNITS = HAK_REGION_SIZE / HAK_LARGE_UNIT,
    HUGE_FAULT_NS = 20 * 1000, /* a fault that takes longer cleared a huge page */
    TOUCH_ONE_IN = 16,         /* takes of clean memory is timed */
    TIMED_UNITS = 256,         /* for so long a run it is worth reading the clock */
};

/* ---- segments ---- */

static size_t segment_size(size_t wanted, uint32_t units)
{
    size_t least = (size_t)units << HAK_LARGE_UNIT_SHIFT;
    return hak_align_up(wanted > least ? wanted : least, HAK_REGION_SIZE);
}

/* Memory for a run of `units`, and a header for it; NULL: refused. No lock held. */
static struct hak_large_segment *map_segment(struct hak_large_cache *cache, size_t size,
                                             enum hak_os_huge huge)
{
    /* Read before the memory is bound, as in pool_space.c. */
    int node = hak_region_source_node(cache->source);
    bool is_hugetlb;
    void *memory = hak_region_map_large(cache->source, size, huge, &is_hugetlb);
    if (memory == NULL)
        return NULL;
    struct hak_large_segment *segment = hak_large_segment_start(cache, memory, size);
    if (segment == NULL) {
        hak_region_unmap_large(cache->source, memory, size,
                               is_hugetlb ? HAK_OS_HUGETLB : HAK_OS_PLAIN);
        return NULL;
    }
    segment->is_hugetlb = is_hugetlb;
    segment->node = node;
    return segment;
}

/* Whether a new segment shall ask for huge pages. No lock held. */
static bool choose_huge(struct hak_large_cache *cache, const struct hak_settings *settings)
{
    if (!settings->learns_huge)
        return false;
    hak_lock_acquire(&cache->lock);
    bool asks = hak_learner_asks_huge(cache->learner);
    hak_lock_release(&cache->lock);
    if (asks)
        hak_count(cache->source->counters, HAK_COUNTER_HUGE_WISHES, 1);
    return asks;
}

/* Maps a segment with room for a run of `units`. It doubles what the cache has, within limits, so
 * that small programs stay small and large ones map seldom. False if refused. No lock held. */
static bool grow(struct hak_large_cache *cache, uint32_t units, const struct hak_settings *settings)
{
    size_t most = settings->large_segment_bytes;
    /* relaxed: an estimate is enough */
    size_t wanted = __atomic_load_n(&cache->mapped_bytes, __ATOMIC_RELAXED);
    if (most > HAK_LARGE_SEGMENT_MAX)
        most = HAK_LARGE_SEGMENT_MAX;
    if (wanted > most)
        wanted = most;
    if (wanted < FIRST_SEGMENT)
        wanted = FIRST_SEGMENT;
    bool asks_huge = choose_huge(cache, settings);
    enum hak_os_huge huge = asks_huge ? HAK_HUGE_ALWAYS : HAK_HUGE_DEFAULT;
    struct hak_large_segment *segment = map_segment(cache, segment_size(wanted, units), huge);
    if (segment == NULL)
        segment = map_segment(cache, segment_size(HAK_REGION_SIZE, units), huge);
    if (segment == NULL)
        return false;
    hak_headroom_grow(segment->size);
    segment->asks_huge = asks_huge;
    hak_large_segment_publish(segment);

    hak_lock_acquire(&cache->lock);
    segment->next = cache->segments;
    if (segment->next != NULL)
        segment->next->previous = segment;
    cache->segments = segment;
    /* relaxed: see above */
    __atomic_store_n(&cache->mapped_bytes, cache->mapped_bytes + segment->size, __ATOMIC_RELAXED);
    hak_large_file(cache, segment, 0, segment->units, 0, NULL);
    hak_lock_release(&cache->lock);
    return true;
}

/* Does what the arm wants done at once with the pages of a freed run, before the run goes into the
 * lists. Returns how many units are still dirty, and notes in *give what was done. Releases the
 * lock for a system call. */
static uint32_t apply_arm(struct hak_large_cache *cache, struct hak_large_segment *segment,
                          struct hak_unit *run, struct hak_learn_give *give)
{
    uint32_t index = hak_large_segment_index(segment, run);
    uint32_t units = run->number;
    hak_large_segment_set_dirty(segment, index, units);
    switch (hak_arms[give->arm].act) {
    case HAK_ACT_PURGE: {
        hak_large_segment_mark(segment, index, units, HAK_UNIT_BUSY);
        size_t bytes = hak_large_purge_units(cache, segment, index, units,
                                             hak_large_purge_step(segment), &give->spent_ns);
        hak_learner_saw(cache->learner, HAK_LEARN_ACT, give->arm, bytes >> HAK_LARGE_UNIT_SHIFT,
                        give->spent_ns);
        uint32_t left = hak_large_segment_count_dirty(segment, index, units);
        give->is_purged = left == 0;
        return left;
    }
    case HAK_ACT_MARK:
        /* The kernel may take the pages, but need not: they count as dirty until they decay. */
        hak_large_segment_mark(segment, index, units, HAK_UNIT_BUSY);
        hak_large_mark_free(cache, segment, index, units, &give->spent_ns);
        return units;
    default:
        return units;
    }
}

/* ---- taking ---- */

/* Makes a used run of `units` of a free run, from unit `lead` on. The rest stays free, but a very
 * short rest joins the used run. *dirty: whether the run may hold something other than zeros. */
static struct hak_unit *claim(struct hak_large_cache *cache, struct hak_unit *run, uint32_t units,
                              uint32_t lead, bool *dirty)
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
    uint32_t inside = 0;
    if (dirty_total == total) {
        before = lead;
        inside = units;
    } else if (dirty_total != 0) {
        before = hak_large_segment_count_dirty(segment, index, lead);
        inside = hak_large_segment_count_dirty(segment, index + lead, units);
    }
    uint32_t behind = dirty_total - before - inside;
    if (lead != 0)
        hak_large_file(cache, segment, index, lead, before, older);
    if (rest != 0)
        hak_large_file(cache, segment, index + lead + units, rest, behind, older);
    hak_large_segment_mark(segment, index + lead, units, HAK_UNIT_USED);
    segment->unit[index + lead].link = NULL;
    hak_large_tell_reused(cache, segment, index + lead, units);
    if (units >= TIMED_UNITS)
        hak_learner_turn(cache->learner, hak_os_coarse_now_ns());
    hak_learner_saw(cache->learner, HAK_LEARN_REUSED, HAK_ARM_KEEP, inside, 0);
    hak_learner_saw(cache->learner, HAK_LEARN_MISSED, HAK_ARM_KEEP, units - inside, 0);
    hak_headroom_take((size_t)(units - inside) << HAK_LARGE_UNIT_SHIFT);
    cache->used_units += units;
    if (cache->least_dirty > cache->dirty_units)
        cache->least_dirty = cache->dirty_units;
    *dirty = inside != 0;
    return &segment->unit[index + lead];
}

/* Under the lock. relaxed: statistics read it without */
static inline void count(uint64_t *counted)
{
    __atomic_store_n(counted, *counted + 1, __ATOMIC_RELAXED);
}

static struct hak_unit *take_dirty_run(struct hak_large_cache *cache, uint32_t units,
                                       uint32_t alignment, bool *dirty)
{
    struct hak_unit *run = hak_large_find(cache, HAK_LARGE_DIRTY, units, alignment);
    if (run == NULL)
        return NULL;
    count(&cache->counts.takes);
    count(&cache->counts.cached_hits);
    return claim(cache, run, units, hak_large_lead(run, alignment), dirty);
}

static struct hak_unit *take_run(struct hak_large_cache *cache, uint32_t units, uint32_t alignment,
                                 bool *dirty)
{
    struct hak_unit *run = take_dirty_run(cache, units, alignment, dirty);
    if (run != NULL)
        return run;
    run = hak_large_find(cache, HAK_LARGE_CLEAN, units, alignment);
    if (run == NULL)
        return NULL;
    count(&cache->counts.takes);
    return claim(cache, run, units, hak_large_lead(run, alignment), dirty);
}

/* ---- functions for other files ---- */

void hak_large_init(struct hak_large_cache *cache, const struct hak_region_source *source,
                    struct hak_learner *learner)
{
    cache->source = source;
    cache->learner = learner;
}

size_t hak_large_round(size_t size)
{
    return hak_align_up(size, HAK_LARGE_UNIT);
}

static uint32_t units_of(size_t size)
{
    return (uint32_t)(hak_large_round(size) >> HAK_LARGE_UNIT_SHIFT);
}

/* Takes a run, from a new segment if necessary. Called without the lock; returns with the lock
 * held, or NULL without it if memory ran out. */
static struct hak_unit *take_or_grow(struct hak_large_cache *cache, uint32_t units, uint32_t align,
                                     bool *dirty, const struct hak_settings *settings)
{
    hak_lock_acquire(&cache->lock);
    struct hak_unit *run = take_run(cache, units, align, dirty);
    while (run == NULL) {
        /* Another thread may take what was mapped here; then this thread maps again. */
        hak_lock_release(&cache->lock);
        if (!grow(cache, units + align - 1, settings))
            return NULL;
        hak_lock_acquire(&cache->lock);
        run = take_run(cache, units, align, dirty);
    }
    return run;
}

/* Touches the first units of a part that lies in one huge page, and adds to the sample what it
 * would take to touch all of the part. If the first touch cleared a huge page, the rest of that
 * page is resident, too: nobody asked for it. */
static void time_part(struct hak_huge_sample *sample, volatile char *part, uint32_t units)
{
    uint32_t touched = units < TOUCHED_UNITS ? units : TOUCHED_UNITS;
    uint64_t began = hak_os_now_ns();
    part[0] = 0;
    uint64_t first = hak_os_now_ns() - began;
    for (uint32_t unit = 1; unit < touched; unit++)
        part[(size_t)unit << HAK_LARGE_UNIT_SHIFT] = 0;
    uint64_t others = hak_os_now_ns() - began - first;
    sample->units += units;
    sample->unasked += first >= HUGE_FAULT_NS ? HUGE_UNITS - units : 0;
    sample->ns += first + (touched > 1 ? others * (units - 1) / (touched - 1) : 0);
}

/* Sometimes touches clean memory before the program does, to learn what that costs. The memory
 * stays zero. A program that takes such a run will touch its beginning anyway; its end is touched
 * only where huge pages were asked for. Lock not held. */
static void time_first_touch(struct hak_large_cache *cache, const struct hak_large_segment *segment,
                             uint32_t index, uint32_t units, const struct hak_settings *settings)
{
    /* relaxed: it only counts turns */
    uint32_t turn = __atomic_fetch_add(&cache->touches, 1, __ATOMIC_RELAXED);
    if (turn % TOUCH_ONE_IN != 0)
        return;
    struct hak_huge_sample sample = {0};
    uint32_t room = HUGE_UNITS - index % HUGE_UNITS;
    time_part(&sample, hak_large_segment_address(segment, index), units < room ? units : room);
    uint32_t last = (index + units) % HUGE_UNITS;
    if (segment->asks_huge && units > room && last != 0)
        time_part(&sample, hak_large_segment_address(segment, index + units - last), last);
    hak_learner_saw_touches(cache->learner, &sample);
    if (!settings->learns_huge)
        return;
    hak_lock_acquire(&cache->lock);
    hak_learner_saw_huge(cache->learner, &sample, segment->asks_huge);
    hak_lock_release(&cache->lock);
}

/* Prepares a run that was taken for its caller. Lock not held. */
static void *handed_out(struct hak_large_cache *cache, struct hak_unit *run, uint32_t taken,
                        bool dirty, enum hak_zero zero, const struct hak_settings *settings)
{
    struct hak_large_segment *segment = hak_large_segment_of(run);
    uint32_t index = hak_large_segment_index(segment, run);
    if (dirty && zero == HAK_ZERO_YES)
        hak_large_segment_clear(segment, index, taken);
    if (!dirty && hak_learner_watches(settings) && !segment->is_hugetlb)
        time_first_touch(cache, segment, index, taken, settings);
    return hak_large_segment_address(segment, index);
}

static uint32_t units_of_alignment(size_t alignment)
{
    return alignment > HAK_LARGE_UNIT ? units_of(alignment) : 1;
}

void *hak_large_take_dirty(struct hak_large_cache *cache, size_t size, size_t alignment,
                           enum hak_zero zero, const struct hak_settings *settings)
{
    uint32_t units = units_of(size);
    bool dirty = false;
    /* relaxed: read without the lock; what is given meanwhile is found next time */
    if (__atomic_load_n(&cache->dirty_units, __ATOMIC_RELAXED) < units ||
        !hak_lock_try(&cache->lock))
        return NULL;
    struct hak_unit *run = take_dirty_run(cache, units, units_of_alignment(alignment), &dirty);
    uint32_t taken = run != NULL ? run->number : 0;
    hak_lock_release(&cache->lock);
    return run != NULL ? handed_out(cache, run, taken, dirty, zero, settings) : NULL;
}

void *hak_large_take(struct hak_large_cache *cache, size_t size, size_t alignment,
                     enum hak_zero zero, const struct hak_settings *settings)
{
    bool dirty = false;
    struct hak_unit *run =
        take_or_grow(cache, units_of(size), units_of_alignment(alignment), &dirty, settings);
    if (run == NULL)
        return NULL;
    uint32_t taken = run->number;
    hak_lock_release(&cache->lock);
    return handed_out(cache, run, taken, dirty, zero, settings);
}

void *hak_large_take_mapped(struct hak_large_cache *cache, size_t size, size_t alignment,
                            enum hak_zero zero, const struct hak_settings *settings)
{
    bool dirty = false;
    hak_lock_acquire(&cache->lock);
    struct hak_unit *run = take_run(cache, units_of(size), units_of_alignment(alignment), &dirty);
    uint32_t taken = run != NULL ? run->number : 0;
    hak_lock_release(&cache->lock);
    return run != NULL ? handed_out(cache, run, taken, dirty, zero, settings) : NULL;
}

/* The descriptor of an address, if a used run begins there, else NULL. No lock: a caller that
 * changes the run checks the kind again under the lock. */
static struct hak_unit *find_used(const void *object)
{
    struct hak_large_segment *segment = hak_large_segment_find(object);
    if (segment == NULL || (uintptr_t)object % HAK_LARGE_UNIT != 0)
        return NULL;
    size_t index = (size_t)((const char *)object - segment->base) >> HAK_LARGE_UNIT_SHIFT;
    struct hak_unit *run = &segment->unit[index];
    /* relaxed: nobody else changes the kind of a live run */
    return __atomic_load_n(&run->kind, __ATOMIC_RELAXED) == HAK_UNIT_USED ? run : NULL;
}

size_t hak_large_size(const void *object)
{
    const struct hak_unit *run = find_used(object);
    return run != NULL ? (size_t)run->number << HAK_LARGE_UNIT_SHIFT : 0;
}

/* Whether a live run still begins there. Under the lock of the cache that its segment had before: a
 * faulty program may free it twice at once, and its header may describe another segment by then. */
static bool is_still_used(const void *object, const struct hak_large_segment *segment,
                          const struct hak_large_cache *cache, const struct hak_unit *run)
{
    return run->kind == HAK_UNIT_USED && hak_large_segment_find(object) == segment &&
           segment->cache == cache;
}

void hak_large_set_site(void *object, uint32_t site)
{
    struct hak_unit *run = find_used(object);
    if (run == NULL || site == 0)
        return;
    struct hak_large_cache *cache = hak_large_segment_of(run)->cache;
    unsigned bucket = hak_learn_bucket((size_t)run->number << HAK_LARGE_UNIT_SHIFT);
    hak_lock_acquire(&cache->lock);
    run->link = (struct hak_unit *)(uintptr_t)hak_learner_site_key(cache->learner, site, bucket);
    hak_lock_release(&cache->lock);
}

static unsigned key_of(const struct hak_unit *run)
{
    unsigned site_key = (unsigned)(uintptr_t)run->link;
    return site_key != 0 ? site_key : hak_learn_bucket((size_t)run->number << HAK_LARGE_UNIT_SHIFT);
}

/* Chooses what is done with a run that is given back. */
static struct hak_learn_give begin_give(struct hak_large_cache *cache, void *object,
                                        const struct hak_unit *run,
                                        const struct hak_settings *settings)
{
    struct hak_learn_give give = {
        .id = (uintptr_t)object,
        .units = run->number,
        .key = (uint8_t)key_of(run),
    };
    if (hak_learner_watches(settings))
        give.now_ns = hak_learner_now(cache->learner, give.key);
    unsigned pin = settings->pinned[hak_learn_bucket((size_t)run->number << HAK_LARGE_UNIT_SHIFT)];
    if (hak_large_segment_of(run)->is_hugetlb)
        pin = HAK_ARM_KEEP + 1; /* a part of explicit huge pages cannot go */
    give.arm = pin != 0
                   ? (uint8_t)(pin - 1)
                   : (uint8_t)hak_learner_choose(cache->learner, settings, give.key, give.units);
    if (settings->decay_ns == 0 && give.arm == HAK_ARM_BATCH)
        give.arm = HAK_ARM_DONTNEED; /* no decay: nothing may wait in a batch */
    return give;
}

bool hak_large_give(void *object, const struct hak_settings *settings)
{
    struct hak_unit *run = find_used(object);
    if (run == NULL)
        return false;
    struct hak_large_segment *segment = hak_large_segment_of(run);
    struct hak_large_cache *cache = segment->cache;
    if (hak_unlikely(cache == NULL))
        return false;
    hak_lock_acquire(&cache->lock);
    if (!is_still_used(object, segment, cache, run)) {
        hak_lock_release(&cache->lock);
        return false;
    }
    count(&cache->counts.gives);
    struct hak_learn_give give = begin_give(cache, object, run, settings);
    uint32_t dirty = apply_arm(cache, segment, run, &give);
    if (hak_learner_watches(settings) && hak_learner_gave(cache->learner, &give))
        hak_large_segment_watch(segment, hak_large_segment_index(segment, run));
    if (hak_arms[give.arm].act == HAK_ACT_COLLECT)
        hak_large_batch(cache, run, settings);
    else
        hak_large_file_given(cache, segment, run, dirty);
    hak_large_obey(cache, settings, give.now_ns);
    hak_lock_release(&cache->lock);
    return true;
}

/* Lengthens a used run by units of the free run behind it; false if there are not enough. */
static bool extend(struct hak_large_cache *cache, struct hak_large_segment *segment,
                   struct hak_unit *run, uint32_t units)
{
    uint32_t index = hak_large_segment_index(segment, run);
    uint32_t missing = units - run->number;
    struct hak_unit *behind = hak_large_segment_free_at(segment, index + run->number);
    if (behind == NULL || behind->number < missing)
        return false;
    bool dirty;
    behind = claim(cache, behind, missing, 0, &dirty);
    run->number += behind->number;
    hak_large_segment_unmark(segment, hak_large_segment_index(segment, behind));
    return true;
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
    hak_large_file_merged(cache, segment, index + units, spare, spare);
}

bool hak_large_resize(void *object, size_t size, const struct hak_settings *settings)
{
    struct hak_unit *run = find_used(object);
    if (run == NULL || size > HAK_LARGE_MAX)
        return false;
    struct hak_large_segment *segment = hak_large_segment_of(run);
    struct hak_large_cache *cache = segment->cache;
    uint32_t units = units_of(size + (size == 0));
    bool done = true;
    hak_lock_acquire(&cache->lock);
    if (!is_still_used(object, segment, cache, run)) {
        done = false;
    } else if (run->number < units) {
        done = extend(cache, segment, run, units);
    } else if (run->number - units >= HAK_LARGE_RUN_MIN && run->number - units >= run->number / 8) {
        cut(cache, segment, run, units);
        hak_large_obey(cache, settings, 0);
    }
    hak_lock_release(&cache->lock);
    return done;
}

void hak_large_settle(struct hak_large_cache *cache, enum hak_os_pages pages)
{
    int node = hak_region_source_node(cache->source);
    hak_lock_acquire(&cache->lock);
    for (struct hak_large_segment *segment = cache->segments; segment != NULL;
         segment = segment->next) {
        if (segment->node == node ||
            hak_bind_to(segment->base, segment->size, node, pages) != HAK_BIND_DONE)
            continue;
        /* relaxed: a caller that asks for a run's node reads it without the lock */
        __atomic_store_n(&segment->node, node, __ATOMIC_RELAXED);
        hak_count(cache->source->counters, HAK_COUNTER_BINDS, 1);
    }
    hak_lock_release(&cache->lock);
}

void hak_large_end(struct hak_large_cache *cache)
{
    hak_headroom_give((cache->used_units + cache->dirty_units) << HAK_LARGE_UNIT_SHIFT);
    while (cache->segments != NULL) {
        struct hak_large_segment *segment = cache->segments;
        cache->segments = segment->next;
        enum hak_os_pages_kind kind = segment->is_hugetlb ? HAK_OS_HUGETLB : HAK_OS_PLAIN;
        hak_large_segment_withdraw(segment);
        hak_region_unmap_large(cache->source, segment->base, segment->size, kind);
        hak_large_segment_end(segment);
    }
}

struct hak_large_bytes hak_large_bytes(struct hak_large_cache *cache)
{
    hak_lock_acquire(&cache->lock);
    struct hak_large_bytes bytes = {
        .used = (cache->used_units - cache->batched_units) << HAK_LARGE_UNIT_SHIFT,
        .dirty = (cache->dirty_units + cache->batched_units) << HAK_LARGE_UNIT_SHIFT,
        .mapped = cache->mapped_bytes,
    };
    hak_lock_release(&cache->lock);
    return bytes;
}

struct hak_large_counts hak_large_counts(const struct hak_large_cache *cache)
{
    /* relaxed: figures */
    return (struct hak_large_counts){
        .takes = __atomic_load_n(&cache->counts.takes, __ATOMIC_RELAXED),
        .gives = __atomic_load_n(&cache->counts.gives, __ATOMIC_RELAXED),
        .cached_hits = __atomic_load_n(&cache->counts.cached_hits, __ATOMIC_RELAXED),
    };
}
