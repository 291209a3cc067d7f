/* SPDX-License-Identifier: MIT */
/* tiers/whale.c: mappings of their own, their cache, and growing without copying. */
#include "tiers/whale.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "learn/match.h"
#include "os/memory.h"
#include "tests/lib/prng.h"
#include "tests/lib/smaps.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"
#include "tiers/page_map.h"

enum {
    KIB = 1024,
    MIB = 1024 * 1024,
    SLOTS = 24,
};

static const uint64_t second_ns = 1000u * 1000 * 1000;

static struct hak_counters counters;
static const struct hak_region_source source = {.counters = &counters, .node = -1, .home = 0};

static struct hak_whales *new_whales(void)
{
    return calloc(1, sizeof(struct hak_whales));
}

static void end_whales(struct hak_whales *whales)
{
    hak_whale_trim(whales);
    EXPECT_EQ(hak_whale_bytes(whales).used, 0);
    EXPECT_EQ(hak_whale_bytes(whales).cached, 0);
    EXPECT_EQ(hak_counter_read(&counters, HAK_COUNTER_BYTES_MAPPED),
              hak_counter_read(&counters, HAK_COUNTER_BYTES_UNMAPPED));
    free(whales);
}

/* A byte of each page. */
static void fill(char *object, size_t size, char pattern)
{
    for (size_t i = 0; i < size; i += 4096)
        object[i] = pattern;
}

static int holds(const char *object, size_t size, char pattern)
{
    for (size_t i = 0; i < size; i += 4096)
        if (object[i] != pattern)
            return 0;
    return 1;
}

static void take_and_give(void)
{
    struct hak_whales *whales = new_whales();
    const struct hak_settings *settings = &hak_settings_default;
    char *whale = hak_whale_take(whales, &source, 10 * MIB + 1, 16, HAK_ZERO_NO, settings);
    REQUIRE(whale != NULL);
    EXPECT_EQ((uintptr_t)whale % HAK_REGION_SIZE, 0);
    EXPECT_EQ(hak_whale_size(whales, whale), 10 * MIB + hak_os_page_size());
    EXPECT_EQ(hak_whale_bytes(whales).used, 10 * MIB + hak_os_page_size());
    EXPECT_EQ(hak_page_find(whale).offset, HAK_PAGE_WHALE);
    EXPECT_EQ(hak_whale_size(whales, whale + 16), 0);
    EXPECT_EQ(hak_whale_size(whales, whale + 64 * KIB), 0);
    EXPECT_EQ(hak_whale_give(whales, whale + 4096, settings), 0);
    fill(whale, 10 * MIB + 1, 1);
    EXPECT_EQ(hak_whale_give(whales, whale, settings), 1);
    EXPECT_EQ(hak_whale_give(whales, whale, settings), 0);
    EXPECT_EQ(hak_whale_size(whales, whale), 0);
    EXPECT_EQ(hak_whale_size(whales, &counters), 0);
    end_whales(whales);
    EXPECT_EQ(hak_page_find(whale).offset, HAK_PAGE_FOREIGN);
}

static void cache_serves(void)
{
    struct hak_whales *whales = new_whales();
    const struct hak_settings *settings = &hak_settings_default;
    char *whale = hak_whale_take(whales, &source, 16 * MIB, 16, HAK_ZERO_NO, settings);
    fill(whale, 16 * MIB, 1);
    EXPECT_EQ(hak_whale_give(whales, whale, settings), 1);
    EXPECT_EQ(hak_whale_bytes(whales).cached, 16 * MIB);
    char *smaller = hak_whale_take(whales, &source, 33 * MIB, 16, HAK_ZERO_NO, settings);
    EXPECT(smaller != whale);
    char *again = hak_whale_take(whales, &source, 15 * MIB, 16, HAK_ZERO_YES, settings);
    EXPECT(again == whale);
    EXPECT(holds(again, 16 * MIB, 0));
    EXPECT_EQ(hak_whale_size(whales, again), 16 * MIB);
    EXPECT_EQ(hak_whale_give(whales, again, settings), 1);
    EXPECT_EQ(hak_whale_give(whales, smaller, settings), 1);
    end_whales(whales);
}

static size_t mapped(void)
{
    return hak_counter_read(&counters, HAK_COUNTER_BYTES_MAPPED);
}

/* The part that is cut off serves others, and counts as free. */
static void a_longer_one_is_cut(void)
{
    struct hak_whales *whales = new_whales();
    const struct hak_settings *settings = &hak_settings_default;
    char *whale = hak_whale_take(whales, &source, 40 * MIB, 16, HAK_ZERO_NO, settings);
    fill(whale, 40 * MIB, 1);
    EXPECT_EQ(hak_whale_give(whales, whale, settings), 1);
    size_t before = mapped();
    char *head = hak_whale_take(whales, &source, 9 * MIB, 16, HAK_ZERO_YES, settings);
    EXPECT(head == whale);
    EXPECT_EQ(hak_whale_size(whales, head), 10 * MIB);
    EXPECT_EQ(hak_whale_bytes(whales).cached, 30 * MIB);
    EXPECT(holds(head, 10 * MIB, 0));
    EXPECT(holds(head + 10 * MIB, 30 * MIB, 1));
    EXPECT_EQ(hak_page_find(head + 10 * MIB).offset, HAK_PAGE_RESERVED);
    EXPECT_EQ(hak_whale_give(whales, head + 10 * MIB, settings), 0);
    char *rest = hak_whale_take(whales, &source, 30 * MIB, 16, HAK_ZERO_NO, settings);
    EXPECT(rest == head + 10 * MIB);
    EXPECT_EQ(mapped(), before);
    fill(rest, 30 * MIB, 2);
    char *moved = hak_whale_resize(whales, head, 20 * MIB, HAK_MOVE_ALLOWED);
    EXPECT(moved != NULL && holds(moved, 20 * MIB, 0));
    EXPECT(holds(rest, 30 * MIB, 2));
    EXPECT_EQ(hak_whale_give(whales, rest, settings), 1);
    EXPECT_EQ(hak_whale_give(whales, moved, settings), 1);
    end_whales(whales);
}

/* Its pages move: only the pages beyond them are new. */
static void a_shorter_one_is_lengthened(void)
{
    struct hak_whales *whales = new_whales();
    const struct hak_settings *settings = &hak_settings_default;
    char *whale = hak_whale_take(whales, &source, 40 * MIB, 16, HAK_ZERO_NO, settings);
    char *wall = hak_whale_take(whales, &source, 9 * MIB, 16, HAK_ZERO_NO, settings);
    fill(whale, 40 * MIB, 1);
    EXPECT_EQ(hak_whale_give(whales, whale, settings), 1);
    size_t before = mapped();
    char *longer = hak_whale_take(whales, &source, 70 * MIB, 16, HAK_ZERO_NO, settings);
    REQUIRE(longer != NULL);
    EXPECT_EQ(mapped(), before + 30 * MIB);
    EXPECT_EQ((uintptr_t)longer % HAK_REGION_SIZE, 0);
    EXPECT_EQ(hak_whale_size(whales, longer), 70 * MIB);
    EXPECT(holds(longer, 40 * MIB, 1));
    EXPECT(holds(longer + 40 * MIB, 30 * MIB, 0));
    EXPECT_EQ(hak_whale_bytes(whales).cached, 0);
    EXPECT_EQ(hak_whale_give(whales, longer, settings), 1);
    char *cleared = hak_whale_take(whales, &source, 100 * MIB, 16, HAK_ZERO_YES, settings);
    EXPECT(holds(cleared, 100 * MIB, 0));
    EXPECT_EQ(hak_whale_give(whales, cleared, settings), 1);
    EXPECT_EQ(hak_whale_give(whales, wall, settings), 1);
    end_whales(whales);
}

static void cache_is_bounded(void)
{
    struct hak_whales *whales = new_whales();
    const struct hak_settings *settings = &hak_settings_default;
    void *objects[20];
    for (int i = 0; i < 20; i++)
        objects[i] = hak_whale_take(whales, &source, 9 * MIB, 16, HAK_ZERO_NO, settings);
    for (int i = 0; i < 20; i++) {
        EXPECT_EQ(hak_whale_give(whales, objects[i], settings), 1);
        EXPECT_LE(hak_whale_bytes(whales).cached, settings->whale_retain_bytes);
        EXPECT_LE(whales->cached_count, HAK_WHALE_CACHED_MAX);
    }
    EXPECT_GE(hak_whale_bytes(whales).cached, 54 * MIB);
    void *huge = hak_whale_take(whales, &source, settings->whale_retain_bytes + 1, 16, HAK_ZERO_NO,
                                settings);
    size_t cached = hak_whale_bytes(whales).cached;
    EXPECT_EQ(hak_whale_give(whales, huge, settings), 1);
    EXPECT_EQ(hak_whale_bytes(whales).cached, cached);
    end_whales(whales);
}

static void cache_decays(void)
{
    struct hak_whales *whales = new_whales();
    const struct hak_settings *settings = &hak_settings_default;
    hak_whale_tick(whales, settings, 10 * second_ns);
    void *whale = hak_whale_take(whales, &source, 16 * MIB, 16, HAK_ZERO_NO, settings);
    EXPECT_EQ(hak_whale_give(whales, whale, settings), 1);
    hak_whale_tick(whales, settings, 10 * second_ns + second_ns / 2);
    EXPECT_EQ(hak_whale_bytes(whales).cached, 16 * MIB);
    hak_whale_tick(whales, settings, 12 * second_ns);
    EXPECT_EQ(hak_whale_bytes(whales).cached, 0);
    end_whales(whales);
}

static void any_alignment(void)
{
    struct hak_whales *whales = new_whales();
    const struct hak_settings *settings = &hak_settings_default;
    for (size_t alignment = 16; alignment <= (size_t)1 << 32; alignment *= 4) {
        char *whale = hak_whale_take(whales, &source, 100, alignment, HAK_ZERO_YES, settings);
        if (whale == NULL && alignment > (size_t)1 << 30)
            continue; /* more than the machine has */
        REQUIRE(whale != NULL);
        EXPECT_EQ((uintptr_t)whale % alignment, 0);
        EXPECT_EQ(hak_whale_size(whales, whale), 2 * HAK_PAGE_SIZE);
        EXPECT(holds(whale, 100, 0));
        whale[99] = 1;
        EXPECT_EQ(hak_whale_give(whales, whale, settings), 1);
    }
    end_whales(whales);
}

static void no_size_is_too_large_to_ask(void)
{
    struct hak_whales *whales = new_whales();
    const struct hak_settings *settings = &hak_settings_default;
    EXPECT(!hak_whale_take(whales, &source, SIZE_MAX, 16, HAK_ZERO_NO, settings));
    EXPECT(!hak_whale_take(whales, &source, PTRDIFF_MAX, 16, HAK_ZERO_NO, settings));
    EXPECT(
        !hak_whale_take(whales, &source, (size_t)1 << 62, (size_t)1 << 62, HAK_ZERO_NO, settings));
    EXPECT(!hak_whale_take(whales, &source, (size_t)1 << 47, 16, HAK_ZERO_NO, settings));
    size_t size = (size_t)100 << 30;
    char *whale = hak_whale_take(whales, &source, size, 16, HAK_ZERO_YES, settings);
    while (whale == NULL && size > 16 * MIB) {
        size /= 2;
        whale = hak_whale_take(whales, &source, size, 16, HAK_ZERO_YES, settings);
    }
    tap_note("the kernel lends %zu MiB", size / MIB);
    if (EXPECT(whale != NULL)) {
        whale[0] = whale[size - 1] = 1;
        EXPECT_EQ(hak_whale_size(whales, whale), size);
        EXPECT(hak_whale_resize(whales, whale, 2 * size, HAK_MOVE_NEVER) != NULL ||
               hak_whale_size(whales, whale) == size);
        EXPECT_EQ(hak_whale_give(whales, whale, settings), 1);
    }
    end_whales(whales);
}

static void resize_keeps_bytes(void)
{
    struct hak_whales *whales = new_whales();
    const struct hak_settings *settings = &hak_settings_default;
    size_t size = 9 * MIB;
    char *whale = hak_whale_take(whales, &source, size, 16, HAK_ZERO_NO, settings);
    char *wall = hak_whale_take(whales, &source, 9 * MIB, 16, HAK_ZERO_NO, settings);
    fill(whale, size, 7);
    for (int i = 0; i < 6; i++) {
        char *moved = hak_whale_resize(whales, whale, size * 2, HAK_MOVE_ALLOWED);
        REQUIRE(moved != NULL);
        EXPECT_EQ((uintptr_t)moved % HAK_REGION_SIZE, 0);
        if (moved != whale)
            EXPECT_EQ(hak_whale_size(whales, whale), 0);
        whale = moved;
        EXPECT(holds(whale, size, 7));
        EXPECT(holds(whale + size, size, 0));
        size *= 2;
        EXPECT_EQ(hak_whale_size(whales, whale), size);
        if (i < 3)
            fill(whale, size, 7);
        else
            size /= 2;
        EXPECT(hak_whale_resize(whales, whale, size, HAK_MOVE_NEVER) == whale);
    }
    EXPECT(hak_whale_resize(whales, whale + 4096, size, HAK_MOVE_ALLOWED) == NULL);
    EXPECT(hak_whale_resize(whales, whale, SIZE_MAX - 1, HAK_MOVE_ALLOWED) == NULL);
    EXPECT(holds(whale, size, 7));
    EXPECT(hak_whale_resize(whales, whale, 1, HAK_MOVE_NEVER) == whale);
    EXPECT_EQ(hak_whale_size(whales, whale), 2 * HAK_PAGE_SIZE);
    EXPECT_EQ(hak_whale_give(whales, whale, settings), 1);
    EXPECT_EQ(hak_whale_give(whales, wall, settings), 1);
    end_whales(whales);
}

/* Whether something is mapped at a range of addresses; they are free afterwards. */
static int free_range(void *address, size_t size)
{
    int was_mapped = hak_os_map_at(address, size) == NULL;
    hak_os_unmap(address, size);
    return was_mapped;
}

/* A mapping that a program has split by mprotect cannot move; nothing is left at the target. */
static void a_refused_move_changes_nothing(void)
{
    struct hak_whales *whales = new_whales();
    const struct hak_settings *settings = &hak_settings_default;
    size_t size = 9 * MIB;
    char *whale = hak_whale_take(whales, &source, size, 16, HAK_ZERO_NO, settings);
    REQUIRE(whale != NULL);
    fill(whale, size, 7);
    REQUIRE(mprotect(whale + MIB, 4096, PROT_READ) == 0);
    char *target = hak_os_map(2 * size, HAK_REGION_SIZE); /* where it will go */
    REQUIRE(target != NULL);
    hak_os_unmap(target, 2 * size);
    EXPECT(hak_whale_resize(whales, whale, 2 * size, HAK_MOVE_ALLOWED) == NULL);
    EXPECT_EQ(free_range(target, 2 * size), 0);
    EXPECT_EQ(hak_whale_size(whales, whale), size);
    EXPECT(holds(whale, size, 7));
    EXPECT_EQ(hak_whale_give(whales, whale, settings), 1);
    end_whales(whales);
}

static size_t address_space(void)
{
    size_t pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    EXPECT(statm != NULL && fscanf(statm, "%zu", &pages) == 1);
    if (statm != NULL)
        fclose(statm);
    return pages * hak_os_page_size();
}

/* A program's advice on a part of a whale cuts its mapping in two: it can then neither grow nor
 * move, and trying loses no addresses. It still shrinks. */
static void cut_by_advice(void)
{
    struct hak_whales *whales = new_whales();
    const struct hak_settings *settings = &hak_settings_default;
    char *whale = hak_whale_take(whales, &source, 64 * MIB, 16, HAK_ZERO_NO, settings);
    REQUIRE(whale != NULL);
    REQUIRE(madvise(whale + 32 * MIB, 32 * MIB, MADV_DONTFORK) == 0);
    memset(whale, 3, 4096);
    size_t before = address_space();
    for (int i = 0; i < 20; i++)
        EXPECT(hak_whale_resize(whales, whale, (size_t)(128 + i) * MIB, HAK_MOVE_ALLOWED) == NULL);
    EXPECT_LE(address_space(), before + MIB);
    EXPECT_EQ(hak_whale_size(whales, whale), 64 * MIB);
    EXPECT(hak_whale_resize(whales, whale, 16 * MIB, HAK_MOVE_ALLOWED) == whale);
    EXPECT_EQ(whale[0], 3);
    EXPECT_EQ(hak_whale_give(whales, whale, settings), 1);
    end_whales(whales);
}

/* A decay of 0 keeps nothing. */
static void no_decay_keeps_nothing(void)
{
    struct hak_whales *whales = new_whales();
    struct hak_settings settings = hak_settings_default;
    settings.mode = HAK_LEARN_OFF;
    settings.decay_ns = 0;
    void *whale = hak_whale_take(whales, &source, 16 * MIB, 16, HAK_ZERO_NO, &settings);
    REQUIRE(whale != NULL);
    EXPECT_EQ(hak_whale_give(whales, whale, &settings), 1);
    EXPECT_EQ(hak_whale_bytes(whales).cached, 0);
    end_whales(whales);
}

static void the_table_grows(void)
{
    enum { MANY = 1000 };
    struct hak_whales *whales = new_whales();
    const struct hak_settings *settings = &hak_settings_default;
    static char *objects[MANY];
    for (int i = 0; i < MANY; i++) {
        objects[i] =
            hak_whale_take(whales, &source, 9 * MIB + (size_t)i * 4096, 16, HAK_ZERO_NO, settings);
        REQUIRE(objects[i] != NULL);
    }
    for (int i = 0; i < MANY; i++)
        EXPECT_EQ(hak_whale_size(whales, objects[i]), 9 * MIB + (size_t)i * 4096);
    for (int i = 0; i < MANY; i++)
        EXPECT_EQ(hak_whale_give(whales, objects[i], settings), 1);
    EXPECT_EQ(whales->count, MANY);
    end_whales(whales);
}

static void heaps_are_apart(void)
{
    struct hak_whales *one = new_whales();
    struct hak_whales *two = new_whales();
    const struct hak_settings *settings = &hak_settings_default;
    void *first = hak_whale_take(one, &source, 9 * MIB, 16, HAK_ZERO_NO, settings);
    void *second = hak_whale_take(two, &source, 9 * MIB, 16, HAK_ZERO_NO, settings);
    EXPECT_EQ(hak_whale_size(two, first), 0);
    EXPECT_EQ(hak_whale_give(one, second, settings), 0);
    EXPECT_EQ(hak_whale_give(one, first, settings), 1);
    EXPECT_EQ(hak_whale_give(two, second, settings), 1);
    hak_whale_trim(one);
    end_whales(two);
    free(one);
}

/* ---- huge pages ---- */

static void huge_pages_are_asked_for(void)
{
    static const struct {
        enum hak_os_huge huge;
        const char *flag;
    } wishes[] = {{HAK_HUGE_ALWAYS, " hg"}, {HAK_HUGE_NEVER, " nh"}};
    struct hak_whales *whales = new_whales();
    const struct hak_settings *settings = &hak_settings_default;
    char *early = hak_whale_take(whales, &source, 9 * MIB, 16, HAK_ZERO_NO, settings);
    char *probe = hak_os_map(hak_os_page_size(), hak_os_page_size());
    REQUIRE(early != NULL && probe != NULL);
    if (smaps_has_flag(probe, " nh") < 0 || madvise(probe, 4096, MADV_NOHUGEPAGE) != 0) {
        tap_skip("the kernel tells no flags, or knows no huge pages");
        return;
    }
    EXPECT_EQ(smaps_has_flag(early, " hg") + smaps_has_flag(early, " nh"), 0);
    for (unsigned i = 0; i < TAP_COUNT(wishes); i++) {
        hak_region_set_huge(wishes[i].huge);
        char *whale = hak_whale_take(whales, &source, 9 * MIB, 16, HAK_ZERO_NO, settings);
        REQUIRE(whale != NULL);
        EXPECT_EQ(smaps_has_flag(whale, wishes[i].flag), 1);
        EXPECT_EQ(smaps_has_flag(whale + 9 * MIB - 1, wishes[i].flag), 1);
        /* A whale that was mapped before anything was set asks when it grows. */
        early = hak_whale_resize(whales, early, (20 + 10 * i) * MIB, HAK_MOVE_ALLOWED);
        REQUIRE(early != NULL);
        EXPECT_EQ(smaps_has_flag(early, wishes[i].flag), 1);
        EXPECT_EQ(smaps_has_flag(early + (20 + 10 * i) * MIB - 1, wishes[i].flag), 1);
        EXPECT_EQ(hak_whale_give(whales, whale, settings), 1);
        hak_whale_trim(whales);
    }
    hak_region_set_huge(HAK_HUGE_DEFAULT);
    hak_os_unmap(probe, hak_os_page_size());
    EXPECT_EQ(hak_whale_give(whales, early, settings), 1);
    end_whales(whales);
}

/* ---- the learner of whales ---- */

static struct hak_whales *new_learning(struct hak_settings *settings)
{
    struct hak_whales *whales = new_whales();
    *settings = hak_settings_default;
    settings->mode = HAK_LEARN_ON;
    hak_whale_start(whales, settings);
    return whales;
}

static void given_back_at_once(void)
{
    struct hak_settings settings;
    struct hak_whales *whales = new_learning(&settings);
    struct hak_learner *learner = &whales->learner;
    unsigned bucket = hak_learn_bucket(16 * MIB);
    learner->keys[bucket].arm = HAK_ARM_DONTNEED;
    char *whale = hak_whale_take(whales, &source, 16 * MIB, 16, HAK_ZERO_NO, &settings);
    uint64_t unmapped = hak_counter_read(&counters, HAK_COUNTER_BYTES_UNMAPPED);
    EXPECT_EQ(hak_whale_give(whales, whale, &settings), 1);
    EXPECT_EQ(hak_whale_bytes(whales).cached, 0);
    EXPECT_EQ(hak_counter_read(&counters, HAK_COUNTER_BYTES_UNMAPPED), unmapped + 16 * MIB);
    EXPECT_EQ(learner->open, 1);
    EXPECT_EQ(learner->keys[bucket].bytes, 16 * MIB);
    /* It would have served another of its size: that ends the sample. */
    whale = hak_whale_take(whales, &source, 16 * MIB, 16, HAK_ZERO_NO, &settings);
    EXPECT_EQ(learner->open, 0);
    EXPECT(learner->keys[bucket].paid > 0);
    learner->keys[bucket].arm = HAK_ARM_KEEP;
    EXPECT_EQ(hak_whale_give(whales, whale, &settings), 1);
    EXPECT_EQ(hak_whale_bytes(whales).cached, 16 * MIB);
    EXPECT_EQ(learner->open, 1);
    EXPECT(hak_whale_take(whales, &source, 16 * MIB, 16, HAK_ZERO_NO, &settings) == whale);
    EXPECT_EQ(learner->open, 0);
    EXPECT_EQ(hak_whale_give(whales, whale, &settings), 1);
    end_whales(whales);
}

static void pins_are_obeyed(void)
{
    struct hak_settings settings;
    struct hak_whales *whales = new_learning(&settings);
    settings.mode = HAK_LEARN_OFF;
    settings.pinned[hak_learn_bucket(16 * MIB)] = HAK_ARM_DONTNEED + 1;
    char *pinned = hak_whale_take(whales, &source, 16 * MIB, 16, HAK_ZERO_NO, &settings);
    char *other = hak_whale_take(whales, &source, 17 * MIB, 16, HAK_ZERO_NO, &settings);
    EXPECT_EQ(hak_whale_give(whales, pinned, &settings), 1);
    EXPECT_EQ(hak_whale_bytes(whales).cached, 0);
    EXPECT_EQ(hak_whale_give(whales, other, &settings), 1);
    EXPECT_EQ(hak_whale_bytes(whales).cached, 17 * MIB);
    EXPECT_EQ(whales->learner.open, 0); /* no learner watches */
    end_whales(whales);
}

/* Two whales that come and go alternately, of which only one can be kept at first. */
static void misses_make_room(void)
{
    struct hak_settings settings;
    struct hak_whales *whales = new_learning(&settings);
    uint64_t now = 1000000 * second_ns; /* later than any true clock says */
    size_t size = 9 * MIB;
    size_t first = hak_learner_retain(&whales->learner, &settings, settings.whale_retain_bytes);
    while (size * 2 <= first)
        size += MIB;
    settings.pinned[hak_learn_bucket(size)] = HAK_ARM_KEEP + 1;
    unsigned count = 2;
    void *objects[2];
    for (unsigned turn = 0; turn < 200; turn++, now += second_ns / 20) {
        for (unsigned i = 0; i < count; i++)
            objects[i] = hak_whale_take(whales, &source, size, 16, HAK_ZERO_NO, &settings);
        for (unsigned i = 0; i < count; i++)
            EXPECT_EQ(hak_whale_give(whales, objects[i], &settings), 1);
        hak_whale_tick(whales, &settings, now);
        size_t retain =
            hak_learner_retain(&whales->learner, &settings, settings.whale_retain_bytes);
        EXPECT_LE(hak_whale_bytes(whales).cached, settings.whale_retain_bytes);
        EXPECT(retain > 0 && retain <= settings.whale_retain_bytes);
    }
    EXPECT_GE(hak_learner_retain(&whales->learner, &settings, settings.whale_retain_bytes),
              2 * size);
    EXPECT_EQ(hak_whale_bytes(whales).cached, 2 * size);
    for (unsigned turn = 0; turn < 60; turn++, now += second_ns / 20)
        hak_whale_tick(whales, &settings, now);
    EXPECT_EQ(hak_whale_bytes(whales).cached, 0);
    end_whales(whales);
}

static struct hak_whales *shared;

static void *churn(void *argument)
{
    struct prng prng = {*(uint64_t *)argument};
    const struct hak_settings *settings = &hak_settings_default;
    char *objects[SLOTS] = {0};
    size_t sizes[SLOTS] = {0};
    for (unsigned i = 0; i < 2000; i++) {
        unsigned slot = (unsigned)prng_below(&prng, SLOTS);
        size_t size = 8 * MIB + prng_below(&prng, 4 * MIB);
        char pattern = (char)(1 + slot);
        if (objects[slot] == NULL) {
            objects[slot] = hak_whale_take(shared, &source, size, 16, HAK_ZERO_NO, settings);
        } else if (prng_below(&prng, 3) == 0) {
            size += prng_below(&prng, 4 * MIB);
            EXPECT_EQ(objects[slot][0], pattern);
            EXPECT_EQ(objects[slot][sizes[slot] - 1], pattern);
            char *moved = hak_whale_resize(shared, objects[slot], size, HAK_MOVE_ALLOWED);
            if (!EXPECT(moved != NULL))
                break;
            objects[slot] = moved;
            EXPECT_EQ(moved[0], pattern);
        } else {
            EXPECT_EQ(objects[slot][0], pattern);
            EXPECT_EQ(hak_whale_give(shared, objects[slot], settings), 1);
            objects[slot] = NULL;
            continue;
        }
        if (!EXPECT(objects[slot] != NULL))
            break;
        sizes[slot] = size;
        objects[slot][0] = pattern;
        objects[slot][size - 1] = pattern;
        hak_whale_tick(shared, settings, i * second_ns / 50);
    }
    for (int slot = 0; slot < SLOTS; slot++)
        if (objects[slot] != NULL)
            EXPECT_EQ(hak_whale_give(shared, objects[slot], settings), 1);
    return NULL;
}

static void threads_share(void)
{
    uint64_t seeds[] = {11, 12, 13, 14};
    shared = new_whales();
    threads_run(4, churn, seeds, sizeof seeds[0]);
    end_whales(shared);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a whale is taken, known and given once", take_and_give},
        {"a freed whale serves a request it fits, cleared if asked", cache_serves},
        {"a longer one is cut, and the rest serves others", a_longer_one_is_cut},
        {"a shorter one is lengthened", a_shorter_one_is_lengthened},
        {"the cache stays within its bound", cache_is_bounded},
        {"the cache decays", cache_decays},
        {"any alignment is honoured", any_alignment},
        {"sizes without limit are refused or cost nothing", no_size_is_too_large_to_ask},
        {"growing and shrinking keep the bytes", resize_keeps_bytes},
        {"a refused move changes nothing", a_refused_move_changes_nothing},
        {"a whale cut by advice loses no addresses when it grows", cut_by_advice},
        {"with a decay of 0 no whale is kept", no_decay_keeps_nothing},
        {"the table of descriptors grows", the_table_grows},
        {"two heaps know their own whales only", heaps_are_apart},
        {"a whale that is too dear to keep goes at once", given_back_at_once},
        {"huge pages are asked for as the option says, also when a whale grows",
         huge_pages_are_asked_for},
        {"pins are obeyed", pins_are_obeyed},
        {"the cache grows if that saves new mappings", misses_make_room},
        {"threads share the whales", threads_share},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
