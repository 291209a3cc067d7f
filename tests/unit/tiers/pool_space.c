/* SPDX-License-Identifier: MIT */
/* tiers/pool_space.c: the tightest fit is found wherever it stands, a region is mapped only if none
 * has room, and memory goes back to the kernel in portions that are counted here. */
#define _GNU_SOURCE
#include "tiers/pool_space.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/bits.h"
#include "os/clock.h"
#include "tests/lib/prng.h"
#include "tests/lib/resident.h"
#include "tests/lib/tap.h"
#include "tiers/pool.h"

enum { FREE_PAGES = HAK_REGION_PAGES - 1, MANY = 200, TAKEN_MAX = MANY * FREE_PAGES };

static struct hak_counters counters;
static const struct hak_region_source source = {.counters = &counters, .node = -1, .home = 7};
static struct hak_pool_space space;
static const uint64_t DECAY = 60000000000;
static const struct hak_settings keep_all = {.slab_retain_bytes = SIZE_MAX,
                                             .decay_ns = 60000000000};
static const struct hak_settings keep_nothing = {.slab_retain_bytes = 0, .decay_ns = 60000000000};

static void start(void)
{
    space = (struct hak_pool_space){.source = &source};
}

static struct hak_region *region_of(const void *page)
{
    return hak_page_header(page);
}

static unsigned index_of(const void *page)
{
    return (unsigned)((uintptr_t)page >> HAK_PAGE_SHIFT) % HAK_REGION_PAGES;
}

/* As the pool does it: from an existing region, or a new one. */
static char *take(unsigned count)
{
    char *pages = hak_pool_space_take(&space, count);
    struct hak_region *region;
    if (pages == NULL && (region = hak_pool_map_region(&source)) != NULL) {
        pages = hak_pool_space_add(&space, region, count);
    }
    return pages;
}

static void give(void *pages, unsigned count, const struct hak_settings *settings)
{
    hak_pool_space_give(&space, region_of(pages), index_of(pages), count, settings);
}

/* A region of its own, all of it taken but the pages of the mask, which are free and dirty. */
static struct hak_region *region_with(uint32_t free_pages)
{
    struct hak_region *region = hak_pool_map_region(&source);
    if (region == NULL)
        abort();
    hak_pool_space_add(&space, region, FREE_PAGES);
    for (unsigned page = 1; page < HAK_REGION_PAGES; page++)
        if (free_pages >> page & 1) {
            memset(region->base + (size_t)page * HAK_PAGE_SIZE, 1, HAK_PAGE_SIZE);
            hak_pool_space_give(&space, region, page, 1, &keep_all);
        }
    return region;
}

static uint64_t calls(void)
{
    return hak_counter_read(&counters, HAK_COUNTER_SLAB_PURGES);
}

static uint64_t refusals(void)
{
    return hak_counter_read(&counters, HAK_COUNTER_SLAB_PURGES_REFUSED);
}

static unsigned list_length(const struct hak_region_list *list, enum hak_region_role role)
{
    unsigned length = 0;
    for (const struct hak_region *region = list->first; region != NULL;
         region = region->links[role].next)
        length++;
    EXPECT_EQ(length, list->count);
    return length;
}

/* All statements of the lists, bits and sums hold of every region. */
static void expect_sound(void)
{
    size_t dirty = 0;
    unsigned dirty_regions = 0;
    unsigned open = 0;
    for (const struct hak_region *region = space.all.first; region != NULL;
         region = region->links[HAK_REGION_ALL].next) {
        EXPECT_EQ(region->dirty_pages & ~region->free_pages, 0);
        EXPECT_EQ(region->aged_pages & ~region->dirty_pages, 0);
        EXPECT_EQ(region->fit,
                  region->free_pages == 0 ? 0 : hak_pool_space_fit(region->free_pages));
        EXPECT_EQ(region->in_dirty != NULL, region->dirty_pages != 0);
        dirty += hak_bit_count(region->dirty_pages);
        dirty_regions += region->dirty_pages != 0;
        open += region->free_pages != 0;
    }
    EXPECT_EQ(dirty * HAK_PAGE_SIZE, space.dirty_bytes);
    EXPECT_EQ(list_length(&space.dirty, HAK_REGION_DIRTY) +
                  list_length(&space.spared, HAK_REGION_DIRTY),
              dirty_regions);
    for (unsigned fit = 0; fit < HAK_SPACE_LISTS; fit++) {
        unsigned length = list_length(&space.fits[fit], HAK_REGION_FITS);
        EXPECT_EQ(space.fitting[fit / 64] >> fit % 64 & 1, length != 0);
        open -= length;
    }
    EXPECT_EQ(open, 0);
}

/* Gives all pages that are still taken; the space gives up every region. */
static void finish(void)
{
    for (struct hak_region *region = space.all.first; region != NULL;
         region = region->links[HAK_REGION_ALL].next)
        for (unsigned page = 1; page < HAK_REGION_PAGES; page++)
            if ((region->free_pages >> page & 1) == 0)
                hak_pool_space_give(&space, region, page, 1, &keep_all);
    expect_sound();
    unsigned regions = space.all.count;
    struct hak_region *region = hak_pool_space_collect(&space);
    while (region != NULL) {
        struct hak_region *next = region->next;
        hak_pool_unmap_region(region);
        regions--;
        region = next;
    }
    EXPECT_EQ(regions, 0);
    EXPECT_EQ(space.dirty_bytes, 0);
    EXPECT_EQ(space.all.count, 0);
    expect_sound();
}

/* ---- runs ------------------------------------------------------------------------------- */

static unsigned longest_by_counting(uint32_t pages)
{
    unsigned longest = 0;
    unsigned length = 0;
    for (unsigned bit = 0; bit < 32; bit++) {
        length = pages >> bit & 1 ? length + 1 : 0;
        longest = length > longest ? length : longest;
    }
    return longest;
}

static void runs_are_measured(void)
{
    struct prng prng = {1};
    for (unsigned i = 0; i < 300000; i++) {
        uint32_t pages = (uint32_t)prng_next(&prng);
        for (unsigned thin = i % 4; thin != 0; thin--)
            pages =
                i % 8 < 4 ? pages | (uint32_t)prng_next(&prng) : pages & (uint32_t)prng_next(&prng);
        if (hak_pool_space_longest_run(pages) != longest_by_counting(pages))
            EXPECT_EQ(pages, 0);
    }
    for (unsigned from = 0; from < 32; from++)
        for (unsigned count = 1; count <= 32 - from; count++)
            EXPECT_EQ(hak_pool_space_longest_run((uint32_t)(((UINT64_C(1) << count) - 1) << from)),
                      count);
    EXPECT_EQ(hak_pool_space_longest_run(0), 0);
}

static void runs_are_chosen(void)
{
    EXPECT_EQ(hak_pool_space_find_run(0, 0, 1), 0);
    EXPECT_EQ(hak_pool_space_find_run(0x000000fe, 0, 8), 0);
    EXPECT_EQ(hak_pool_space_find_run(0xfffffffe, 0, 8), 1);
    EXPECT_EQ(hak_pool_space_find_run(0xff000000, 0, 8), 24);
    EXPECT_EQ(hak_pool_space_find_run(0x00f3007e, 0, 2), 16); /* the tighter of 6, 2, 4 */
    EXPECT_EQ(hak_pool_space_find_run(0x00f3007e, 0, 3), 20);
    EXPECT_EQ(hak_pool_space_find_run(0x00f3007e, 0, 5), 1);
    EXPECT_EQ(hak_pool_space_find_run(0x00033066, 0x00003000, 2), 12); /* the dirty one */
}

/* ---- fits ------------------------------------------------------------------------------- */

/* One region of many has room: it is found, wherever it stands. A search that gives up early would
 * miss it. */
static void room_is_found_among_many(void)
{
    start();
    struct hak_region *with_room = region_with(0x0001fe00); /* 8 pages in a row */
    for (unsigned i = 0; i < MANY; i++)
        region_with(0xeeeeeeee); /* never more than 3 */
    unsigned regions = space.all.count;
    char *pages = take(8);
    EXPECT(region_of(pages) == with_room);
    EXPECT_EQ(space.all.count, regions);
    EXPECT(region_of(take(4)) != with_room); /* there is none but a new one */
    EXPECT_EQ(space.all.count, regions + 1);
    finish();
}

static void tightest_fit_first(void)
{
    start();
    struct hak_region *wholly_free = region_with(~(uint32_t)1);
    struct hak_region *long_run = region_with(0x0000fff0);
    struct hak_region *fuller = region_with(0x00000030);
    struct hak_region *emptier = region_with(0x33333310); /* runs of two, and many of them */
    EXPECT(region_of(take(2)) == fuller);
    EXPECT(region_of(take(2)) == emptier);
    EXPECT(region_of(take(4)) == long_run);
    EXPECT(region_of(take(8)) == long_run);
    EXPECT(region_of(take(8)) == wholly_free);
    expect_sound();
    finish();
}

/* Live memory keeps its size and changes its shape: there are never more regions than the worst
 * shape needs. */
static void regions_do_not_pile_up(void)
{
    enum { ROUNDS = 60, PAGES_LIVE = 40 * FREE_PAGES };
    static struct {
        char *pages;
        unsigned count;
    } taken[TAKEN_MAX];
    struct prng prng = {3};
    unsigned have = 0;
    unsigned live = 0;
    unsigned regions = 0;
    start();
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned count = 1u << round % 4;
        while (live > PAGES_LIVE / 2) {
            unsigned which = (unsigned)prng_below(&prng, have);
            give(taken[which].pages, taken[which].count, &keep_all);
            live -= taken[which].count;
            taken[which] = taken[--have];
        }
        for (; live + count <= PAGES_LIVE; live += count, have++) {
            taken[have].count = count;
            taken[have].pages = take(count);
        }
        if (round == ROUNDS / 3)
            regions = space.all.count;
    }
    expect_sound();
    EXPECT_LE(space.all.count, regions + regions / 20);
    EXPECT_LE(space.all.count, 2 * PAGES_LIVE / FREE_PAGES);
    finish();
}

/* ---- purges ----------------------------------------------------------------------------- */

/* The walk leaves out regions that are in use or clean; dirty ones are purged in portions, one
 * after another. */
static void ticks_purge_in_portions(void)
{
    start();
    for (unsigned i = 0; i < MANY; i++)
        region_with(0xaaaaaaaa); /* 16 runs of one page */
    uint64_t before = calls();
    uint64_t due = hak_os_now_ns() + 2 * DECAY;
    hak_pool_space_tick(&space, &keep_all, hak_os_now_ns());
    EXPECT_EQ(calls(), before); /* nothing is old enough */
    unsigned ticks = 0;
    while (space.dirty_bytes != 0 && ticks < 2 * MANY) {
        uint64_t had = calls();
        size_t dirty = space.dirty_bytes;
        hak_pool_space_tick(&space, &keep_all, due);
        EXPECT_LE(calls() - had, HAK_SPACE_TICK_CALLS);
        EXPECT_LE(dirty - space.dirty_bytes,
                  (HAK_SPACE_PORTION_PAGES + FREE_PAGES) * (size_t)HAK_PAGE_SIZE);
        ticks++;
    }
    EXPECT_EQ(space.dirty_bytes, 0);
    EXPECT_EQ(calls() - before, MANY * 16);
    EXPECT_LE(ticks, MANY);
    hak_pool_space_tick(&space, &keep_all, due + 2 * DECAY);
    EXPECT_EQ(calls() - before, MANY * 16);
    expect_sound();
    finish();
}

/* Long runs count by their pages. */
static void portions_are_bounded_by_pages(void)
{
    start();
    for (unsigned i = 0; i < 8; i++)
        region_with(~(uint32_t)1);
    size_t dirty = space.dirty_bytes;
    hak_pool_space_tick(&space, &keep_all, hak_os_now_ns() + 2 * DECAY);
    EXPECT_GE(dirty - space.dirty_bytes, HAK_SPACE_PORTION_PAGES * (size_t)HAK_PAGE_SIZE);
    EXPECT_LE(dirty - space.dirty_bytes,
              (HAK_SPACE_PORTION_PAGES + FREE_PAGES) * (size_t)HAK_PAGE_SIZE);
    finish();
}

/* A page that is free for twice the decay time goes, even if others around it come and go; one that
 * was just given does not. */
static void decay_is_by_page(void)
{
    start();
    struct hak_region *region = region_with(0x00000002);
    uint64_t now = region->given_ns;
    hak_pool_space_give(&space, region, 5, 1, &keep_all);
    region->given_ns = now + DECAY; /* as if given a decay time later */
    hak_pool_space_tick(&space, &keep_all, now + DECAY + 1);
    EXPECT_EQ(region->dirty_pages, 1u << 5);
    hak_pool_space_give(&space, region, 7, 1, &keep_all);
    region->given_ns = now + 2 * DECAY;
    hak_pool_space_tick(&space, &keep_all, now + DECAY + 2);
    EXPECT_EQ(region->dirty_pages, 1u << 5 | 1u << 7); /* looked at a moment ago */
    hak_pool_space_tick(&space, &keep_all, now + 2 * DECAY + 2);
    EXPECT_EQ(region->dirty_pages, 1u << 7);
    hak_pool_space_tick(&space, &keep_all, now + 3 * DECAY + 3);
    EXPECT_EQ(region->dirty_pages, 0);
    finish();
}

/* Kept memory never exceeds its bound, in few calls a give, and the oldest goes first. */
static void gives_obey_the_limit(void)
{
    start();
    for (unsigned i = 0; i < MANY; i++)
        region_with(0xaaaaaaaa);
    struct hak_settings keep_some = {.slab_retain_bytes = space.dirty_bytes, .decay_ns = DECAY};
    struct hak_region *oldest = space.dirty.first;
    for (unsigned i = 0; i < MANY; i++) {
        char *pages = take(8);
        uint64_t before = calls();
        memset(pages, 1, 8 * HAK_PAGE_SIZE);
        give(pages, 8, &keep_some);
        EXPECT_LE(calls() - before, HAK_SPACE_GIVE_CALLS);
        EXPECT_LE(space.dirty_bytes, keep_some.slab_retain_bytes);
    }
    EXPECT(oldest->dirty_pages != 0xaaaaaaaa);
    size_t before = space.dirty_bytes;
    char *pages = take(1);
    give(pages, 1, &keep_nothing);
    EXPECT_LE(space.dirty_bytes, before);
    expect_sound();
    finish();
}

/* Takes `count` pages, writes to them and gives them back; returns the dirty bytes. */
static size_t take_and_give(char **pages, unsigned count, const struct hak_settings *settings)
{
    for (unsigned i = 0; i < count; i++) {
        pages[i] = take(1);
        memset(pages[i], 1, HAK_PAGE_SIZE);
    }
    for (unsigned i = 0; i < count; i++)
        give(pages[i], 1, settings);
    return space.dirty_bytes;
}

static struct hak_credit credit;

/* Keeps the first bytes, and memory that was found to be taken again. */
static struct hak_settings with_credit(size_t most)
{
    credit = (struct hak_credit){.most = most};
    return (struct hak_settings){.slab_retain_bytes = most, .decay_ns = DECAY, .credit = &credit};
}

/* Whether about this many bytes are dirty: a purge takes all dirty pages of a region. */
static bool keeps(size_t bytes)
{
    size_t region = FREE_PAGES * (size_t)HAK_PAGE_SIZE;
    return EXPECT_LE(space.dirty_bytes, bytes) && EXPECT_GE(space.dirty_bytes + region, bytes);
}

/* Memory that was in slabs once goes when it is given back, but for the first bytes. Memory that is
 * taken again stays, up to a bound, and is forgotten when it was not taken for two times of
 * decay. */
static void taken_again_is_kept(void)
{
    enum { PAGES = 600, MOST = 500, FIRST = HAK_SPACE_FIRST / HAK_PAGE_SIZE };
    static char *pages[PAGES];
    const size_t page = HAK_PAGE_SIZE;
    struct hak_settings settings = with_credit(MOST * page);
    start();
    for (unsigned i = 0; i < PAGES; i++)
        pages[i] = take(1);
    for (unsigned i = 0; i < PAGES; i++)
        give(pages[i], 1, &settings);
    keeps(FIRST * page);
    EXPECT_EQ(credit.claimed, FIRST * page);
    EXPECT_GE(take_and_give(pages, MOST - 20, &settings), (MOST - 20) * page);
    uint64_t before = calls();
    for (unsigned round = 0; round < 10; round++)
        EXPECT_GE(take_and_give(pages, MOST - 20, &settings), (MOST - 20) * page);
    EXPECT_EQ(calls(), before);
    take_and_give(pages, PAGES, &settings);
    keeps(MOST * page);
    EXPECT_EQ(credit.claimed, MOST * page);

    space.taken_ns -= 2 * DECAY + 1; /* so long ago */
    before = calls();
    while (space.dirty_bytes > FIRST * page && EXPECT_LE(calls() - before, 1000))
        give(take(1), 1, &settings);
    EXPECT_LE(credit.claimed, (FIRST + 1) * page);
    finish();
}

/* A loop over one page asks for that page, however often; and an eighth of the bytes in slabs may
 * stay beside the claimed ones. */
static void depth_not_sum(void)
{
    enum { USED = 800, SPARE = 700, LEAST = HAK_SPACE_FIRST / HAK_PAGE_SIZE };
    enum { FIRST = LEAST + USED / HAK_SPACE_FIRST_SHARE };
    static char *used[USED];
    static char *spare[SPARE];
    const size_t page = HAK_PAGE_SIZE;
    struct hak_settings settings = with_credit(2 * SPARE * page);
    start();
    for (unsigned i = 0; i < USED; i++)
        used[i] = take(1);
    for (unsigned i = 0; i < SPARE; i++)
        spare[i] = take(1);
    space.rise[0] = 0; /* of an earlier time */
    space.least_used = space.used_bytes;
    for (unsigned i = 0; i < 10 * SPARE; i++)
        give(take(1), 1, &settings);
    for (unsigned i = 0; i < SPARE; i++)
        give(spare[i], 1, &settings);
    EXPECT_GE(space.again_bytes[0], SPARE * page);
    keeps((FIRST + USED / 8 + 2) * page);
    for (unsigned i = 0; i < USED; i++)
        give(used[i], 1, &settings);
    EXPECT_LE(space.dirty_bytes, (LEAST + 2) * page);
    finish();
}

/* Of two spaces that claim from one credit, each gets at most what the other left. */
static void claimed_once(void)
{
    enum { FIRST = HAK_CREDIT_FIRST / HAK_PAGE_SIZE, TURNS = FIRST + 40, TAKEN = 96 };
    static char *pages[TURNS];
    struct hak_settings settings = with_credit(HAK_CREDIT_FIRST);
    struct hak_claim other = {0};
    const size_t page = HAK_PAGE_SIZE;
    start();
    take_and_give(pages, TURNS, &settings); /* from now on they are taken again */
    EXPECT(hak_credit_claim(&settings, &other, TAKEN * page, HAK_CREDIT_FIRST));
    take_and_give(pages, TURNS, &settings);
    keeps((FIRST - TAKEN) * page);
    hak_credit_give_back(&settings, &other, 0, HAK_CREDIT_FIRST);
    take_and_give(pages, TURNS, &settings);
    keeps(FIRST * page);
    EXPECT(!hak_credit_claim(&settings, &other, page, HAK_CREDIT_FIRST));

    /* The other was refused: at its next tick the space gives up some of its surplus over its
     * part. */
    hak_pool_space_tick(&space, &settings, hak_os_coarse_now_ns());
    EXPECT_LE(space.claim.bytes, (FIRST - FIRST / 2 / 4) * page);
    EXPECT(hak_credit_claim(&settings, &other, page, HAK_CREDIT_FIRST));
    finish();
}

/* Memory that is no longer dirty is not claimed, even if nothing is given any more. A space that
 * keeps all, as during a purge of everything, claims nothing, since the credit would not know of
 * it. */
static void claims_come_back(void)
{
    enum { TURNS = HAK_CREDIT_FIRST / HAK_PAGE_SIZE + 40 };
    static char *pages[TURNS];
    struct hak_settings settings = with_credit(HAK_CREDIT_FIRST);
    uint64_t now = hak_os_coarse_now_ns();
    start();
    take_and_give(pages, TURNS, &settings);
    EXPECT(settings.credit->claimed != 0);
    EXPECT_EQ(settings.credit->claimed, space.claim.bytes);
    hak_pool_space_purge(&space);
    for (unsigned time = 1; time <= 3; time++)
        hak_pool_space_tick(&space, &settings, now + time * 2 * settings.decay_ns);
    EXPECT_EQ(space.claim.bytes, 0);
    EXPECT_EQ(settings.credit->claimed, 0);
    EXPECT_EQ(settings.credit->holders, 0);
    take_and_give(pages, TURNS, &keep_all);
    EXPECT_EQ(space.claim.bytes, 0);
    EXPECT_EQ(space.dirty_bytes, TURNS * (size_t)HAK_PAGE_SIZE);
    finish();
}

/* By the kernel: the sanitizers' mlock does nothing. */
static int lock_memory(void *memory, size_t bytes)
{
    return (int)syscall(SYS_mlock, memory, bytes);
}

/* Locked pages cannot be purged: they stay dirty, are reported, and are not tried in a loop. */
static void refusals_are_looked_at(void)
{
    start();
    struct hak_region *locked = region_with(0xaaaaaaaa);
    struct hak_region *other = region_with(0xaaaaaaaa);
    if (lock_memory(locked, HAK_REGION_SIZE) != 0) {
        finish();
        tap_skip("memory cannot be locked here");
        return;
    }
    uint64_t had = calls();
    hak_pool_space_tick(&space, &keep_all, hak_os_now_ns() + 2 * DECAY);
    EXPECT_EQ(refusals(), 1);
    EXPECT_EQ(locked->dirty_pages, 0xaaaaaaaa);
    hak_pool_space_tick(&space, &keep_all, hak_os_now_ns() + 2 * DECAY);
    EXPECT_EQ(other->dirty_pages, 0);
    EXPECT_EQ(refusals(), 1); /* not before it is due again */
    EXPECT_EQ(calls() - had, 17);
    EXPECT_EQ(hak_pool_space_purge(&space), 0);
    EXPECT_EQ(refusals(), 2);
    uint64_t before = refusals();
    for (unsigned i = 0; i < 1000; i++) { /* all that is dirty is locked: one try, then a rest */
        char *page = take(1);
        EXPECT(region_of(page) == locked);
        give(page, 1, &keep_nothing);
    }
    EXPECT_LE(refusals() - before, 16);
    EXPECT_GE(space.dirty_bytes, 16 * HAK_PAGE_SIZE);
    syscall(SYS_munlock, locked, HAK_REGION_SIZE);
    EXPECT_GE(hak_pool_space_purge(&space), 16 * HAK_PAGE_SIZE);
    EXPECT_EQ(space.dirty_bytes, 0);
    finish();
}

/* Of many regions only the wholly free ones are touched: through the list alone. */
static void collects_what_is_free(void)
{
    start();
    for (unsigned i = 0; i < MANY; i++)
        region_with(i % 2 == 0 ? ~(uint32_t)1 : 0x00000002);
    unsigned collected = 0;
    struct hak_region *region = hak_pool_space_collect(&space);
    while (region != NULL) {
        struct hak_region *next = region->next;
        EXPECT_EQ(resident_pages(region->base, HAK_REGION_SIZE), 0);
        hak_pool_unmap_region(region);
        collected++;
        region = next;
    }
    EXPECT_EQ(collected, MANY / 2);
    EXPECT_EQ(space.all.count, MANY / 2);
    EXPECT_EQ(space.dirty_bytes, MANY / 2 * (size_t)HAK_PAGE_SIZE);
    expect_sound();
    finish();
}

/* Every region is visited once; where nothing is bound, none changes its node. */
static void settles_all(void)
{
    start();
    for (unsigned i = 0; i < MANY; i++)
        region_with(0x00000002);
    struct hak_region *first = space.all.first;
    hak_pool_space_settle(&space, HAK_OS_PAGES_LEAVE);
    EXPECT(space.all.first == first);
    expect_sound();
    finish();
}

int main(int argc, char **argv)
{
    /* The test asks which pages are resident: in units of 4 KiB, whatever the system does by
     * itself. */
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    static const struct tap_case cases[] = {
        {"the longest run agrees with a count", runs_are_measured},
        {"the shortest run that is long enough is cut", runs_are_chosen},
        {"a region with room is found among many without", room_is_found_among_many},
        {"the tightest fit comes first, and of several the fullest region", tightest_fit_first},
        {"regions do not pile up while shapes change", regions_do_not_pile_up},
        {"a tick purges a portion", ticks_purge_in_portions},
        {"a portion is bounded by pages, too", portions_are_bounded_by_pages},
        {"pages decay each in their time", decay_is_by_page},
        {"a give obeys the limit in few calls", gives_obey_the_limit},
        {"memory that is taken again is kept", taken_again_is_kept},
        {"kept memory is bounded by what was in use at once", depth_not_sum},
        {"kept memory is claimed once", claimed_once},
        {"memory that is no longer dirty is not claimed", claims_come_back},
        {"refused purges are reported and not repeated", refusals_are_looked_at},
        {"wholly free regions are collected, and no others", collects_what_is_free},
        {"settling visits each region once", settles_all},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
