/* SPDX-License-Identifier: MIT */
/* tiers/region.c: aligned, zero, covered, counted; and gone after unmapping. */
#define _GNU_SOURCE
#include "tiers/region.h"

#include <errno.h>
#include <string.h>

#include "tests/lib/smaps.h"
#include "tests/lib/tap.h"
#include "tests/unit/tiers/child.h"
#include "tiers/page_map.h"

static struct hak_counters counters;
static const struct hak_region_source source = {&counters, -1, 1};

static uint64_t count_of(enum hak_counter counter)
{
    return hak_counter_read(&counters, counter);
}

static void mapped_and_unmapped(void)
{
    enum { SIZE = 3 * HAK_REGION_SIZE };
    REQUIRE(hak_page_map_start() == HAK_PAGE_MAP_WHOLE);
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
    if (!child_limit(RLIMIT_AS, (size_t)1 << 30) || hak_page_map_start() == HAK_PAGE_MAP_NONE)
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
    REQUIRE(hak_page_map_start() == HAK_PAGE_MAP_WHOLE);
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

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"what the kernel refuses is not counted", refused},
        {"regions come and go, counted", mapped_and_unmapped},
        {"huge pages are asked for as told", huge_pages_are_asked_for},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
