/* SPDX-License-Identifier: MIT */
/* tiers/region.c: aligned, zero, covered, counted; and gone after unmapping. This test also covers
 * explicit huge pages, which large segments and whales share. */
#define _GNU_SOURCE
#include "tiers/region.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/smaps.h"
#include "tests/lib/tap.h"
#include "tests/unit/tiers/child.h"
#include "tiers/large_purge.h"
#include "tiers/page_map.h"
#include "tiers/whale.h"

enum {
    KIB = 1024,
    MIB = 1024 * 1024,
    HUGE_KIB = 2048,
    PAGES_WANTED = 16, /* huge ones, free */
};

static const char *const pages_file = "/proc/sys/vm/nr_hugepages";
static const uint64_t second_ns = 1000u * 1000 * 1000;

static struct hak_counters counters;
static const struct hak_region_source source = {.counters = &counters, .node = -1, .home = 1};

static uint64_t count_of(enum hak_counter counter)
{
    return hak_counter_read(&counters, counter);
}

static void mapped_and_unmapped(void)
{
    enum { SIZE = 3 * HAK_REGION_SIZE };
    char *region = hak_region_map(&source, SIZE);
    REQUIRE(region != NULL);
    EXPECT_EQ((uintptr_t)region % HAK_REGION_SIZE, 0);
    for (size_t byte = 0; byte < SIZE; byte += 4096)
        EXPECT_EQ(region[byte], 0);
    memset(region, 1, SIZE);
    hak_page_map_set_slab(region + SIZE - HAK_PAGE_SIZE, 1, 5, 1); /* covered to its end */
    EXPECT_EQ(hak_page_find(region + SIZE - 1).class_id, 5);
    hak_page_map_set_kind(region, SIZE / HAK_PAGE_SIZE, HAK_PAGE_FOREIGN, 0);
    EXPECT_EQ(count_of(HAK_COUNTER_REGIONS_MAPPED), 3);
    EXPECT_EQ(count_of(HAK_COUNTER_BYTES_MAPPED), SIZE);
    EXPECT_EQ(count_of(HAK_COUNTER_BYTES_UNMAPPED), 0);

    hak_region_unmap(&source, region, SIZE);
    EXPECT_EQ(count_of(HAK_COUNTER_REGIONS_UNMAPPED), 3);
    EXPECT_EQ(count_of(HAK_COUNTER_BYTES_UNMAPPED), SIZE);
    for (size_t byte = 0; byte < SIZE; byte += HAK_REGION_SIZE) {
        unsigned char resident;
        EXPECT(mincore(region + byte, 4096, &resident) == -1 && errno == ENOMEM);
    }
}

static int refused_child(void)
{
    if (!child_limit(RLIMIT_AS, (size_t)1 << 30))
        return CHILD_CANNOT;
    uint64_t before = count_of(HAK_COUNTER_BYTES_MAPPED);
    int good = EXPECT(hak_region_map(&source, (size_t)2 << 30) == NULL);
    good &= EXPECT_EQ(count_of(HAK_COUNTER_BYTES_MAPPED), before);
    good &= EXPECT(hak_region_map(&source, HAK_REGION_SIZE) != NULL);
    return good ? CHILD_HELD : CHILD_FAILED;
}

static void refused(void)
{
    child_run(refused_child, "an address-space limit");
}

static void huge_pages_are_asked_for(void)
{
    char *plain = hak_region_map(&source, HAK_REGION_SIZE);
    REQUIRE(plain != NULL);
    if (smaps_has_flag(plain, " nh") < 0 || madvise(plain, 4096, MADV_NOHUGEPAGE) != 0) {
        tap_skip("the kernel tells no flags, or knows no huge pages");
        return;
    }
    hak_region_set_huge(HAK_HUGE_NEVER);
    char *never = hak_region_map(&source, HAK_REGION_SIZE);
    hak_region_set_huge(HAK_HUGE_ALWAYS);
    char *always = hak_region_map(&source, HAK_REGION_SIZE);
    hak_region_set_huge(HAK_HUGE_DEFAULT);
    char *after = hak_region_map(&source, HAK_REGION_SIZE);
    REQUIRE(never != NULL && always != NULL && after != NULL);
    EXPECT_EQ(smaps_has_flag(never, " nh"), 1);
    EXPECT_EQ(smaps_has_flag(always, " hg"), 1);
    EXPECT_EQ(smaps_has_flag(after, " hg"), 0);
}

/* ---- explicit huge pages ---- */

static struct hak_settings settings;

static long read_number(const char *path, const char *name)
{
    FILE *file = fopen(path, "r");
    char line[256];
    long number = -1;
    while (file != NULL && number < 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            number = strtol(line + strlen(name), NULL, 10);
    if (file != NULL)
        fclose(file);
    return number;
}

static void set_pages(long pages)
{
    FILE *file = fopen(pages_file, "w");
    if (file == NULL)
        return;
    fprintf(file, "%ld\n", pages);
    fclose(file);
}

static long free_pages(void)
{
    return read_number("/proc/meminfo", "HugePages_Free:") -
           read_number("/proc/meminfo", "HugePages_Rsvd:");
}

/* Whether as many are free again as were before: other tests may take some for a moment. */
static bool are_back(long before)
{
    const struct timespec pause = {0, 10 * 1000 * 1000};
    for (unsigned tries = 0; tries < 1000 && free_pages() < before; tries++)
        nanosleep(&pause, NULL);
    return free_pages() >= before;
}

static void start_huge(enum hak_arm arm)
{
    settings = hak_settings_default;
    settings.large_arm = arm;
    hak_region_set_hugetlb(true);
}

static int holds(const char *object, size_t size, char pattern)
{
    for (size_t i = 0; i < size; i += 4096)
        if (object[i] != pattern)
            return 0;
    return object[size - 1] == pattern;
}

static void huge_whales(void)
{
    static struct hak_whales whales;
    start_huge(HAK_ARM_KEEP);
    hak_whale_start(&whales, &settings);
    long before = free_pages();
    uint64_t maps = count_of(HAK_COUNTER_HUGETLB_MAPS);
    char *whale = hak_whale_take(&whales, &source, 11 * MIB, 16, HAK_ZERO_NO, &settings);
    REQUIRE(whale != NULL);
    EXPECT_EQ(count_of(HAK_COUNTER_HUGETLB_MAPS) - maps, 1);
    EXPECT_EQ(smaps_kib(whale, "KernelPageSize:"), HUGE_KIB);
    EXPECT_EQ(hak_whale_size(&whales, whale), 12 * MIB);
    EXPECT(holds(whale, 12 * MIB, 0));
    memset(whale, 7, 12 * MIB);
    EXPECT(hak_whale_resize(&whales, whale, 14 * MIB, HAK_MOVE_ALLOWED) == NULL);
    EXPECT_EQ(hak_whale_size(&whales, whale), 12 * MIB);
    EXPECT(hak_whale_resize(&whales, whale, 9 * MIB, HAK_MOVE_ALLOWED) == whale);
    EXPECT_EQ(hak_whale_size(&whales, whale), 10 * MIB);
    EXPECT(hak_whale_resize(&whales, whale, 100, HAK_MOVE_ALLOWED) == whale);
    EXPECT_EQ(hak_whale_size(&whales, whale), 10 * MIB);
    EXPECT(holds(whale, 10 * MIB, 7));
    EXPECT_LE(free_pages(), before - 4);
    EXPECT_EQ(hak_whale_give(&whales, whale, &settings), 1);
    EXPECT(hak_whale_take(&whales, &source, 10 * MIB, 16, HAK_ZERO_YES, &settings) == whale);
    EXPECT(holds(whale, 10 * MIB, 0));
    EXPECT_EQ(hak_whale_give(&whales, whale, &settings), 1);
    hak_whale_trim(&whales);
    EXPECT(are_back(before));
    hak_region_set_hugetlb(false);
}

/* If a run begins a huge page and ends within another, the kernel would purge a part. */
static void huge_runs_by(enum hak_arm arm)
{
    static const size_t size = 2560 * KIB;
    static struct hak_learner learner;
    struct hak_large_cache cache = {0};
    start_huge(arm);
    settings.batch_runs = 1;
    hak_learner_start(&learner, &settings, 1);
    hak_large_init(&cache, &source, &learner);
    long before = free_pages();
    uint64_t purged = count_of(HAK_COUNTER_BYTES_PURGED);
    uint64_t given = count_of(HAK_COUNTER_BYTES_UNMAPPED);
    char *run = hak_large_take(&cache, size, HAK_REGION_SIZE, HAK_ZERO_NO, &settings);
    char *wall = hak_large_take(&cache, MIB, 16, HAK_ZERO_NO, &settings);
    REQUIRE(wall != NULL && run != NULL);
    EXPECT_EQ(smaps_kib(wall, "KernelPageSize:"), HUGE_KIB);
    EXPECT_EQ(smaps_kib(run, "KernelPageSize:"), HUGE_KIB);
    EXPECT(hak_large_segment_find(wall) == hak_large_segment_find(run));
    memset(wall, 1, MIB);
    memset(run, 2, size);
    EXPECT_EQ(hak_large_give(run, &settings), 1);
    for (unsigned second = 1; second < 6; second++)
        hak_large_tick(&cache, &settings, second * second_ns);
    EXPECT_EQ(hak_large_bytes(&cache).dirty, 0); /* none that can be purged */
    char *again = hak_large_take(&cache, size, HAK_REGION_SIZE, HAK_ZERO_YES, &settings);
    EXPECT(again == run);
    EXPECT(holds(again, size, 0) && holds(wall, MIB, 1));
    EXPECT_EQ(hak_large_give(again, &settings), 1);
    EXPECT_EQ(hak_large_give(wall, &settings), 1);
    EXPECT_EQ(count_of(HAK_COUNTER_BYTES_PURGED), purged);
    EXPECT(free_pages() < before);
    for (unsigned second = 6; second < 12; second++)
        hak_large_tick(&cache, &settings, second * second_ns);
    EXPECT(count_of(HAK_COUNTER_BYTES_UNMAPPED) > given);
    hak_large_trim(&cache);
    EXPECT_EQ(hak_large_bytes(&cache).mapped, 0);
    EXPECT(are_back(before));
    hak_region_set_hugetlb(false);
}

static void huge_runs(void)
{
    for (unsigned arm = 0; arm < HAK_ARM_NAMES; arm++)
        huge_runs_by((enum hak_arm)arm);
}

static void explicit_huge_pages(void)
{
    if (free_pages() < PAGES_WANTED) {
        tap_skip("no huge pages, and %s cannot be raised", pages_file);
        return;
    }
    huge_whales();
    huge_runs();
}

/* More than there are. */
static void plain_instead(void)
{
    static struct hak_whales whales;
    start_huge(HAK_ARM_KEEP);
    hak_whale_start(&whales, &settings);
    long pages = free_pages() > 0 ? free_pages() : 0;
    size_t size = (size_t)(pages + 5) * HAK_REGION_SIZE;
    uint64_t maps = count_of(HAK_COUNTER_HUGETLB_MAPS);
    uint64_t fallbacks = count_of(HAK_COUNTER_HUGETLB_FALLBACKS);
    char *whale = hak_whale_take(&whales, &source, size, 16, HAK_ZERO_YES, &settings);
    REQUIRE(whale != NULL);
    if (count_of(HAK_COUNTER_HUGETLB_MAPS) != maps) {
        tap_skip("the kernel makes huge pages beyond those set aside");
    } else {
        EXPECT_EQ(count_of(HAK_COUNTER_HUGETLB_FALLBACKS) - fallbacks, 1);
        EXPECT(smaps_kib(whale, "KernelPageSize:") < HUGE_KIB);
        memset(whale, 3, MIB);
        whale = hak_whale_resize(&whales, whale, size + 4 * MIB, HAK_MOVE_ALLOWED);
        REQUIRE(whale != NULL);
        EXPECT(holds(whale, MIB, 3));
    }
    EXPECT_EQ(hak_whale_give(&whales, whale, &settings), 1);
    hak_whale_trim(&whales);
    hak_region_set_hugetlb(false);
}

/* No call asks for them. */
static void none_unasked(void)
{
    uint64_t tries = count_of(HAK_COUNTER_HUGETLB_MAPS) + count_of(HAK_COUNTER_HUGETLB_FALLBACKS);
    bool is_hugetlb = true;
    void *region = hak_region_map_large(&source, HAK_REGION_SIZE, HAK_HUGE_DEFAULT, &is_hugetlb);
    REQUIRE(region != NULL);
    EXPECT(!is_hugetlb);
    EXPECT_EQ(count_of(HAK_COUNTER_HUGETLB_MAPS) + count_of(HAK_COUNTER_HUGETLB_FALLBACKS), tries);
    hak_region_unmap(&source, region, HAK_REGION_SIZE);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"refused memory is not counted", refused},
        {"regions are counted as they come and go", mapped_and_unmapped},
        {"huge pages are asked for as the option says", huge_pages_are_asked_for},
        {"runs and whales lie on explicit huge pages, unharmed", explicit_huge_pages},
        {"without explicit huge pages memory is plain", plain_instead},
        {"explicit huge pages are not taken without the option", none_unasked},
    };
    long pages = read_number(pages_file, "");
    int can_set = pages >= 0 && free_pages() < PAGES_WANTED && access(pages_file, W_OK) == 0;
    if (can_set)
        set_pages(pages + PAGES_WANTED);
    int result = tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
    if (can_set)
        set_pages(pages);
    return result;
}
