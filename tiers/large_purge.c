/* SPDX-License-Identifier: MIT */
/* What the large tier gives back to the kernel, and when: arms that purge at once or in batches,
 * bounds on dirty units, decay, trims. Callers hold the cache's lock, unless a comment says
 * otherwise; functions release it for a system call, while the run is BUSY. */
#include "tiers/large_purge.h"

#include "learn/match.h"
#include "os/clock.h"
#include "os/memory.h"
#include "tiers/headroom.h"

enum {
    CLAIM_STEP = 1024 * 1024,       /* bytes */
    PURGE_STEP = 64,                /* units; the smallest part of a run that is purged */
    PURGES_AT_ONCE = 16,            /* runs, so that no call takes long */
    DECAY_STEPS = 8,                /* decay purges in this many steps */
    BATCH_BYTES = 16 * 1024 * 1024, /* of a full batch */
    FIXED_SHARE = 2,                /* 1/2 of the used units may be dirty beside the retention, */
    LEARNT_SHARE = 8,               /* or 1/8 where the learner decides */
    JITTER_STEPS = 8,
    FUTILE_UNITS = 1024,
    GATE_MOST = 100, /* ticks; a cache is looked at that often at least */
};

/* Whether a purge spares huge pages that are only partly free. */
enum thorough { SPARING, ALL };

static const int64_t BATCH_NS = 20l * 1000 * 1000;

/* ---- what the learner is told ---- */

enum fate { REUSED, PURGED, GONE };

/* Tells the learner what became of the watched units of a stretch. */
static HAK_COLD void tell(struct hak_large_cache *cache, struct hak_large_segment *segment,
                          uint32_t index, uint32_t end, enum fate fate)
{
    uint64_t now = hak_os_coarse_now_ns();
    for (; index < end; index = hak_large_segment_next_watched(segment, index + 1, end)) {
        uintptr_t id = (uintptr_t)hak_large_segment_address(segment, index);
        if (fate == PURGED) {
            hak_learner_purged(cache->learner, id, now);
            continue;
        }
        hak_large_segment_unwatch(segment, index);
        if (fate == REUSED)
            hak_learner_reused(cache->learner, id, now);
        else
            hak_learner_gone(cache->learner, id, now);
    }
}

static void tell_if_watched(struct hak_large_cache *cache, struct hak_large_segment *segment,
                            uint32_t index, uint32_t units, enum fate fate)
{
    uint32_t first = hak_large_segment_next_watched(segment, index, index + units);
    if (first != index + units)
        tell(cache, segment, first, index + units, fate);
}

void hak_large_tell_reused(struct hak_large_cache *cache, struct hak_large_segment *segment,
                           uint32_t index, uint32_t units)
{
    tell_if_watched(cache, segment, index, units, REUSED);
}

/* Unmaps a segment that is one free run, already out of the lists. Releases the lock. */
static void release_segment(struct hak_large_cache *cache, struct hak_large_segment *segment)
{
    if (segment->next != NULL)
        segment->next->previous = segment->previous;
    if (segment->previous != NULL)
        segment->previous->next = segment->next;
    else
        cache->segments = segment->next;
    /* relaxed: see grow in large.c */
    __atomic_store_n(&cache->mapped_bytes, cache->mapped_bytes - segment->size, __ATOMIC_RELAXED);
    tell_if_watched(cache, segment, 0, segment->units, GONE);
    hak_lock_release(&cache->lock);
    hak_large_segment_withdraw(segment);
    hak_region_unmap_large(cache->source, segment->base, segment->size,
                           segment->is_hugetlb ? HAK_OS_HUGETLB : HAK_OS_PLAIN);
    hak_large_segment_end(segment);
    hak_lock_acquire(&cache->lock);
}

struct hak_unit *hak_large_file_merged(struct hak_large_cache *cache,
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

size_t hak_large_purge_step(const struct hak_large_segment *segment)
{
    return segment->asks_huge ? (size_t)HAK_REGION_SIZE : hak_region_purge_step();
}

/* The part of a run that consists of whole steps (kernel pages, or huge ones): moves *index to its
 * start and returns its units, 0 if there is none. */
static uint32_t whole_steps(const struct hak_large_segment *segment, uint32_t *index,
                            uint32_t units, size_t step)
{
    uintptr_t start = (uintptr_t)hak_large_segment_address(segment, *index);
    uintptr_t end = hak_align_down(start + ((size_t)units << HAK_LARGE_UNIT_SHIFT), step);
    start = hak_align_up(start, step);
    if (start >= end)
        return 0;
    *index = (uint32_t)((start - (uintptr_t)segment->base) >> HAK_LARGE_UNIT_SHIFT);
    return (uint32_t)((end - start) >> HAK_LARGE_UNIT_SHIFT);
}

/* Notes that units lost their pages. Returns the bytes of those that had any. */
static size_t note_purged(struct hak_large_cache *cache, struct hak_large_segment *segment,
                          uint32_t index, uint32_t units)
{
    size_t dirty = hak_large_segment_count_dirty(segment, index, units);
    hak_large_segment_set_clean(segment, index, units);
    tell_if_watched(cache, segment, index, units, PURGED);
    hak_count(cache->source->counters, HAK_COUNTER_BYTES_PURGED, dirty << HAK_LARGE_UNIT_SHIFT);
    hak_headroom_give(dirty << HAK_LARGE_UNIT_SHIFT);
    return dirty << HAK_LARGE_UNIT_SHIFT;
}

/* Makes the system call for the memory of a BUSY run, with the lock released. 0 or -errno. */
static int advise_unlocked(struct hak_large_cache *cache, struct hak_large_segment *segment,
                           uint32_t index, uint32_t units, enum hak_os_purge how,
                           uint64_t *spent_ns)
{
    hak_lock_release(&cache->lock);
    uint64_t began = hak_os_now_ns();
    int result = hak_os_purge(hak_large_segment_address(segment, index),
                              (size_t)units << HAK_LARGE_UNIT_SHIFT, how);
    *spent_ns = hak_os_now_ns() - began;
    hak_lock_acquire(&cache->lock);
    return result;
}

size_t hak_large_purge_units(struct hak_large_cache *cache, struct hak_large_segment *segment,
                             uint32_t index, uint32_t units, size_t step, uint64_t *spent_ns)
{
    units = whole_steps(segment, &index, units, step);
    *spent_ns = 0;
    if (units == 0)
        return 0;
    if (advise_unlocked(cache, segment, index, units, HAK_PURGE_NOW, spent_ns) != 0)
        return 0; /* locked by mlock: the units stay dirty */
    return note_purged(cache, segment, index, units);
}

void hak_large_mark_free(struct hak_large_cache *cache, struct hak_large_segment *segment,
                         uint32_t index, uint32_t units, uint64_t *spent_ns)
{
    units = whole_steps(segment, &index, units, hak_large_purge_step(segment));
    *spent_ns = 0;
    if (units != 0)
        (void)advise_unlocked(cache, segment, index, units, HAK_PURGE_LAZY, spent_ns);
}

/* The unit from which on a free run has about `most` dirty units that can be purged; its first unit
 * if it has fewer. */
static uint32_t tail_with(const struct hak_large_segment *segment, const struct hak_unit *run,
                          size_t most, size_t step)
{
    uint32_t index = hak_large_segment_index(segment, run);
    uint32_t from = index + run->number;
    uint32_t units = PURGE_STEP;
    if (step >> HAK_LARGE_UNIT_SHIFT > PURGE_STEP) {
        units = (uint32_t)(step >> HAK_LARGE_UNIT_SHIFT);
        from -= from % units; /* the last part is no whole step */
    }
    for (size_t dirty = 0; dirty < most && from > index;) {
        uint32_t part = from - index < units ? from - index : units;
        from -= part;
        dirty += hak_large_segment_count_dirty(segment, from, part);
    }
    return from < index + units ? index : from;
}

/* Purges about `most` dirty units of a free run: those at its end, since runs are cut from the
 * start. If they are the whole segment, it is unmapped. Returns bytes. Releases the lock. */
static size_t purge_run(struct hak_large_cache *cache, struct hak_unit *run, size_t most,
                        enum thorough how)
{
    struct hak_large_segment *segment = hak_large_segment_of(run);
    size_t step = how == ALL ? hak_os_page_size() : hak_large_purge_step(segment);
    struct hak_unit *older = NULL;
    uint32_t index = hak_large_segment_index(segment, run);
    uint32_t units = run->number;
    bool is_part = most < run[1].number && !segment->is_hugetlb;
    uint32_t from = is_part ? tail_with(segment, run, most, step) : index;
    bool is_whole = hak_large_segment_is_whole(segment, run->number) && from == index;
    uint32_t dirty = hak_large_unfile(cache, segment, run, &older);
    if (is_whole) {
        hak_headroom_give((size_t)dirty << HAK_LARGE_UNIT_SHIFT);
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
    uint64_t spent_ns;
    size_t bytes = hak_large_purge_units(cache, segment, from, units, step, &spent_ns);
    hak_learner_saw(cache->learner, HAK_LEARN_ACT, HAK_ARM_KEEP, bytes >> HAK_LARGE_UNIT_SHIFT,
                    spent_ns);
    cache->used_units -= units;
    hak_large_segment_unmark(segment, from);
    uint32_t left = hak_large_segment_count_dirty(segment, from, units);
    hak_large_file_merged(cache, segment, from, units, left);
    return bytes;
}

/* Purges the oldest runs, until `units` are purged or at most `keep` units are dirty. */
static size_t purge_oldest(struct hak_large_cache *cache, size_t keep, size_t units,
                           enum thorough how)
{
    size_t bytes = 0;
    for (int i = 0; i < PURGES_AT_ONCE && cache->dirty_units > keep; i++) {
        size_t purged = bytes >> HAK_LARGE_UNIT_SHIFT;
        if (cache->oldest == NULL || purged >= units)
            break;
        size_t excess = cache->dirty_units - keep;
        size_t most = excess < units - purged ? excess : units - purged;
        bytes += purge_run(cache, cache->oldest, most, how);
    }
    return bytes;
}

void hak_large_file_given(struct hak_large_cache *cache, struct hak_large_segment *segment,
                          struct hak_unit *run, uint32_t dirty)
{
    uint32_t index = hak_large_segment_index(segment, run);
    uint32_t units = run->number;
    hak_large_segment_unmark(segment, index);
    cache->used_units -= units;
    run = hak_large_file_merged(cache, segment, index, units, dirty);
    if (run->kind == HAK_UNIT_FREE && run[1].number == 0 &&
        hak_large_segment_is_whole(segment, run->number) &&
        (segment->next != NULL || segment->previous != NULL))
        purge_run(cache, run, SIZE_MAX, ALL);
}

/* ---- batches ---- */

struct stretch {
    struct hak_large_segment *segment;
    uint32_t index;
    uint32_t units;
};

/* relaxed: ticks read it without the lock */
static void set_batched(struct hak_large_cache *cache, uint32_t runs)
{
    __atomic_store_n(&cache->batched, runs, __ATOMIC_RELAXED);
}

/* Empties the batch: adjacent runs become one stretch. Returns how many stretches. */
static unsigned unload(struct hak_large_cache *cache, struct stretch *stretches)
{
    unsigned count = 0;
    for (unsigned i = 0; i < cache->batched; i++) {
        struct hak_unit *run = cache->batch[i];
        struct hak_large_segment *segment = hak_large_segment_of(run);
        uint32_t index = hak_large_segment_index(segment, run);
        struct stretch *last = count != 0 ? &stretches[count - 1] : NULL;
        uint32_t units = run->number;
        hak_large_segment_unmark(segment, index);
        if (last != NULL && last->segment == segment && last->index + last->units == index) {
            last->units += units;
        } else if (last != NULL && last->segment == segment && index + units == last->index) {
            last->index = index;
            last->units += units;
        } else {
            stretches[count++] = (struct stretch){segment, index, units};
        }
    }
    for (unsigned i = 0; i < count; i++)
        hak_large_segment_mark(stretches[i].segment, stretches[i].index, stretches[i].units,
                               HAK_UNIT_BUSY);
    set_batched(cache, 0);
    cache->batched_units = 0;
    return count;
}

/* Purges the stretches; the lock is not held. 0 or -errno. */
static int purge_stretches(const struct stretch *stretches, unsigned count)
{
    struct hak_os_range ranges[HAK_LARGE_BATCH_MAX];
    unsigned used = 0;
    for (unsigned i = 0; i < count; i++) {
        uint32_t index = stretches[i].index;
        uint32_t units = whole_steps(stretches[i].segment, &index, stretches[i].units,
                                     hak_large_purge_step(stretches[i].segment));
        if (units != 0)
            ranges[used++] =
                (struct hak_os_range){hak_large_segment_address(stretches[i].segment, index),
                                      (size_t)units << HAK_LARGE_UNIT_SHIFT};
    }
    return hak_os_purge_ranges(ranges, used);
}

void hak_large_release_batch(struct hak_large_cache *cache)
{
    struct stretch stretches[HAK_LARGE_BATCH_MAX];
    if (cache->batched == 0)
        return;
    uint64_t now = hak_os_coarse_now_ns();
    hak_learner_saw(cache->learner, HAK_LEARN_BATCH, HAK_ARM_BATCH, 0, now - cache->batch_ns);
    uint32_t purged = 0;
    unsigned count = unload(cache, stretches);
    hak_lock_release(&cache->lock);
    uint64_t began = hak_os_now_ns();
    int result = purge_stretches(stretches, count);
    uint64_t spent = hak_os_now_ns() - began;
    hak_lock_acquire(&cache->lock);
    for (unsigned i = 0; i < count; i++) {
        struct hak_large_segment *segment = stretches[i].segment;
        uint32_t index = stretches[i].index;
        uint32_t units =
            whole_steps(segment, &index, stretches[i].units, hak_large_purge_step(segment));
        purged += units;
        if (result == 0 && units != 0)
            note_purged(cache, segment, index, units);
        struct hak_unit *run = &segment->unit[stretches[i].index];
        hak_large_file_given(
            cache, segment, run,
            hak_large_segment_count_dirty(segment, stretches[i].index, stretches[i].units));
    }
    hak_learner_saw(cache->learner, HAK_LEARN_ACT, HAK_ARM_BATCH, purged, spent);
}

void hak_large_batch(struct hak_large_cache *cache, struct hak_unit *run,
                     const struct hak_settings *settings)
{
    struct hak_large_segment *segment = hak_large_segment_of(run);
    hak_large_segment_mark(segment, hak_large_segment_index(segment, run), run->number,
                           HAK_UNIT_BUSY);
    if (cache->batched == 0)
        cache->batch_ns = hak_os_coarse_now_ns();
    cache->batch[cache->batched] = run;
    set_batched(cache, cache->batched + 1);
    cache->batched_units += run->number;
    if (cache->batched >= settings->batch_runs || cache->batched == HAK_LARGE_BATCH_MAX ||
        (size_t)cache->batched_units << HAK_LARGE_UNIT_SHIFT >= BATCH_BYTES)
        hak_large_release_batch(cache);
}

/* ---- decay and retention ---- */

static size_t most_retained(const struct hak_settings *settings)
{
    return hak_settings_bytes(&settings->large_retain_bytes);
}

/* Dirty units that may stay beside the claim: a share of the used units, since with mixed sizes so
 * many come and go. Without learning it needs half: with an eighth, a program with 120 MiB in runs
 * of 64 KiB to 4 MiB purged all the time and ran at a third of the speed. The learner soon allows
 * more where it pays. */
static size_t used_share(const struct hak_large_cache *cache, const struct hak_settings *settings)
{
    return cache->used_units / (hak_learner_decides(settings) ? LEARNT_SHARE : FIXED_SHARE);
}

static size_t retained(struct hak_large_cache *cache, const struct hak_settings *settings)
{
    return hak_learner_retain(cache->learner, settings, most_retained(settings));
}

/* Makes the claim large enough for `dirty` units, if the bound allows. Returns its units. */
static size_t claimed(struct hak_large_cache *cache, const struct hak_settings *settings,
                      size_t dirty)
{
    size_t retain = retained(cache, settings);
    size_t wanted = dirty << HAK_LARGE_UNIT_SHIFT;
    size_t has = cache->claim.bytes < retain ? cache->claim.bytes : retain;
    if (hak_likely(wanted <= has) || has == retain)
        return has >> HAK_LARGE_UNIT_SHIFT;
    wanted = wanted < retain ? wanted : retain;
    /* In large steps, so that the heap's credit is seldom written; exactly, if no large step is
     * left. */
    size_t step = hak_align_up(wanted, CLAIM_STEP);
    step = step < retain ? step : retain;
    int is_granted = hak_credit_claim(settings, &cache->claim, step - cache->claim.bytes, retain) ||
                     hak_credit_claim(settings, &cache->claim, wanted - cache->claim.bytes, retain);
    cache->learner->refused_bytes = is_granted ? 0 : retain - cache->claim.bytes;
    return cache->claim.bytes >> HAK_LARGE_UNIT_SHIFT;
}

/* Gives back what the cache did not need for a time of decay, and at once what exceeds its fair
 * part while other caches want more. */
static void give_back_claim(struct hak_large_cache *cache, const struct hak_settings *settings,
                            bool is_ended)
{
    size_t fair = hak_credit_fair(settings, &cache->claim);
    size_t kept = fair;
    if (is_ended) {
        kept = hak_align_up(cache->most_kept << HAK_LARGE_UNIT_SHIFT, CLAIM_STEP);
        cache->most_kept = 0;
        hak_credit_turn(settings);
    }
    hak_credit_give_back(settings, &cache->claim, fair < kept ? fair : kept,
                         retained(cache, settings));
}

/* Dirty units that may stay: the claim, within the bound of learner or settings, and the share of
 * the used units. This bounds bursts; decay finds what is not needed. */
static size_t most_dirty(struct hak_large_cache *cache, const struct hak_settings *settings)
{
    if (settings->decay_ns == 0)
        return 0;
    size_t share = used_share(cache, settings);
    size_t beside = cache->dirty_units > share ? cache->dirty_units - share : 0;
    size_t most = claimed(cache, settings, beside) + share;
    if (cache->most_kept < beside)
        cache->most_kept = beside;
    size_t missing = hak_headroom_shortfall() >> HAK_LARGE_UNIT_SHIFT;
    if (hak_likely(missing == 0))
        return most;
    /* Near the limit of memory the shortfall is purged. */
    size_t left = cache->dirty_units > missing ? cache->dirty_units - missing : 0;
    return left < most ? left : most;
}

/* Each shard has its own length of window, so that shards which were busy together do not purge
 * together. */
static uint32_t decay_ticks(const struct hak_large_cache *cache,
                            const struct hak_settings *settings)
{
    uint32_t ticks = (uint32_t)(settings->decay_ns >> HAK_LARGE_TICK_SHIFT);
    return ticks - ticks / 4 / JITTER_STEPS * (cache->source->home % JITTER_STEPS);
}

/* Purges, at the end of each time of decay, as many units as were free and dirty throughout it
 * (least_dirty), for no thread needed them; the oldest first, in steps. (The age of a run alone
 * says little: a run from which others are cut, and with which others merge, may be as old as the
 * program and still be in constant use.) */
static void decay(struct hak_large_cache *cache, const struct hak_settings *settings)
{
    uint32_t ticks = decay_ticks(cache, settings);
    bool is_ended = cache->now - cache->window >= ticks;
    size_t lost = hak_learner_take_lost(cache->learner);
    if (lost != 0 && cache->surplus == 0)
        cache->surplus = lost < cache->least_dirty ? lost : cache->least_dirty;
    give_back_claim(cache, settings, is_ended);
    if (is_ended) {
        cache->window = cache->now;
        cache->surplus = cache->least_dirty;
        cache->least_dirty = cache->dirty_units;
    }
    if (cache->surplus == 0)
        return;
    size_t bytes = purge_oldest(cache, 0, cache->surplus, SPARING);
    size_t purged = bytes >> HAK_LARGE_UNIT_SHIFT;
    hak_learner_saw(cache->learner, HAK_LEARN_DECAY, HAK_ARM_KEEP, purged, 0);
    bool is_done = purged == 0 || purged >= cache->surplus || cache->dirty_units == 0;
    cache->surplus = is_done ? 0 : cache->surplus - purged;
    if (cache->least_dirty > cache->dirty_units)
        cache->least_dirty = cache->dirty_units;
}

/* Keeps the dirty units within their bound. It purges an eighth more than it must, so that not each
 * give makes a system call. */
static void obey_retention(struct hak_large_cache *cache, const struct hak_settings *settings)
{
    size_t most = most_dirty(cache, settings);
    hak_learner_saw(cache->learner, HAK_LEARN_DIRTY, HAK_ARM_KEEP, cache->dirty_units, 0);
    if (hak_likely(cache->dirty_units <= most))
        return;
    /* Near the limit of memory, free parts of huge pages are purged, too. */
    enum thorough how = hak_headroom_shortfall() == 0 ? SPARING : ALL;
    if (cache->dirty_units <= cache->futile[how])
        return;
    if (how == SPARING &&
        hak_learner_grow_retain(cache->learner, settings, most_retained(settings)))
        most = most_dirty(cache, settings);
    if (cache->dirty_units <= most)
        return;
    size_t bytes = purge_oldest(cache, most - most / 8, SIZE_MAX, how);
    /* The pages are locked, or parts of huge pages: gives must not find that out again and
     * again. */
    cache->futile[how] = bytes == 0 ? cache->dirty_units + FUTILE_UNITS : 0;
    hak_learner_saw(cache->learner, HAK_LEARN_EXCESS, HAK_ARM_KEEP, bytes >> HAK_LARGE_UNIT_SHIFT,
                    0);
    size_t retain = retained(cache, settings);
    if (cache->claim.bytes > retain)
        hak_credit_give_back(settings, &cache->claim, retain, retain);
}

void hak_large_obey(struct hak_large_cache *cache, const struct hak_settings *settings,
                    uint64_t now_ns)
{
    obey_retention(cache, settings);
    if (now_ns == 0)
        return;
    if (cache->batched != 0 && (int64_t)(now_ns - cache->batch_ns) >= BATCH_NS)
        hak_large_release_batch(cache);
    if (hak_unlikely(hak_learner_is_due(cache->learner, now_ns))) {
        hak_learner_tick(cache->learner, settings, most_retained(settings), now_ns);
        if (hak_learner_lost(cache->learner) != 0)
            decay(cache, settings);
    }
}

/* ---- functions for other files ---- */

void hak_large_relieve(struct hak_large_cache *cache, const struct hak_settings *settings)
{
    hak_lock_acquire(&cache->lock);
    obey_retention(cache, settings);
    hak_lock_release(&cache->lock);
}

void hak_large_tick(struct hak_large_cache *cache, const struct hak_settings *settings,
                    uint64_t now_ns)
{
    uint32_t now = (uint32_t)(now_ns >> HAK_LARGE_TICK_SHIFT);
    /* relaxed: estimates; under the lock a thread with an older time does nothing */
    uint32_t since = now - __atomic_load_n(&cache->now, __ATOMIC_RELAXED);
    uint32_t gate =
        (uint32_t)(settings->decay_ns >> HAK_LARGE_TICK_SHIFT) / DECAY_STEPS / DECAY_STEPS;
    hak_headroom_refresh(now_ns);
    if (since < (gate < GATE_MOST ? gate : GATE_MOST) &&
        __atomic_load_n(&cache->batched, __ATOMIC_RELAXED) == 0)
        return;
    hak_lock_acquire(&cache->lock);
    hak_learner_turn(cache->learner, now_ns);
    obey_retention(cache, settings);
    uint32_t ticks = decay_ticks(cache, settings);
    if (cache->now == 0 || ((int32_t)since >= 0 && since >= ticks / DECAY_STEPS)) {
        /* relaxed: as above */
        __atomic_store_n(&cache->now, now, __ATOMIC_RELAXED);
        decay(cache, settings);
    }
    if (cache->batched != 0)
        hak_large_release_batch(cache);
    if (hak_learner_watches(settings) && hak_learner_is_due(cache->learner, now_ns))
        hak_learner_tick(cache->learner, settings, most_retained(settings), now_ns);
    hak_lock_release(&cache->lock);
}

void hak_large_end_learning(struct hak_large_cache *cache, const struct hak_settings *settings,
                            uint64_t now_ns)
{
    hak_lock_acquire(&cache->lock);
    hak_learner_tick(cache->learner, settings, most_retained(settings), now_ns);
    hak_lock_release(&cache->lock);
}

/* Unmaps one segment that is entirely free; false if there is none. */
static bool release_one(struct hak_large_cache *cache)
{
    for (struct hak_large_segment *segment = cache->segments; segment; segment = segment->next) {
        struct hak_unit *run = &segment->unit[0];
        if (run->kind != HAK_UNIT_FREE || !hak_large_segment_is_whole(segment, run->number))
            continue;
        purge_run(cache, run, SIZE_MAX, ALL);
        return true;
    }
    return false;
}

size_t hak_large_trim(struct hak_large_cache *cache)
{
    size_t bytes = 0;
    hak_lock_acquire(&cache->lock);
    bytes += (size_t)cache->batched_units << HAK_LARGE_UNIT_SHIFT;
    hak_large_release_batch(cache);
    /* Ends after a round without effect, since memory may be locked, and after as much as was there
     * at first, since other threads may free more. */
    size_t most = bytes + ((size_t)cache->dirty_units << HAK_LARGE_UNIT_SHIFT);
    for (size_t got = 1; got != 0 && bytes < most && cache->oldest != NULL; bytes += got)
        got = purge_oldest(cache, 0, SIZE_MAX, ALL);
    while (release_one(cache))
        continue;
    hak_lock_release(&cache->lock);
    return bytes;
}
