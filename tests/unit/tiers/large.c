/* SPDX-License-Identifier: MIT */
/* tiers/large.c and tiers/large_segment.c: runs against a model of what they should hold, under
 * all settings, and the header's books against a walk over all its descriptors. */
#include "tiers/large.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "os/memory.h"
#include "tests/lib/prng.h"
#include "tests/lib/resident.h"
#include "tests/lib/smaps.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"
#include "tiers/large_purge.h"
#include "tiers/page_map.h"

enum {
    KIB = 1024,
    MIB = 1024 * 1024,
    SLOTS = 64,
};

static const uint64_t second_ns = 1000u * 1000 * 1000;

static struct hak_counters counters;
static const struct hak_region_source source = {.counters = &counters, .node = -1, .home = 0};
static struct hak_learner learner;

/* A test's description of one allocation. */
struct slot {
    unsigned char *object;
    size_t size;
    unsigned char pattern;
};

static struct hak_large_cache *new_cache(void)
{
    struct hak_large_cache *cache = calloc(1, sizeof *cache);
    hak_learner_start(&learner, &hak_settings_default, 1);
    hak_large_init(cache, &source, &learner);
    return cache;
}

/* Gives every object back: nothing may be left in the kernel's accounts or ours. */
static void end_cache(struct hak_large_cache *cache)
{
    EXPECT_EQ(hak_large_bytes(cache).used, 0);
    hak_large_trim(cache);
    EXPECT_EQ(hak_large_bytes(cache).dirty, 0);
    EXPECT_EQ(hak_large_bytes(cache).mapped, 0);
    EXPECT(cache->oldest == NULL && cache->newest == NULL && cache->segments == NULL);
    free(cache);
}

/* ---- the walk ---- */

struct sums {
    size_t used, dirty, listed, aged, segments;
};

static void walk_segment(struct hak_large_segment *segment, struct sums *sums)
{
    uint32_t index = 0;
    int was_free = 0;
    while (index < segment->units) {
        const struct hak_unit *run = &segment->unit[index];
        int is_free = run->kind == HAK_UNIT_FREE || run->kind == HAK_UNIT_SLIVER;
        REQUIRE(run->number > 0 && index + run->number <= segment->units);
        REQUIRE(is_free || run->kind == HAK_UNIT_USED || run->kind == HAK_UNIT_BUSY);
        EXPECT(!(is_free && was_free));
        if (run->kind == HAK_UNIT_FREE) {
            EXPECT_GE(run->number, HAK_LARGE_RUN_MIN);
            EXPECT_EQ(run[1].number, hak_large_segment_count_dirty(segment, index, run->number));
            sums->dirty += run[1].number;
            sums->listed++;
            sums->aged += run[1].number != 0;
        }
        sums->used += is_free ? 0 : run->number;
        for (uint32_t i = 1; i + 1 < run->number; i++)
            EXPECT_EQ(run[i].kind, HAK_UNIT_INNER);
        if (is_free && index + run->number < segment->units)
            EXPECT_EQ(run[run->number - 1].number, run->number);
        was_free = is_free;
        index += run->number;
    }
    EXPECT_EQ(index, segment->units);
    sums->segments += segment->size;
}

/* No thread may be in the cache. */
static void walk(struct hak_large_cache *cache)
{
    struct sums sums = {0};
    for (struct hak_large_segment *segment = cache->segments; segment; segment = segment->next) {
        EXPECT(segment->cache == cache);
        walk_segment(segment, &sums);
    }
    EXPECT_EQ(sums.used, cache->used_units);
    EXPECT_EQ(sums.dirty, cache->dirty_units);
    EXPECT_EQ(sums.segments, cache->mapped_bytes);
    for (int set = 0; set < HAK_LARGE_SETS; set++) {
        for (int bin = 0; bin < HAK_LARGE_BINS; bin++) {
            const struct hak_unit *run = cache->bins[set][bin];
            EXPECT_EQ(run != NULL, cache->occupied[set][bin / 64] >> bin % 64 & 1);
            for (; run != NULL; run = run[0].link, sums.listed--)
                EXPECT_EQ(set == HAK_LARGE_DIRTY, run[1].number != 0);
        }
    }
    EXPECT_EQ(sums.listed, 0);
    for (const struct hak_unit *run = cache->oldest; run != NULL; run = run[3].link)
        sums.aged--;
    EXPECT_EQ(sums.aged, 0);
}

/* ---- the model ---- */

/* One byte in each 256, and the last: cheap, and every page is seen. */
static void fill(struct slot *slot, size_t from)
{
    for (size_t i = hak_align_up(from, 256); i < slot->size; i += 256)
        slot->object[i] = slot->pattern;
    slot->object[slot->size - 1] = slot->pattern;
}

static int holds(const struct slot *slot, size_t size)
{
    for (size_t i = 0; i < size; i += 256)
        if (slot->object[i] != slot->pattern)
            return 0;
    return 1;
}

static int is_zero(const unsigned char *bytes, size_t size)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

static void take(struct hak_large_cache *cache, const struct hak_settings *settings,
                 struct prng *prng, struct slot *slot)
{
    static const size_t limits[] = {48 * KIB, 256 * KIB, 2 * MIB, HAK_LARGE_MAX};
    size_t limit = limits[prng_below(prng, 64) == 0 ? 3 : prng_below(prng, 3)];
    size_t alignment = (size_t)16 << (prng_below(prng, 4) == 0 ? prng_below(prng, 18) : 0);
    enum hak_zero zero = prng_below(prng, 3) == 0 ? HAK_ZERO_YES : HAK_ZERO_NO;
    slot->size = 1 + prng_below(prng, limit);
    if (prng_below(prng, 8) != 0 && slot->size < 33 * KIB)
        slot->size += 32 * KIB;
    slot->size = slot->size > HAK_LARGE_MAX ? HAK_LARGE_MAX : slot->size;
    slot->object = hak_large_take(cache, slot->size, alignment, zero, settings);
    REQUIRE(slot->object != NULL);
    EXPECT_EQ((uintptr_t)slot->object % alignment, 0);
    EXPECT_EQ((uintptr_t)slot->object % HAK_LARGE_UNIT, 0);
    size_t usable = hak_large_size(slot->object);
    EXPECT_GE(usable, slot->size);
    EXPECT_LE(usable, hak_large_round(slot->size) + hak_large_round(slot->size) / 16);
    if (zero == HAK_ZERO_YES)
        EXPECT(is_zero(slot->object, usable));
    slot->pattern = (unsigned char)(1 + prng_below(prng, 255));
    fill(slot, 0);
    memset(slot->object + usable - 16, slot->pattern, 16);
}

static void give(const struct hak_settings *settings, struct slot *slot)
{
    EXPECT(holds(slot, slot->size));
    EXPECT_EQ(hak_large_give(slot->object, settings), 1);
    slot->object = NULL;
}

static void resize(const struct hak_settings *settings, struct prng *prng, struct slot *slot)
{
    size_t size = prng_below(prng, 2) == 0 ? 1 + prng_below(prng, slot->size)
                                           : slot->size + prng_below(prng, 512 * KIB);
    int done = hak_large_resize(slot->object, size, settings);
    if (!done) {
        EXPECT(size > hak_large_size(slot->object));
        EXPECT(holds(slot, slot->size));
        return;
    }
    EXPECT_GE(hak_large_size(slot->object), size);
    size_t kept = size < slot->size ? size : slot->size;
    EXPECT(holds(slot, kept));
    slot->size = size;
    fill(slot, kept);
}

static void step(struct hak_large_cache *cache, const struct hak_settings *settings,
                 struct prng *prng, struct slot *slot)
{
    if (slot->object == NULL)
        take(cache, settings, prng, slot);
    else if (prng_below(prng, 3) == 0)
        resize(settings, prng, slot);
    else
        give(settings, slot);
}

static void play(const struct hak_settings *settings, uint64_t seed, unsigned steps)
{
    struct hak_large_cache *cache = new_cache();
    struct prng prng = {seed};
    struct slot slots[SLOTS] = {0};
    uint64_t now_ns = 5 * second_ns;
    for (unsigned i = 0; i < steps; i++) {
        step(cache, settings, &prng, &slots[prng_below(&prng, SLOTS)]);
        now_ns += prng_below(&prng, settings->decay_ns / 16 + 1);
        if (i % 8 == 0)
            hak_large_tick(cache, settings, now_ns);
        if (i % 256 == 0)
            hak_large_trim(cache);
        if (i % 16 == 0)
            walk(cache);
    }
    for (int i = 0; i < SLOTS; i++)
        if (slots[i].object != NULL)
            give(settings, &slots[i]);
    walk(cache);
    end_cache(cache);
}

static void random_keep(void)
{
    play(&hak_settings_default, 1, 3000);
    struct hak_settings settings = hak_settings_default;
    settings.large_retain_bytes = 4 * MIB;
    play(&settings, 2, 1500);
}

static void random_arms(void)
{
    for (int arm = HAK_ARM_DONTNEED; arm < HAK_ARM_NAMES; arm++) {
        struct hak_settings settings = hak_settings_default;
        settings.large_arm = (enum hak_arm)arm;
        play(&settings, 10 + (uint64_t)arm, 1000);
    }
}

/* ---- single traits ---- */

static void neighbours_merge(void)
{
    const struct hak_settings *settings = &hak_settings_default;
    struct hak_large_cache *cache = new_cache();
    char *runs[8];
    for (int i = 0; i < 8; i++)
        runs[i] = hak_large_take(cache, 64 * KIB, 16, HAK_ZERO_NO, settings);
    EXPECT(runs[1] == runs[0] + 64 * KIB && runs[7] == runs[0] + 7 * 64 * KIB);
    for (int i = 0; i < 8; i += 2)
        EXPECT_EQ(hak_large_give(runs[i], settings), 1);
    walk(cache);
    for (int i = 1; i < 8; i += 2)
        EXPECT_EQ(hak_large_give(runs[i], settings), 1);
    walk(cache);
    EXPECT_EQ(hak_large_bytes(cache).dirty, 512 * KIB);
    EXPECT(hak_large_take(cache, 512 * KIB, 16, HAK_ZERO_NO, settings) == runs[0]);
    EXPECT_EQ(hak_large_bytes(cache).dirty, 0);
    EXPECT_EQ(hak_large_give(runs[0], settings), 1);
    end_cache(cache);
}

static void dirty_before_clean(void)
{
    const struct hak_settings *settings = &hak_settings_default;
    struct hak_large_cache *cache = new_cache();
    char *first = hak_large_take(cache, 1 * MIB, 16, HAK_ZERO_NO, settings);
    char *fence = hak_large_take(cache, 64 * KIB, 16, HAK_ZERO_NO, settings);
    EXPECT_EQ(hak_large_give(first, settings), 1);
    EXPECT_EQ(hak_large_counts(cache).cached_hits, 0);
    EXPECT(hak_large_take(cache, 100 * KIB, 16, HAK_ZERO_NO, settings) == first);
    EXPECT_EQ(hak_large_counts(cache).cached_hits, 1);
    EXPECT_EQ(hak_large_counts(cache).takes, 3);
    EXPECT_EQ(hak_large_give(first, settings), 1);
    EXPECT_EQ(hak_large_give(fence, settings), 1);
    EXPECT_EQ(hak_large_counts(cache).gives, 3);
    end_cache(cache);
}

static void bad_frees_are_refused(void)
{
    const struct hak_settings *settings = &hak_settings_default;
    struct hak_large_cache *cache = new_cache();
    char *object = hak_large_take(cache, 300 * KIB, 16, HAK_ZERO_NO, settings);
    char *other = hak_large_take(cache, 300 * KIB, 16, HAK_ZERO_NO, settings);
    for (size_t offset = 16; offset < 300 * KIB; offset += 16) {
        if (hak_large_size(object + offset) != 0 || hak_large_give(object + offset, settings) != 0)
            EXPECT_EQ(offset, 0);
    }
    EXPECT_EQ(hak_large_size(cache->segments), 0);
    EXPECT_EQ(hak_large_size(&counters), 0);
    EXPECT_EQ(hak_large_give(&counters, settings), 0);
    EXPECT_EQ(hak_large_give(object, settings), 1);
    EXPECT_EQ(hak_large_size(object), 0);
    EXPECT_EQ(hak_large_give(object, settings), 0);
    EXPECT_EQ(hak_large_resize(object, 1, settings), 0);
    walk(cache);
    EXPECT_EQ(hak_large_give(other, settings), 1);
    EXPECT_EQ(hak_large_give(other, settings), 0);
    end_cache(cache);
    EXPECT_EQ(hak_large_size(other), 0);
}

static void decay_purges(void)
{
    const struct hak_settings *settings = &hak_settings_default;
    struct hak_large_cache *cache = new_cache();
    hak_large_tick(cache, settings, 10 * second_ns);
    char *fence = hak_large_take(cache, 64 * KIB, 16, HAK_ZERO_NO, settings);
    unsigned char *object = hak_large_take(cache, 2 * MIB, 16, HAK_ZERO_NO, settings);
    memset(object, 1, 2 * MIB);
    EXPECT_EQ(hak_large_give(object, settings), 1);
    hak_large_tick(cache, settings, 10 * second_ns + second_ns / 2);
    EXPECT_EQ(hak_large_bytes(cache).dirty, 2 * MIB);
    EXPECT_EQ(resident_pages(object, 2 * MIB), 2 * MIB / hak_os_page_size());
    /* Two whole times of decay, whenever they begin. */
    for (int i = 1; i <= 30; i++)
        hak_large_tick(cache, settings, 10 * second_ns + (uint64_t)i * second_ns / 10);
    EXPECT_EQ(hak_large_bytes(cache).dirty, 0);
    EXPECT_EQ(resident_pages(object, 2 * MIB), 0);
    walk(cache);
    unsigned char *zeroes = hak_large_take(cache, 2 * MIB, 16, HAK_ZERO_YES, settings);
    EXPECT(zeroes == object);
    EXPECT_EQ(resident_pages(zeroes, 2 * MIB), 0);
    EXPECT(is_zero(zeroes, 2 * MIB));
    EXPECT_EQ(hak_large_give(zeroes, settings), 1);
    EXPECT_EQ(hak_large_give(fence, settings), 1);
    end_cache(cache);
}

static void steady_use_is_not_purged(void)
{
    const struct hak_settings *settings = &hak_settings_default;
    struct hak_large_cache *cache = new_cache();
    uint64_t before = hak_counter_read(&counters, HAK_COUNTER_BYTES_PURGED);
    char *fence = hak_large_take(cache, 64 * KIB, 16, HAK_ZERO_NO, settings);
    for (uint64_t i = 0; i < 100; i++) {
        char *object = hak_large_take(cache, 3 * MIB, 16, HAK_ZERO_NO, settings);
        EXPECT_EQ(hak_large_give(object, settings), 1);
        hak_large_tick(cache, settings, (10 + i / 4) * second_ns);
    }
    EXPECT_EQ(hak_counter_read(&counters, HAK_COUNTER_BYTES_PURGED), before);
    EXPECT_EQ(hak_large_give(fence, settings), 1);
    end_cache(cache);
}

static void retention_is_bounded(void)
{
    struct hak_settings settings = hak_settings_default;
    settings.large_retain_bytes = 8 * MIB;
    struct hak_large_cache *cache = new_cache();
    void *objects[64];
    for (int i = 0; i < 64; i++)
        objects[i] = hak_large_take(cache, 1 * MIB, 16, HAK_ZERO_NO, &settings);
    for (int i = 0; i < 64; i++) {
        EXPECT_EQ(hak_large_give(objects[i], &settings), 1);
        struct hak_large_bytes bytes = hak_large_bytes(cache);
        EXPECT_LE(bytes.dirty, 8 * MIB + bytes.used / 2);
    }
    end_cache(cache);
}

static void small_at_first(void)
{
    struct hak_large_cache *cache = new_cache();
    void *object = hak_large_take(cache, 40 * KIB, 16, HAK_ZERO_NO, &hak_settings_default);
    EXPECT_LE(hak_large_bytes(cache).mapped, 4 * MIB);
    EXPECT_LE(resident_pages(cache->segments, 1 * MIB), 4);
    EXPECT_EQ(hak_large_size(object), 40 * KIB);
    EXPECT_EQ(hak_large_give(object, &hak_settings_default), 1);
    end_cache(cache);
}

/* ---- threads ---- */

static struct hak_large_cache *shared;
static struct slot exchange[SLOTS]; /* objects taken by one thread and given by another */

static void *churn(void *argument)
{
    struct prng prng = {*(uint64_t *)argument};
    struct slot mine = {0};
    for (unsigned i = 0; i < 1500; i++) {
        take(shared, &hak_settings_default, &prng, &mine);
        struct slot *place = &exchange[prng_below(&prng, SLOTS)];
        /* acq_rel: the fields beside the pointer go with it, since a slot is the object's start */
        memcpy(mine.object, &mine.size, sizeof mine.size);
        unsigned char *other = __atomic_exchange_n(&place->object, mine.object, __ATOMIC_ACQ_REL);
        if (other == NULL)
            continue;
        size_t size;
        memcpy(&size, other, sizeof size);
        EXPECT_GE(hak_large_size(other), size);
        EXPECT_EQ(hak_large_give(other, &hak_settings_default), 1);
        if (i % 64 == 0)
            hak_large_tick(shared, &hak_settings_default, i * second_ns / 100);
        if (i % 500 == 0)
            hak_large_trim(shared);
    }
    return NULL;
}

static void threads_share(void)
{
    uint64_t seeds[] = {101, 102, 103, 104};
    shared = new_cache();
    threads_run(4, churn, seeds, sizeof seeds[0]);
    walk(shared);
    for (int i = 0; i < SLOTS; i++)
        if (exchange[i].object != NULL)
            EXPECT_EQ(hak_large_give(exchange[i].object, &hak_settings_default), 1);
    walk(shared);
    end_cache(shared);
}

/* The first segment is the system's, the second is of huge pages, since both are to be tried. */
static void huge_pages_are_tried(void)
{
    struct hak_large_cache *cache = new_cache();
    struct hak_settings settings = hak_settings_default;
    settings.mode = HAK_LEARN_ON;
    settings.learns_huge = 1;
    uint64_t wishes = hak_counter_read(&counters, HAK_COUNTER_HUGE_WISHES);
    char *first = hak_large_take(cache, 3 * MIB, 16, HAK_ZERO_NO, &settings);
    REQUIRE(first != NULL);
    EXPECT_EQ(hak_large_segment_find(first)->asks_huge, 0);
    EXPECT(learner.huge.ucb1.plays[HAK_HUGE_ARM_SYSTEM] > 0);
    EXPECT(hak_cost_fault_ns(&learner.cost) > 0);
    char *runs[SLOTS];
    for (unsigned i = 0; i < SLOTS; i++) {
        runs[i] = hak_large_take(cache, 3 * MIB, 16, HAK_ZERO_YES, &settings);
        REQUIRE(runs[i] != NULL);
        EXPECT_EQ(runs[i][0] | runs[i][3 * MIB - 1], 0);
    }
    const struct hak_large_segment *huge = hak_large_segment_find(runs[1]);
    EXPECT_EQ(huge->asks_huge, 1);
    EXPECT_EQ(hak_large_purge_step(huge), HAK_REGION_SIZE);
    EXPECT_EQ(hak_large_purge_step(hak_large_segment_find(first)), hak_os_page_size());
    EXPECT(hak_counter_read(&counters, HAK_COUNTER_HUGE_WISHES) > wishes);
    EXPECT(learner.huge.ucb1.plays[HAK_HUGE_ARM_ASK] > 0);
    if (access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0)
        EXPECT(smaps_has_flag(huge->base, " hg") != 0);
    for (unsigned i = 0; i < SLOTS; i++)
        EXPECT_EQ(hak_large_give(runs[i], &settings), 1);
    EXPECT_EQ(hak_large_give(first, &settings), 1);
    end_cache(cache);
}

int main(int argc, char **argv)
{
    /* The test asks which pages are resident: in units of 4 KiB, whatever the system does by
     * itself. */
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    static const struct tap_case cases[] = {
        {"neighbours merge into one run", neighbours_merge},
        {"dirty memory is used before clean", dirty_before_clean},
        {"bad frees are refused and change nothing", bad_frees_are_refused},
        {"memory that was unused for the time of decay is purged", decay_purges},
        {"memory in steady use is not purged", steady_use_is_not_purged},
        {"no more is retained than the settings allow", retention_is_bounded},
        {"the first segment is small", small_at_first},
        {"random takes, gives and resizes agree with the model", random_keep},
        {"the same under every other arm", random_arms},
        {"threads share a cache", threads_share},
        {"huge pages are tried where the learner wants to learn about them", huge_pages_are_tried},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
