/* SPDX-License-Identifier: MIT */
/* tiers/large_purge.c: batches are released for every reason, runs in them cannot be taken and are
 * not lost, and the learner is told about the samples that it watches. */
#include "tiers/large_purge.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "learn/learner_sample.h"
#include "learn/match.h"
#include "os/clock.h"
#include "tests/lib/prng.h"
#include "tests/lib/resident.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"
#include "tiers/page_map.h"

enum {
    KIB = 1024,
    MIB = 1024 * 1024,
    RUN = 256 * KIB,
    BUCKET = 2,
    SLOTS = 48,
};

static const uint64_t ms_ns = 1000 * 1000;

static struct hak_counters counters;
static const struct hak_region_source source = {.counters = &counters, .node = -1, .home = 0};
static struct hak_learner learner;
static struct hak_settings settings;
static struct hak_large_cache *cache;

static void new_cache(enum hak_learn_mode mode, enum hak_arm arm)
{
    settings = hak_settings_default;
    settings.mode = mode;
    settings.large_arm = arm;
    memset(&learner, 0, sizeof learner);
    hak_learner_start(&learner, &settings, 1);
    for (unsigned key = 0; key < HAK_LEARN_KEYS; key++)
        learner.keys[key].arm = (uint8_t)arm;
    learner.tick_ns = hak_os_coarse_now_ns(); /* none is due while a case runs, */
    hak_learner_turn(&learner, learner.tick_ns);
    cache = calloc(1, sizeof *cache);
    hak_large_init(cache, &source, &learner);
}

/* Nothing may be left in the kernel's accounts or ours. */
static void end_cache(void)
{
    EXPECT_EQ(hak_large_bytes(cache).used, 0);
    hak_large_trim(cache);
    EXPECT_EQ(hak_large_bytes(cache).dirty, 0);
    EXPECT_EQ(hak_large_bytes(cache).mapped, 0);
    EXPECT_EQ(cache->used_units, 0);
    EXPECT(cache->oldest == NULL && cache->newest == NULL && cache->segments == NULL);
    free(cache);
}

static void *take(size_t size)
{
    void *object = hak_large_take(cache, size, 16, HAK_ZERO_NO, &settings);
    EXPECT(object != NULL);
    return object;
}

static void give(void *object)
{
    EXPECT_EQ(hak_large_give(object, &settings), 1);
}

static int is_filled(const unsigned char *bytes, unsigned char pattern, size_t size)
{
    return bytes[0] == pattern && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* ---- huge pages ----------------------------------------------------------------------------- */

static size_t purged_bytes(void)
{
    return hak_counter_read(&counters, HAK_COUNTER_BYTES_PURGED);
}

/* 7 MiB that begin 256 KiB behind a huge page's start, between two runs that stay; the latter is too
 * long for the gap before the first. */
static unsigned char *between_walls(unsigned char **walls)
{
    walls[0] = hak_large_take(cache, 8 * MIB, HAK_REGION_SIZE, HAK_ZERO_NO, &settings);
    EXPECT_EQ(hak_large_resize(walls[0], RUN, &settings), 1);
    hak_large_trim(cache);
    unsigned char *run = take(7 * MIB);
    walls[1] = take(2 * MIB);
    EXPECT(run == walls[0] + RUN && walls[1] == run + 7 * MIB);
    memset(walls[0], 1, RUN);
    memset(run, 2, 7 * MIB);
    memset(walls[1], 3, 2 * MIB);
    return run;
}

static void end_walls(unsigned char **walls)
{
    EXPECT(is_filled(walls[0], 1, RUN) && is_filled(walls[1], 3, 2 * MIB));
    hak_region_set_huge(HAK_HUGE_DEFAULT);
    give(walls[0]);
    give(walls[1]);
    end_cache();
}

/* How much of 7 MiB an arm gives back at once. */
static size_t given_back_at_once(enum hak_os_huge huge, enum hak_arm arm)
{
    unsigned char *walls[2];
    new_cache(HAK_LEARN_OFF, arm);
    settings.batch_runs = 1;
    unsigned char *run = between_walls(walls);
    hak_region_set_huge(huge);
    size_t before = purged_bytes();
    give(run);
    size_t bytes = purged_bytes() - before;
    EXPECT_EQ(hak_large_bytes(cache).dirty, 7 * MIB - bytes);
    EXPECT_EQ(resident_pages(run, 7 * MIB) * hak_os_page_size(), 7 * MIB - bytes);
    end_walls(walls);
    return bytes;
}

static void huge_pages_go_whole(void)
{
    EXPECT_EQ(given_back_at_once(HAK_HUGE_DEFAULT, HAK_ARM_DONTNEED), 7 * MIB);
    EXPECT_EQ(given_back_at_once(HAK_HUGE_DEFAULT, HAK_ARM_BATCH), 7 * MIB);
    EXPECT_EQ(given_back_at_once(HAK_HUGE_NEVER, HAK_ARM_DONTNEED), 7 * MIB);
    EXPECT_EQ(given_back_at_once(HAK_HUGE_ALWAYS, HAK_ARM_DONTNEED), 4 * MIB);
    EXPECT_EQ(given_back_at_once(HAK_HUGE_ALWAYS, HAK_ARM_BATCH), 4 * MIB);
}

/* 2 MiB of 7 are too much: the last whole huge page goes, and the ends stay. */
static void huge_pages_decay_whole(void)
{
    unsigned char *walls[2];
    new_cache(HAK_LEARN_OFF, HAK_ARM_KEEP);
    settings.large_retain_bytes = 5 * MIB;
    unsigned char *run = between_walls(walls);
    hak_region_set_huge(HAK_HUGE_ALWAYS);
    size_t before = purged_bytes();
    give(run);
    EXPECT_EQ(purged_bytes() - before, 2 * MIB);
    EXPECT_EQ(resident_pages(walls[0] + 4 * MIB, 2 * MIB), 0);
    uint64_t now = hak_os_coarse_now_ns();
    for (unsigned i = 1; i < 40; i++)
        hak_large_tick(cache, &settings, now + i * settings.decay_ns / 8);
    EXPECT_EQ(purged_bytes() - before, 4 * MIB);
    EXPECT_EQ(hak_large_bytes(cache).dirty, 3 * MIB);
    hak_large_trim(cache);
    EXPECT_EQ(purged_bytes() - before, 7 * MIB);
    EXPECT_EQ(hak_large_bytes(cache).dirty, 0);
    end_walls(walls);
}

/* ---- batches -------------------------------------------------------------------------------- */

enum {
    RUNS = 16,
};

/* Runs side by side, all touched; every second one is to be given. */
static void take_runs(unsigned char **runs)
{
    for (unsigned i = 0; i < RUNS; i++) {
        runs[i] = take(RUN);
        memset(runs[i], (int)i + 1, RUN);
    }
}

static void end_runs(unsigned char **runs)
{
    for (unsigned i = 1; i < RUNS; i += 2) {
        EXPECT(is_filled(runs[i], (unsigned char)(i + 1), RUN));
        give(runs[i]);
    }
    end_cache();
}

static void expect_released(unsigned char **runs)
{
    EXPECT_EQ(cache->batched, 0);
    EXPECT_EQ(cache->batched_units, 0);
    for (unsigned i = 0; i < RUNS; i += 2)
        EXPECT_EQ(resident_pages(runs[i], RUN), 0);
    EXPECT_EQ(hak_large_bytes(cache).dirty, 0);
    EXPECT_EQ(hak_large_bytes(cache).used, RUNS / 2 * RUN);
}

static void by_count(void)
{
    unsigned char *runs[RUNS];
    new_cache(HAK_LEARN_OFF, HAK_ARM_BATCH);
    settings.batch_runs = RUNS / 2;
    take_runs(runs);
    uint64_t purged = hak_counter_read(&counters, HAK_COUNTER_BYTES_PURGED);
    for (unsigned i = 0; i < RUNS; i += 2) {
        EXPECT_EQ(cache->batched, i / 2);
        EXPECT_EQ(resident_pages(runs[0], RUN), RUN / hak_os_page_size());
        EXPECT_EQ(hak_large_bytes(cache).dirty, i / 2 * RUN);
        give(runs[i]);
    }
    expect_released(runs);
    EXPECT_EQ(hak_counter_read(&counters, HAK_COUNTER_BYTES_PURGED), purged + RUNS / 2 * RUN);
    end_runs(runs);
}

/* 31 runs of 8 MiB are more than any batch may hold. */
static void by_bytes(void)
{
    void *runs[HAK_LARGE_BATCH_MAX - 1];
    new_cache(HAK_LEARN_OFF, HAK_ARM_BATCH);
    settings.batch_runs = HAK_LARGE_BATCH_MAX;
    for (unsigned i = 0; i < TAP_COUNT(runs); i++)
        runs[i] = take(HAK_LARGE_MAX);
    for (unsigned i = 0; i < TAP_COUNT(runs); i++) {
        give(runs[i]);
        EXPECT_LE((size_t)cache->batched_units * HAK_LARGE_UNIT, 64 * MIB);
    }
    end_cache();
}

static void by_the_table(void)
{
    void *runs[2 * HAK_LARGE_BATCH_MAX];
    new_cache(HAK_LEARN_OFF, HAK_ARM_BATCH);
    settings.batch_runs = 1000;
    for (unsigned i = 0; i < TAP_COUNT(runs); i++)
        runs[i] = take(64 * KIB);
    for (unsigned i = 0; i < TAP_COUNT(runs); i++) {
        give(runs[i]);
        EXPECT_LE(cache->batched, HAK_LARGE_BATCH_MAX - 1);
    }
    EXPECT_EQ(cache->batched, 0);
    end_cache();
}

static void by_time(void)
{
    unsigned char *runs[RUNS];
    new_cache(HAK_LEARN_OFF, HAK_ARM_BATCH);
    take_runs(runs);
    uint64_t now = hak_os_coarse_now_ns();
    hak_large_tick(cache, &settings, now);
    for (unsigned i = 0; i < RUNS; i += 2)
        give(runs[i]);
    EXPECT_EQ(cache->batched, RUNS / 2);
    hak_large_tick(cache, &settings, now + settings.decay_ns);
    expect_released(runs);
    end_runs(runs);
}

/* A give finds a batch that is too old; with a learner, since that looks at the clock. */
static void by_time_at_a_give(void)
{
    unsigned char *runs[RUNS];
    new_cache(HAK_LEARN_SHADOW, HAK_ARM_BATCH);
    take_runs(runs);
    for (unsigned i = 2; i < RUNS; i += 2)
        give(runs[i]);
    hak_os_sleep_ns(200 * ms_ns);
    give(runs[0]);
    expect_released(runs);
    end_runs(runs);
}

static void by_trim(void)
{
    unsigned char *runs[RUNS];
    new_cache(HAK_LEARN_OFF, HAK_ARM_BATCH);
    take_runs(runs);
    for (unsigned i = 0; i < RUNS; i += 2)
        give(runs[i]);
    EXPECT_GE(hak_large_trim(cache), RUNS / 2 * RUN);
    expect_released(runs);
    EXPECT_EQ(hak_large_trim(cache), 0);
    end_runs(runs);
}

/* A thread that asks for such a run meanwhile gets another one; a second free is refused. */
static void nobodys_but_not_lost(void)
{
    unsigned char *runs[RUNS];
    void *others[RUNS / 2];
    new_cache(HAK_LEARN_OFF, HAK_ARM_BATCH);
    take_runs(runs);
    for (unsigned i = 0; i < RUNS; i += 2)
        give(runs[i]);
    EXPECT_EQ(cache->batched, RUNS / 2);
    for (unsigned i = 0; i < RUNS / 2; i++) {
        EXPECT_EQ(hak_large_size(runs[2 * i]), 0);
        EXPECT_EQ(hak_large_give(runs[2 * i], &settings), 0);
        others[i] = take(RUN);
        for (unsigned j = 0; j < RUNS; j++)
            EXPECT(others[i] != runs[j]);
    }
    settings.large_arm = HAK_ARM_KEEP;
    hak_large_trim(cache);
    size_t mapped = hak_large_bytes(cache).mapped;
    unsigned again = 0;
    void *same[RUNS / 2];
    for (unsigned i = 0; i < RUNS / 2; i++) {
        same[i] = take(RUN);
        for (unsigned j = 0; j < RUNS; j += 2)
            again += same[i] == runs[j];
    }
    EXPECT_EQ(again, RUNS / 2);
    EXPECT_EQ(hak_large_bytes(cache).mapped, mapped);
    for (unsigned i = 0; i < RUNS / 2; i++) {
        give(same[i]);
        give(others[i]);
    }
    end_runs(runs);
}

/* Neighbours are one run afterwards, in whatever order they came. */
static void neighbours_of_a_batch_merge(void)
{
    static const unsigned orders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 0, 3, 2}, {0, 2, 1, 3}};
    for (unsigned i = 0; i < TAP_COUNT(orders); i++) {
        unsigned char *runs[RUNS];
        new_cache(HAK_LEARN_OFF, HAK_ARM_BATCH);
        settings.batch_runs = 4;
        take_runs(runs);
        for (unsigned j = 0; j < 4; j++)
            give(runs[4 + orders[i][j]]);
        EXPECT_EQ(cache->batched, 0);
        EXPECT_EQ(resident_pages(runs[4], 4 * RUN), 0);
        struct hak_large_segment *segment = hak_large_segment_find(runs[4]);
        struct hak_unit *run =
            &segment->unit[(size_t)(runs[4] - (unsigned char *)segment->base) / HAK_LARGE_UNIT];
        EXPECT_EQ(run->kind, HAK_UNIT_FREE);
        EXPECT_EQ((size_t)run->number * HAK_LARGE_UNIT, 4 * RUN);
        for (unsigned j = 0; j < RUNS; j++) {
            if (j / 4 == 1)
                continue;
            EXPECT(is_filled(runs[j], (unsigned char)(j + 1), RUN));
            give(runs[j]);
        }
        end_cache();
    }
}

/* ---- events for the learner ---------------------------------------------------------------- */

static struct hak_learn_sample *sample_of(void *object)
{
    uint16_t *link = hak_learn_find_sample(&learner, (uintptr_t)object);
    return *link != 0 ? &learner.samples[*link - 1] : NULL;
}

static void told_reused(void)
{
    new_cache(HAK_LEARN_ON, HAK_ARM_KEEP);
    void *fence = take(RUN);
    void *one = take(RUN);
    void *two = take(RUN);
    void *end = take(RUN);
    give(one);
    REQUIRE(sample_of(one) != NULL);
    EXPECT_EQ(sample_of(one)->purged_ns, 0);
    EXPECT_EQ(sample_of(one)->arm, HAK_ARM_KEEP);
    EXPECT_EQ(sample_of(one)->key, BUCKET);
    EXPECT(take(RUN) == one);
    EXPECT_EQ(learner.open, 0);
    give(one);
    give(two);
    EXPECT_EQ(learner.open, 2);
    EXPECT(take(2 * RUN) == one); /* the merged run is handed out */
    EXPECT_EQ(learner.open, 0);
    give(one);
    void *half = take(RUN); /* the second half lies there still, but nothing watched begins there */
    EXPECT(half == one);
    EXPECT_EQ(learner.open, 0);
    EXPECT(learner.keys[BUCKET].paid > 0);
    give(half);
    give(fence);
    give(end);
    end_cache();
    EXPECT_EQ(learner.open, 0);
}

static void told_purged(void)
{
    new_cache(HAK_LEARN_ON, HAK_ARM_KEEP);
    void *fence = take(RUN);
    void *run = take(RUN);
    void *end = take(RUN);
    memset(run, 1, RUN);
    give(run);
    EXPECT_GE(hak_large_trim(cache), RUN);
    EXPECT_EQ(resident_pages(run, RUN), 0);
    REQUIRE(sample_of(run) != NULL);
    EXPECT(sample_of(run)->purged_ns != 0);
    EXPECT_EQ(learner.missed, 0); /* a trim is the program's request */
    learner.evicted += 1000 * RUN / HAK_LARGE_UNIT;
    EXPECT(take(RUN) == run);
    EXPECT(sample_of(run) == NULL);
    EXPECT(learner.missed >= RUN / HAK_LARGE_UNIT); /* handed out without pages */
    EXPECT(learner.keys[BUCKET].paid >= RUN / HAK_LARGE_UNIT * hak_cost_fault_ns(&learner.cost));
    learner.keys[BUCKET].arm = HAK_ARM_DONTNEED;
    memset(run, 1, RUN);
    give(run);
    EXPECT_EQ(resident_pages(run, RUN), 0);
    REQUIRE(sample_of(run) != NULL);
    EXPECT(sample_of(run)->purged_ns != 0);
    EXPECT(sample_of(run)->spent_ns > 0);
    EXPECT(take(RUN) == run);
    EXPECT_EQ(learner.open, 0);
    give(run);
    give(fence);
    give(end);
    end_cache();
}

static void told_of_batches(void)
{
    unsigned char *runs[RUNS];
    new_cache(HAK_LEARN_ON, HAK_ARM_BATCH);
    settings.batch_runs = RUNS;
    take_runs(runs);
    for (unsigned i = 0; i < RUNS; i += 2)
        give(runs[i]);
    EXPECT_EQ(learner.open, RUNS / 2);
    for (unsigned i = 0; i < RUNS && cache->batched == RUNS / 2; i += 2)
        EXPECT_EQ(sample_of(runs[i])->purged_ns, 0);
    hak_lock_acquire(&cache->lock);
    hak_large_release_batch(cache);
    hak_lock_release(&cache->lock);
    expect_released(runs);
    for (unsigned i = 0; i < RUNS; i += 2)
        if (EXPECT(sample_of(runs[i]) != NULL))
            EXPECT(sample_of(runs[i])->purged_ns != 0);
    EXPECT(take(RUN) != NULL);
    EXPECT_EQ(learner.open, RUNS / 2 - 1);
    for (unsigned i = 0; i < RUNS; i += 2)
        if (hak_large_size(runs[i]) != 0)
            give(runs[i]);
    end_runs(runs);
}

static void told_gone(void)
{
    new_cache(HAK_LEARN_ON, HAK_ARM_KEEP);
    void *run = take(RUN);
    give(run);
    EXPECT_EQ(learner.open, 1);
    end_cache(); /* and with it the segment */
    EXPECT_EQ(learner.open, 0);
}

/* ---- retention and decay -------------------------------------------------------------------- */

static void burst(size_t bytes)
{
    static void *runs[1024];
    size_t count = bytes / MIB;
    for (size_t i = 0; i < count; i++)
        runs[i] = take(MIB);
    for (size_t i = 0; i < count; i++) {
        give(runs[i]);
        struct hak_large_bytes now = hak_large_bytes(cache);
        size_t retain = hak_learner_retain(&learner, &settings, settings.large_retain_bytes);
        EXPECT_LE(now.dirty, retain + now.used / 2);
    }
}

static void retention_is_learned(void)
{
    new_cache(HAK_LEARN_ON, HAK_ARM_KEEP);
    void *fence = take(RUN);
    uint64_t now = hak_os_coarse_now_ns();
    size_t first = hak_learner_retain(&learner, &settings, settings.large_retain_bytes);
    EXPECT(first < settings.large_retain_bytes);
    settings.pinned[hak_learn_bucket(MIB)] = HAK_ARM_KEEP + 1;
    for (unsigned i = 0; i < 40; i++) { /* purged memory is missed each time */
        burst(settings.large_retain_bytes * 3 / 4);
        hak_large_tick(cache, &settings, now += 50 * ms_ns);
        EXPECT_LE(hak_large_bytes(cache).dirty, settings.large_retain_bytes + RUN);
    }
    EXPECT(hak_learner_retain(&learner, &settings, settings.large_retain_bytes) > first);
    EXPECT_LE(hak_learner_retain(&learner, &settings, settings.large_retain_bytes),
              settings.large_retain_bytes);
    EXPECT_GE(hak_large_bytes(cache).dirty, 2 * first);
    for (unsigned i = 0; i < 100; i++) /* then no request needs anything, for three times of
                                          decay */
        hak_large_tick(cache, &settings, now += settings.decay_ns * 3 / 100);
    EXPECT_EQ(hak_large_bytes(cache).dirty, 0);
    give(fence);
    end_cache();
}

/* Keeping more once does not mean that nothing can be purged. */
static void what_may_stay_may_go_later(void)
{
    new_cache(HAK_LEARN_ON, HAK_ARM_KEEP);
    void *fence = take(RUN);
    size_t first = hak_learner_retain(&learner, &settings, settings.large_retain_bytes);
    hak_learner_saw(&learner, HAK_LEARN_REUSED, HAK_ARM_KEEP, 16 * first / (4 * KIB),
                    0); /* it pays */
    burst((first / MIB + 4) * MIB);
    EXPECT(hak_learner_retain(&learner, &settings, settings.large_retain_bytes) > first);
    EXPECT_GE(hak_large_bytes(cache).dirty, first);
    learner.retain_bytes = first / 2;
    give(take(RUN));
    EXPECT_LE(hak_large_bytes(cache).dirty, first / 2 + RUN);
    give(fence);
    end_cache();
}

static void no_decay_keeps_nothing(void)
{
    for (unsigned arm = 0; arm < HAK_ARM_COUNT; arm++) {
        new_cache(HAK_LEARN_ON, (enum hak_arm)arm);
        void *fence = take(RUN);
        settings.decay_ns = 0;
        void *run = take(8 * MIB);
        memset(run, 1, 8 * MIB);
        give(run);
        EXPECT_EQ(hak_large_bytes(cache).dirty, 0);
        give(fence);
        end_cache();
    }
}

/* Two caches of a heap: the one may not hold what the other holds, until it is not needed any
 * more. */
static void what_is_kept_is_claimed(void)
{
    struct hak_credit credit = {.most = 64 * MIB};
    new_cache(HAK_LEARN_OFF, HAK_ARM_KEEP);
    struct hak_large_cache *first = cache;
    new_cache(HAK_LEARN_OFF, HAK_ARM_KEEP);
    settings.credit = &credit;
    settings.large_retain_bytes = credit.most;
    struct hak_large_cache *second = cache;
    cache = first;
    burst(48 * MIB);
    EXPECT_GE(hak_large_bytes(first).dirty, 40 * MIB);
    EXPECT_LE(credit.claimed, credit.most);
    cache = second;
    burst(48 * MIB);
    EXPECT_LE(hak_large_bytes(first).dirty + hak_large_bytes(second).dirty, credit.most);
    uint64_t now = hak_os_coarse_now_ns();
    for (unsigned i = 0; i < 100; i++)
        hak_large_tick(first, &settings, now += settings.decay_ns * 3 / 100);
    EXPECT_EQ(first->claim.bytes, 0);
    burst(48 * MIB);
    EXPECT_GE(hak_large_bytes(second).dirty, 40 * MIB);
    end_cache();
    cache = first;
    end_cache();
}

/* Others hold all that is allowed at first. Memory that this cache misses is allowed in addition,
 * however little that is beside its bound, and no longer than it is asked for. */
static void a_small_part_grows(void)
{
    struct hak_credit credit = {.most = 256 * MIB, .claimed = HAK_CREDIT_FIRST, .holders = 1};
    new_cache(HAK_LEARN_ON, HAK_ARM_KEEP);
    settings.credit = &credit;
    settings.large_retain_bytes = credit.most;
    settings.pinned[hak_learn_bucket(MIB)] = HAK_ARM_KEEP + 1;
    void *fence = take(RUN);
    burst(2 * MIB);
    EXPECT_LE(hak_large_bytes(cache).dirty, MIB);
    burst(2 * MIB);
    EXPECT_GE(hak_large_bytes(cache).dirty, 2 * MIB);
    EXPECT_LE(credit.claimed, HAK_CREDIT_FIRST + 4 * MIB);
    uint64_t now = hak_os_coarse_now_ns();
    for (unsigned i = 0; i < 100; i++)
        hak_large_tick(cache, &settings, now += settings.decay_ns * 3 / 100);
    EXPECT_EQ(hak_large_bytes(cache).dirty, 0);
    EXPECT_EQ(credit.claimed, HAK_CREDIT_FIRST);
    give(fence);
    end_cache();
}

static void decay_is_obeyed(void)
{
    new_cache(HAK_LEARN_ON, HAK_ARM_KEEP);
    void *fence = take(RUN);
    uint64_t now = hak_os_coarse_now_ns();
    settings.decay_ns = 100 * ms_ns;
    hak_large_tick(cache, &settings, now);
    give(take(2 * MIB));
    for (unsigned i = 0; i < 30; i++)
        hak_large_tick(cache, &settings, now += 20 * ms_ns);
    EXPECT_EQ(hak_large_bytes(cache).dirty, 0);
    give(fence);
    end_cache();
}

/* ---- all of it at once ---------------------------------------------------------------------- */

struct slot {
    unsigned char *object;
    size_t size;
    unsigned char pattern;
};

static int is_intact(const struct slot *slot)
{
    for (size_t i = 0; i < slot->size; i += 512)
        if (slot->object[i] != slot->pattern)
            return 0;
    return slot->object[slot->size - 1] == slot->pattern;
}

static void change(struct slot *slot, struct prng *prng)
{
    if (slot->object != NULL) {
        EXPECT(is_intact(slot));
        give(slot->object);
        slot->object = NULL;
        return;
    }
    enum hak_zero zero = prng_below(prng, 4) == 0 ? HAK_ZERO_YES : HAK_ZERO_NO;
    slot->size = 32 * KIB + 1 + prng_below(prng, (size_t)MIB << prng_below(prng, 2));
    slot->object = hak_large_take(cache, slot->size, 16, zero, &settings);
    slot->pattern = (unsigned char)(1 + prng_below(prng, 255));
    REQUIRE(slot->object != NULL);
    if (zero == HAK_ZERO_YES)
        EXPECT(is_filled(slot->object, 0, slot->size));
    for (size_t i = 0; i < slot->size; i += 512)
        slot->object[i] = slot->pattern;
    slot->object[slot->size - 1] = slot->pattern;
}

static void *churn(void *argument)
{
    struct prng prng = {*(uint64_t *)argument};
    struct slot slots[SLOTS] = {{0}};
    uint64_t now = hak_os_coarse_now_ns();
    for (unsigned i = 0; i < 1500; i++) {
        change(&slots[prng_below(&prng, SLOTS)], &prng);
        if (i % 16 == 0)
            hak_large_tick(cache, &settings, now + i * ms_ns);
        if (i % 500 == 499)
            hak_large_trim(cache);
        if (settings.mode == HAK_LEARN_FROZEN && i % 64 == 0) { /* so that all arms are obeyed */
            hak_lock_acquire(&cache->lock);
            learner.keys[prng_below(&prng, 6)].arm = (uint8_t)prng_below(&prng, HAK_ARM_COUNT);
            hak_lock_release(&cache->lock);
        }
    }
    for (unsigned i = 0; i < SLOTS; i++)
        if (slots[i].object != NULL)
            change(&slots[i], &prng);
    return NULL;
}

static void payloads_stay(void)
{
    static const enum hak_learn_mode modes[] = {HAK_LEARN_ON, HAK_LEARN_FROZEN, HAK_LEARN_SHADOW};
    uint64_t seeds[] = {21, 22, 23};
    for (unsigned i = 0; i < TAP_COUNT(modes); i++) {
        new_cache(modes[i], HAK_ARM_BATCH);
        threads_run(TAP_COUNT(seeds), churn, seeds, sizeof seeds[0]);
        end_cache();
        EXPECT_EQ(learner.open, 0);
    }
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a batch is released when it has enough runs", by_count},
        {"a batch is released when it has many bytes", by_bytes},
        {"of huge pages only whole ones are given back at once", huge_pages_go_whole},
        {"the same by retention and decay; a trim takes all", huge_pages_decay_whole},
        {"a batch is released when its table is full, whatever the settings say", by_the_table},
        {"a batch is released when a tick finds it too old", by_time},
        {"a batch is released when a give finds it too old", by_time_at_a_give},
        {"a batch is released by a trim", by_trim},
        {"a run in a batch is free and cannot be freed again, and is not lost",
         nobodys_but_not_lost},
        {"neighbours in a batch become one run", neighbours_of_a_batch_merge},
        {"the learner is told of runs that are handed out again", told_reused},
        {"the learner is told of purges, by a trim or at once", told_purged},
        {"the learner is told of purges in a batch", told_of_batches},
        {"the learner is told of runs that lose their address", told_gone},
        {"retention follows the learner, and unused memory decays", retention_is_learned},
        {"runs that were kept may go later", what_may_stay_may_go_later},
        {"with a decay of 0 no run is kept, whatever the arm", no_decay_keeps_nothing},
        {"kept runs are claimed of the heap's credit", what_is_kept_is_claimed},
        {"a small part grows where others hold the first bytes", a_small_part_grows},
        {"decay follows the settings, with a learner or without", decay_is_obeyed},
        {"payloads stay intact while threads purge around them", payloads_stay},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
