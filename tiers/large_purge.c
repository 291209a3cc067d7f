/* SPDX-License-Identifier: MIT */
/* What of the large tier goes back to the kernel, and when: arms that purge at once or in batches,
 * too many dirty units, decay, trims. Called with the cache's lock held unless a function says
 * otherwise; where a system call is made the lock is let go, the run meanwhile being BUSY. */
#include "tiers/large_purge.h"

#include "os/clock.h"
#include "os/memory.h"
#include "tiers/headroom.h"

enum {
    TICK_SHIFT = 20,               /* a tick is 2^20 ns, about a millisecond */
    CLAIM_STEP = 1024 * 1024,      /* bytes */
    PURGE_STEP = 64,               /* units; a run is not purged in smaller parts */
    PURGES_AT_ONCE = 16,           /* runs purged by one call, so that no call takes long */
    DECAY_STEPS = 8,               /* purging what decayed takes so many steps of a tick */
    BATCH_BYTES = 16 * 1024 * 1024,    /* a batch holds no more */
    FIXED_SHARE = 2,               /* of what is in use, may be dirty beside what the policy says */
    LEARNT_SHARE = 8,
    JITTER_STEPS = 8,
    FUTILE_UNITS = 1024,
    GATE_MOST = 100,               /* ticks between two looks at a cache */
};

/* Whether huge pages are spared that are free in part. */
enum thorough { SPARING, ALL };

static const int64_t BATCH_NS = 20l * 1000 * 1000;

/* ---- what the learner is told ---- */

enum fate { REUSED, PURGED, GONE };

/* Tells what became of the watched units of a stretch. */
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

/* Gives a segment of one run, that is in no list, back to the kernel. Lets the lock go. */
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
    tell_if_watched(cache, segment, segment->first, segment->units - segment->first, GONE);
    hak_lock_release(&cache->lock);
    hak_large_segment_withdraw(segment);
    hak_region_unmap_large(cache->source, segment, segment->size,
                           segment->is_hugetlb ? HAK_OS_HUGETLB : HAK_OS_PLAIN);
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

/* What of a run lies in whole steps (kernel pages, or huge ones): from *index, in units; 0 if there
 * are none. */
static uint32_t whole_steps(const struct hak_large_segment *segment, uint32_t *index,
                            uint32_t units, size_t step)
{
    uintptr_t start = (uintptr_t)hak_large_segment_address(segment, *index);
    uintptr_t end = hak_align_down(start + ((size_t)units << HAK_LARGE_UNIT_SHIFT), step);
    start = hak_align_up(start, step);
    if (start >= end)
        return 0;
    *index = (uint32_t)((start - (uintptr_t)segment) >> HAK_LARGE_UNIT_SHIFT);
    return (uint32_t)((end - start) >> HAK_LARGE_UNIT_SHIFT);
}

/* Notes that units have no pages any more; bytes. */
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

/* System calls for the memory of a BUSY run. Lets the lock go meanwhile. 0 or -errno. */
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
        return 0; /* locked in memory: stays dirty */
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

/* From which unit on a free run holds `most` dirty units that can go, about; its first, if it has
 * no more. */
static uint32_t tail_with(const struct hak_large_segment *segment, const struct hak_unit *run,
                          size_t most, size_t step)
{
    uint32_t index = hak_large_segment_index(segment, run);
    uint32_t from = index + run->number;
    uint32_t units = PURGE_STEP;
    if (step >> HAK_LARGE_UNIT_SHIFT > PURGE_STEP) {
        units = (uint32_t)(step >> HAK_LARGE_UNIT_SHIFT);
        from -= from % units; /* what is left out cannot go */
    }
    for (size_t dirty = 0; dirty < most && from > index;) {
        uint32_t part = from - index < units ? from - index : units;
        from -= part;
        dirty += hak_large_segment_count_dirty(segment, from, part);
    }
    return from < index + units ? index : from;
}

/* Gives about `most` dirty units of a free run back, from its end since runs are cut from the
 * start; if that is all of them, and of the segment, the segment goes. Returns bytes. Lets the lock
 * go meanwhile. */
static size_t purge_run(struct hak_large_cache *cache, struct hak_unit *run, size_t most,
                        enum thorough how)
{
    struct hak_large_segment *segment = hak_large_segment_of(run);
    size_t step = how == ALL ? hak_os_page_size() : hak_large_purge_step(segment);
    struct hak_unit *older = NULL;
    uint32_t index = hak_large_segment_index(segment, run);
    uint32_t units = run->number;
    int part = most < run[1].number && !segment->is_hugetlb;
    uint32_t from = part ? tail_with(segment, run, most, step) : index;
    int whole = hak_large_segment_is_whole(segment, run->number) && from == index;
    uint32_t dirty = hak_large_unfile(cache, segment, run, &older);
    if (whole) {
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

/* Purges from the old end until `units` are purged or no more than `keep` are left dirty. */
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

/* A run that was in use, BUSY till now, becomes free; a segment that is free as a whole and clean
 * goes, if it is not the only one. */
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

/* relaxed: ticks look at it without the lock */
static void set_batched(struct hak_large_cache *cache, uint32_t runs)
{
    __atomic_store_n(&cache->batched, runs, __ATOMIC_RELAXED);
}

/* Takes the batch over: runs of neighbours become one stretch. Lock held. */
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

/* Purges the stretches, each by a call. Lock not held. */
static int purge_stretches(const struct stretch *stretches, unsigned count)
{
    struct hak_os_range ranges[HAK_LARGE_BATCH_MAX];
    unsigned used = 0;
    for (unsigned i = 0; i < count; i++) {
        uint32_t index = stretches[i].index;
        uint32_t units = whole_steps(stretches[i].segment, &index, stretches[i].units,
                                     hak_large_purge_step(stretches[i].segment));
        if (units != 0)
            ranges[used++] = (struct hak_os_range){
                hak_large_segment_address(stretches[i].segment, index),
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
        uint32_t units = whole_steps(segment, &index, stretches[i].units,
                                     hak_large_purge_step(segment));
        purged += units;
        if (result == 0 && units != 0)
            note_purged(cache, segment, index, units);
        struct hak_unit *run = &segment->unit[stretches[i].index];
        hak_large_file_given(cache, segment, run,
                             hak_large_segment_count_dirty(segment, stretches[i].index,
                                                           stretches[i].units));
    }
    hak_learner_saw(cache->learner, HAK_LEARN_ACT, HAK_ARM_BATCH, purged, spent);
}

void hak_large_batch(struct hak_large_cache *cache, struct hak_unit *run,
                     const struct hak_policy *policy)
{
    struct hak_large_segment *segment = hak_large_segment_of(run);
    hak_large_segment_mark(segment, hak_large_segment_index(segment, run), run->number,
                           HAK_UNIT_BUSY);
    if (cache->batched == 0)
        cache->batch_ns = hak_os_coarse_now_ns();
    cache->batch[cache->batched] = run;
    set_batched(cache, cache->batched + 1);
    cache->batched_units += run->number;
    if (cache->batched >= policy->batch_runs || cache->batched == HAK_LARGE_BATCH_MAX ||
        (size_t)cache->batched_units << HAK_LARGE_UNIT_SHIFT >= BATCH_BYTES)
        hak_large_release_batch(cache);
}


/* ---- decay and retention ---- */

static size_t most_retained(const struct hak_policy *policy)
{
    return hak_policy_bytes(&policy->large_retain_bytes);
}

/* Dirty units that may stay beside what is claimed: a share of what is in use, since so much comes
 * and goes when sizes are mixed (a fixed policy needs half: with an eighth, 120 MiB of mixed runs
 * of 64 KiB to 4 MiB were purged all the time, and a third as fast; the learner soon allows what is
 * missing). */
static size_t used_share(const struct hak_large_cache *cache, const struct hak_policy *policy)
{
    return cache->used_units / (hak_learner_decides(policy) ? LEARNT_SHARE : FIXED_SHARE);
}

static size_t retained(struct hak_large_cache *cache, const struct hak_policy *policy)
{
    return hak_learner_retain(cache->learner, policy, most_retained(policy));
}

/* Units of the claim, made to hold `dirty` units if that may be. */
static size_t claimed(struct hak_large_cache *cache, const struct hak_policy *policy, size_t dirty)
{
    size_t retain = retained(cache, policy);
    size_t wanted = dirty << HAK_LARGE_UNIT_SHIFT;
    size_t has = cache->claim.bytes < retain ? cache->claim.bytes : retain;
    if (hak_likely(wanted <= has) || has == retain)
        return has >> HAK_LARGE_UNIT_SHIFT;
    /* In steps, so that the heap's number is seldom touched; the last one as it comes. */
    wanted = hak_align_up(wanted, CLAIM_STEP) < retain ? hak_align_up(wanted, CLAIM_STEP) : retain;
    hak_credit_claim(policy, &cache->claim, wanted - cache->claim.bytes, retain);
    return cache->claim.bytes >> HAK_LARGE_UNIT_SHIFT;
}

/* What the cache has not needed for a time of decay others may have; at once what others lack. */
static void give_back_claim(struct hak_large_cache *cache, const struct hak_policy *policy,
                            int ended)
{
    size_t fair = hak_credit_fair(policy, &cache->claim);
    size_t kept = fair;
    if (ended) {
        kept = hak_align_up(cache->most_kept << HAK_LARGE_UNIT_SHIFT, CLAIM_STEP);
        cache->most_kept = 0;
    }
    hak_credit_give_back(policy, &cache->claim, fair < kept ? fair : kept, retained(cache, policy));
}

/* Dirty units that may stay: what is claimed, as the learner or the policy says, and the share.
 * This bounds bursts; decay finds what is not needed. */
static size_t most_dirty(struct hak_large_cache *cache, const struct hak_policy *policy)
{
    if (policy->decay_ns == 0)
        return 0;
    size_t share = used_share(cache, policy);
    size_t beside = cache->dirty_units > share ? cache->dirty_units - share : 0;
    size_t most = claimed(cache, policy, beside) + share;
    if (cache->most_kept < beside)
        cache->most_kept = beside;
    size_t missing = hak_headroom_shortfall() >> HAK_LARGE_UNIT_SHIFT;
    if (hak_likely(missing == 0))
        return most;
    /* Near the limit of memory: what is missing of the reserve goes. */
    size_t left = cache->dirty_units > missing ? cache->dirty_units - missing : 0;
    return left < most ? left : most;
}

/* Shards that were busy together must not purge together: each has a window of its own length. */
static uint32_t decay_ticks(const struct hak_large_cache *cache, const struct hak_policy *policy)
{
    uint32_t ticks = (uint32_t)(policy->decay_ns >> TICK_SHIFT);
    return ticks - ticks / 4 / JITTER_STEPS * (cache->source->home % JITTER_STEPS);
}

/* Once in a time of decay: so many units as were free and dirty all that time, nobody needed. They
 * are purged oldest first, in steps. (The age of a run says little: those out of which others are
 * cut, and with which others merge, may be as old as the program, and in constant use.) */
static void decay(struct hak_large_cache *cache, const struct hak_policy *policy)
{
    uint32_t ticks = decay_ticks(cache, policy);
    int ended = cache->now - cache->window >= ticks;
    size_t lost = hak_learner_take_lost(cache->learner);
    if (lost != 0 && cache->surplus == 0)
        cache->surplus = lost < cache->least_dirty ? lost : cache->least_dirty;
    give_back_claim(cache, policy, ended);
    if (ended) {
        cache->window = cache->now;
        cache->surplus = cache->least_dirty;
        cache->least_dirty = cache->dirty_units;
    }
    if (cache->surplus == 0)
        return;
    size_t bytes = purge_oldest(cache, 0, cache->surplus, SPARING);
    size_t purged = bytes >> HAK_LARGE_UNIT_SHIFT;
    hak_learner_saw(cache->learner, HAK_LEARN_DECAY, HAK_ARM_KEEP, purged, 0);
    int done = purged == 0 || purged >= cache->surplus || cache->dirty_units == 0;
    cache->surplus = done ? 0 : cache->surplus - purged;
    if (cache->least_dirty > cache->dirty_units)
        cache->least_dirty = cache->dirty_units;
}

/* When there are more, some are purged at once, so that not each give pays a system call. */
static void obey_retention(struct hak_large_cache *cache, const struct hak_policy *policy)
{
    size_t most = most_dirty(cache, policy);
    hak_learner_saw(cache->learner, HAK_LEARN_DIRTY, HAK_ARM_KEEP, cache->dirty_units, 0);
    if (hak_likely(cache->dirty_units <= most))
        return;
    /* Near the limit of memory a huge page is worth less than what is free of it. */
    enum thorough how = hak_headroom_shortfall() == 0 ? SPARING : ALL;
    if (cache->dirty_units <= cache->futile[how])
        return;
    if (how == SPARING &&
        hak_learner_grow_retain(cache->learner, policy, most_retained(policy)))
        most = most_dirty(cache, policy);
    if (cache->dirty_units <= most)
        return;
    size_t bytes = purge_oldest(cache, most - most / 8, SIZE_MAX, how);
    /* Locked in memory, or in parts of huge pages: not each give is to find that out again. */
    cache->futile[how] = bytes == 0 ? cache->dirty_units + FUTILE_UNITS : 0;
    hak_learner_saw(cache->learner, HAK_LEARN_EXCESS, HAK_ARM_KEEP, bytes >> HAK_LARGE_UNIT_SHIFT,
                    0);
    size_t retain = retained(cache, policy);
    if (cache->claim.bytes > retain)
        hak_credit_give_back(policy, &cache->claim, retain, retain);
}

void hak_large_obey(struct hak_large_cache *cache, const struct hak_policy *policy,
                    uint64_t now_ns)
{
    obey_retention(cache, policy);
    if (now_ns == 0)
        return;
    if (cache->batched != 0 && (int64_t)(now_ns - cache->batch_ns) >= BATCH_NS)
        hak_large_release_batch(cache);
    if (hak_unlikely(hak_learner_is_due(cache->learner, now_ns))) {
        hak_learner_tick(cache->learner, policy, most_retained(policy), now_ns);
        if (hak_learner_lost(cache->learner) != 0)
            decay(cache, policy);
    }
}

/* ---- what others call ---- */

void hak_large_relieve(struct hak_large_cache *cache, const struct hak_policy *policy)
{
    hak_lock_acquire(&cache->lock);
    obey_retention(cache, policy);
    hak_lock_release(&cache->lock);
}

void hak_large_tick(struct hak_large_cache *cache, const struct hak_policy *policy,
                    uint64_t now_ns)
{
    uint32_t now = (uint32_t)(now_ns >> TICK_SHIFT);
    /* relaxed: hints; a thread that comes with an older time is turned back under the lock */
    uint32_t since = now - __atomic_load_n(&cache->now, __ATOMIC_RELAXED);
    uint32_t gate = (uint32_t)(policy->decay_ns >> TICK_SHIFT) / DECAY_STEPS / DECAY_STEPS;
    hak_headroom_refresh(now_ns);
    if (since < (gate < GATE_MOST ? gate : GATE_MOST) &&
        __atomic_load_n(&cache->batched, __ATOMIC_RELAXED) == 0)
        return;
    hak_lock_acquire(&cache->lock);
    hak_learner_turn(cache->learner, now_ns);
    obey_retention(cache, policy);
    uint32_t ticks = decay_ticks(cache, policy);
    if (cache->now == 0 || ((int32_t)since >= 0 && since >= ticks / DECAY_STEPS)) {
        /* relaxed: as above */
        __atomic_store_n(&cache->now, now, __ATOMIC_RELAXED);
        decay(cache, policy);
    }
    if (cache->batched != 0)
        hak_large_release_batch(cache);
    if (hak_learner_watches(policy) && hak_learner_is_due(cache->learner, now_ns))
        hak_learner_tick(cache->learner, policy, most_retained(policy), now_ns);
    hak_lock_release(&cache->lock);
}

void hak_large_end_learning(struct hak_large_cache *cache, const struct hak_policy *policy,
                            uint64_t now_ns)
{
    hak_lock_acquire(&cache->lock);
    hak_learner_tick(cache->learner, policy, most_retained(policy), now_ns);
    hak_lock_release(&cache->lock);
}

/* Releases one segment that is free as a whole; 0 if there was none. */
static int release_one(struct hak_large_cache *cache)
{
    for (struct hak_large_segment *segment = cache->segments; segment; segment = segment->next) {
        struct hak_unit *run = &segment->unit[segment->first];
        if (run->kind != HAK_UNIT_FREE || !hak_large_segment_is_whole(segment, run->number))
            continue;
        purge_run(cache, run, SIZE_MAX, ALL);
        return 1;
    }
    return 0;
}

size_t hak_large_trim(struct hak_large_cache *cache)
{
    size_t bytes = 0;
    hak_lock_acquire(&cache->lock);
    bytes += (size_t)cache->batched_units << HAK_LARGE_UNIT_SHIFT;
    hak_large_release_batch(cache);
    /* A round that gives nothing back ends it: memory may be locked. */
    for (size_t got = 1; got != 0 && cache->oldest != NULL; bytes += got)
        got = purge_oldest(cache, 0, SIZE_MAX, ALL);
    while (release_one(cache))
        continue;
    hak_lock_release(&cache->lock);
    return bytes;
}
