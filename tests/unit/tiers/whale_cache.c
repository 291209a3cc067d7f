/* SPDX-License-Identifier: MIT */
/* tiers/whale_cache.c: which freed whale is used, in what order they go, and what they claim. The
 * whales are made up: the cache does not look at their memory. */
#include "tiers/whale_cache.h"

#include <string.h>

#include "tests/lib/tap.h"

enum {
    MIB = 1024 * 1024,
    DESCRIPTORS = 1000,
};

static const struct hak_region_source here = {.counters = NULL, .node = 0, .home = 1};
static const struct hak_region_source elsewhere = {.counters = NULL, .node = 1, .home = 2};
static struct hak_whales whales;
static struct hak_whale made[8];
static unsigned made_count;

static void start(void)
{
    memset(&whales, 0, sizeof whales);
    memset(made, 0, sizeof made);
    made_count = 0;
}

static struct hak_whale *freed(size_t size, uint32_t tick, const struct hak_region_source *source)
{
    struct hak_whale *whale = &made[made_count++];
    *whale = (struct hak_whale){
        .address = (void *)((uintptr_t)made_count << 32), .size = size, .source = source};
    hak_whale_cache_push_old(&whales, whale, tick);
    return whale;
}

static struct hak_whale *find(size_t size, int node)
{
    return hak_whale_cache_find(&whales, size, HAK_REGION_SIZE, node);
}

static struct hak_whale *find_other(size_t size, int node)
{
    return hak_whale_cache_find_other(&whales, size, HAK_REGION_SIZE, node);
}

static void the_tightest_serves(void)
{
    start();
    struct hak_whale *longer = freed(44 * MIB, 1, &here);
    struct hak_whale *tight = freed(41 * MIB, 2, &here);
    freed(40 * MIB, 3, &elsewhere);
    EXPECT(find(60 * MIB, 0) == NULL);
    EXPECT(find(20 * MIB, 0) == NULL);
    EXPECT(find(40 * MIB, 0) == tight);
    EXPECT(find(40 * MIB, 0) == longer);
    EXPECT(find(40 * MIB, 0) == NULL);
    EXPECT_EQ(whales.cached_bytes, 40 * MIB);
    EXPECT_EQ(whales.cached_count, 1);
}

/* A longer one, however long, before a shorter one; none of less than half, of huge pages, or of
 * another node. */
static void others_are_near(void)
{
    start();
    struct hak_whale *shorter = freed(50 * MIB, 1, &here);
    struct hak_whale *shortest = freed(40 * MIB, 1, &here);
    struct hak_whale *longest = freed(200 * MIB, 2, &here);
    struct hak_whale *longer = freed(100 * MIB, 3, &here);
    freed(20 * MIB, 3, &here);
    freed(60 * MIB, 4, &here)->is_hugetlb = 1;
    freed(60 * MIB, 4, &elsewhere);
    EXPECT(find_other(60 * MIB, 0) == longer);
    EXPECT(find_other(60 * MIB, 0) == longest);
    EXPECT(find_other(60 * MIB, 0) == shorter);
    EXPECT(find_other(60 * MIB, 0) == shortest);
    EXPECT(find_other(60 * MIB, 0) == NULL);
    EXPECT_EQ(whales.cached_count, 3);
}

static void the_oldest_go(void)
{
    start();
    struct hak_whale *third = freed(10 * MIB, 30, &here);
    struct hak_whale *first = freed(10 * MIB, 10, &here);
    struct hak_whale *second = freed(10 * MIB, 10, &here); /* of equal ones, the first */
    EXPECT(whales.oldest == first && first->next == second && second->next == third);
    whales.now = 20;
    hak_whale_cache_push(&whales, &made[made_count++]);
    EXPECT(second->next->freed == 20 && second->next->next == third);
    struct hak_whale *gone = hak_whale_cache_evict(&whales, SIZE_MAX, 3);
    EXPECT(gone == first && gone->next == NULL);
    gone = hak_whale_cache_evict(&whales, 15 * MIB, 8);
    EXPECT(gone == second && gone->next == NULL);
    EXPECT_EQ(whales.cached_bytes, 10 * MIB);
    EXPECT(hak_whale_cache_evict(&whales, 10 * MIB, 8) == NULL);
}

static void claims_are_of_the_credit(void)
{
    struct hak_credit credit = {.most = 100 * MIB};
    struct hak_settings settings = hak_settings_default;
    settings.credit = &credit;
    start();
    EXPECT_EQ(hak_whale_cache_most(&settings), settings.whale_retain_bytes);
    EXPECT_EQ(hak_whale_cache_claim(&whales, &settings, 60 * MIB, 256 * MIB), 60 * MIB);
    EXPECT_EQ(hak_whale_cache_claim(&whales, &settings, 120 * MIB, 256 * MIB), 60 * MIB);
    freed(20 * MIB, 1, &here);
    hak_whale_cache_settle(&whales, &settings);
    EXPECT_EQ(credit.claimed, 20 * MIB);
    EXPECT_EQ(hak_whale_cache_claim(&whales, &settings, 100 * MIB, 256 * MIB), 100 * MIB);
}

static void descriptors_stay_where_they_are(void)
{
    static struct hak_whale *had[DESCRIPTORS];
    start();
    for (unsigned i = 0; i < DESCRIPTORS; i++) {
        had[i] = hak_whale_new_descriptor(&whales);
        REQUIRE(had[i] != NULL);
        EXPECT_EQ(had[i]->number, i);
    }
    for (unsigned i = 0; i < DESCRIPTORS; i++)
        EXPECT(hak_whale_descriptor(&whales, i) == had[i]);
    had[7]->is_live = true;
    hak_whale_drop_descriptor(&whales, had[7]);
    EXPECT(hak_whale_new_descriptor(&whales) == had[7] && !had[7]->is_live);
    EXPECT_EQ(whales.count, DESCRIPTORS);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"the tightest whale of the node is used", the_tightest_serves},
        {"if none fits, the nearest is cut or lengthened", others_are_near},
        {"the oldest go first", the_oldest_go},
        {"cached bytes are claimed", claims_are_of_the_credit},
        {"descriptors stay where they are", descriptors_stay_where_they_are},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
