/* SPDX-License-Identifier: MIT */
/* tiers/pool_holes.c: exactly the kernel pages without an object go back, once, in counted
 * portions; refused pages and huge pages stay. */
#define _GNU_SOURCE
#include "tiers/pool_holes.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/memory.h"
#include "tests/lib/prng.h"
#include "tests/lib/tap.h"
#include "tests/unit/tiers/child.h"
#include "tiers/headroom.h"
#include "tiers/object.h"

enum { SIZE = 256, SLABS = 100, ANY_ROOM = 1000 };

static const uint64_t DECAY = 1000;
static const struct hak_settings settings = {.slab_retain_bytes = SIZE_MAX, .decay_ns = 1000};
static struct hak_counters counters;
static const struct hak_region_source source = {.counters = &counters, .node = -1, .home = 7};
static struct hak_pool pool;
static unsigned class_id;
static unsigned capacity;
static char *objects[SLABS][4096]; /* NULL: free */

static uint64_t count_of(enum hak_counter counter)
{
    return hak_counter_read(&counters, counter);
}

static uint64_t calls(void)
{
    return count_of(HAK_COUNTER_HOLE_PURGES);
}

static unsigned mappings(void)
{
    static char text[16384];
    unsigned lines = 0;
    ssize_t length;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && (length = read(fd, text, sizeof text)) > 0)
        for (ssize_t i = 0; i < length; i++)
            lines += text[i] == '\n';
    close(fd);
    return lines;
}

/* Slabs that are full of objects of the size, each written to. */
static void start(size_t size)
{
    hak_size_class_start();
    memset(&pool, 0, sizeof pool);
    hak_pool_init(&pool, &source, 1, HAK_CLASS_TINY_LAST);
    class_id = hak_size_class(size);
    capacity = hak_classes[class_id].capacity;
    for (unsigned slab = 0; slab < SLABS; slab++) {
        struct hak_chain word = hak_chain_make(NULL, ANY_ROOM + 4096);
        REQUIRE(hak_pool_take_fresh(&pool, class_id, capacity, &word) == capacity);
        for (unsigned i = 0; i < capacity; i++) {
            objects[slab][i] = hak_chain_top(word);
            word = hak_link_read(objects[slab][i]);
            memset(objects[slab][i], 0x5a, hak_classes[class_id].size);
        }
    }
}

static char *take_object(void)
{
    struct hak_chain word = hak_chain_make(NULL, ANY_ROOM);
    EXPECT_EQ(hak_pool_take(&pool, class_id, 1, &word), 1);
    return hak_chain_top(word);
}

static void give_object(char *object)
{
    hak_link_write(object, hak_chain_make(NULL, ANY_ROOM));
    struct hak_chain word = hak_chain_make(object, ANY_ROOM - 1);
    EXPECT_EQ(hak_pool_give(&pool, class_id, &word, &settings), 1);
}

static void free_object(unsigned slab, unsigned index)
{
    give_object(objects[slab][index]);
    objects[slab][index] = NULL;
}

/* Nine of ten objects at random: each slab keeps some. */
static void free_most(unsigned first_slab)
{
    struct prng prng = {11};
    for (unsigned slab = first_slab; slab < SLABS; slab++)
        for (unsigned i = 1; i < capacity; i++)
            if (prng_below(&prng, 10) != 0)
                free_object(slab, i);
}

/* Pages 0 .. below - 1 of each slab are live, the others free. */
static void free_behind(unsigned below)
{
    unsigned each = (unsigned)hak_os_page_size() / SIZE;
    for (unsigned slab = 0; slab < SLABS; slab++)
        for (unsigned i = below * each; i < capacity; i++)
            free_object(slab, i);
}

static void finish(void)
{
    for (unsigned slab = 0; slab < SLABS; slab++)
        for (unsigned i = 0; i < capacity; i++)
            if (objects[slab][i] != NULL)
                free_object(slab, i);
    hak_pool_purge(&pool);
    EXPECT_EQ(hak_pool_slab_bytes(&pool), 0);
    EXPECT_EQ(pool.space.dirty_bytes, 0);
    struct hak_region *region = hak_pool_collect_empty(&pool);
    while (region != NULL) {
        struct hak_region *next = region->next;
        hak_pool_unmap_region(region);
        region = next;
    }
}

/* Resident pages of the slab, of which those in *with hold an object that lives. */
static unsigned resident_pages(unsigned slab, unsigned *with)
{
    static unsigned char resident[128];
    char *base = hak_slab_of(objects[slab][0], hak_page_find(objects[slab][0]))->base;
    size_t page = hak_os_page_size();
    unsigned pages = (unsigned)(hak_classes[class_id].slab_pages * (size_t)HAK_PAGE_SIZE / page);
    unsigned found = 0;
    *with = 0;
    EXPECT_EQ(mincore(base, pages * page, resident), 0);
    for (unsigned p = 0; p < pages; p++) {
        bool lives = false;
        for (unsigned i = 0; i < capacity; i++)
            lives |= objects[slab][i] != NULL && objects[slab][i] < base + (p + 1) * page &&
                     objects[slab][i] + hak_classes[class_id].size > base + p * page;
        *with += lives;
        found += resident[p] & 1;
        EXPECT(!lives || (resident[p] & 1) != 0);
    }
    return found;
}

static void expect_only_live_pages(void)
{
    for (unsigned slab = 0; slab < SLABS; slab++) {
        unsigned with = 0;
        unsigned resident = resident_pages(slab, &with);
        EXPECT_EQ(resident, with);
    }
}

/* For a size that divides a page, and one that does not. */
static void purge_takes_what_holds_nothing(void)
{
    const size_t sizes[] = {SIZE, 880};
    for (unsigned turn = 0; turn < TAP_COUNT(sizes); turn++) {
        start(sizes[turn]);
        unsigned maps = mappings();
        free_most(0);
        uint64_t made = count_of(HAK_COUNTER_HOLES_MADE);
        size_t bytes = hak_pool_purge(&pool);
        expect_only_live_pages();
        made = count_of(HAK_COUNTER_HOLES_MADE) - made;
        EXPECT(made > 0);
        EXPECT_EQ(bytes, made * hak_os_page_size());
        EXPECT_LE(mappings(), maps);
        uint64_t before = calls();
        EXPECT_EQ(hak_pool_purge(&pool), 0); /* it is remembered */
        EXPECT_EQ(calls(), before);
        for (unsigned slab = 0; slab < SLABS; slab++)
            for (unsigned i = 0; i < capacity; i++)
                EXPECT(objects[slab][i] == NULL ||
                       objects[slab][i][hak_classes[class_id].size - 1] == 0x5a);
        finish();
    }
}

/* Not before they were free for a time of decay, and in portions. */
static void decay_is_counted(void)
{
    start(SIZE);
    free_most(0);
    uint64_t now = 10 * DECAY;
    bool goes_on = true;
    unsigned ticks = 0;
    for (; goes_on && EXPECT_LE(ticks, 100); ticks++)
        goes_on = hak_pool_holes_tick(&pool, &settings, now); /* the first look */
    EXPECT_EQ(ticks, (SLABS + HAK_HOLES_TICK_LOOKS - 1) / HAK_HOLES_TICK_LOOKS);
    EXPECT_EQ(calls(), 0);
    EXPECT(!hak_pool_holes_tick(&pool, &settings, now + DECAY));
    EXPECT_EQ(calls(), 0);
    now += DECAY + 1;
    ticks = 0;
    for (goes_on = true; goes_on && EXPECT_LE(ticks, 100); ticks++) {
        uint64_t before = calls();
        goes_on = hak_pool_holes_tick(&pool, &settings, now);
        EXPECT_LE(calls() - before, HAK_HOLES_TICK_CALLS);
        EXPECT(!goes_on || calls() > before);
    }
    EXPECT_GE(ticks, calls() / HAK_HOLES_TICK_CALLS);
    expect_only_live_pages();
    uint64_t before = calls();
    EXPECT(!hak_pool_holes_tick(&pool, &settings, now + 10 * DECAY));
    EXPECT_EQ(calls(), before);
    finish();
}

/* The next tick may come sooner while more is due, but not while the program fills holes again. */
static void haste_ends_where_holes_are_filled(void)
{
    start(SIZE);
    free_most(0);
    while (hak_pool_holes_tick(&pool, &settings, 10 * DECAY))
        ;
    EXPECT(!pool.hurries);
    EXPECT(hak_pool_holes_tick(&pool, &settings, 12 * DECAY));
    EXPECT(pool.hurries);
    size_t holes = hak_pool_hole_bytes(&pool);
    static char *taken[SLABS * 4096];
    unsigned count = 0;
    for (; hak_pool_hole_bytes(&pool) == holes && count < SLABS * capacity; count++)
        taken[count] = take_object();
    EXPECT(hak_pool_hole_bytes(&pool) < holes);
    EXPECT(hak_pool_holes_tick(&pool, &settings, 14 * DECAY));
    EXPECT(!pool.hurries);
    EXPECT(hak_pool_holes_tick(&pool, &settings, 14 * DECAY));
    EXPECT(pool.hurries);
    while (hak_pool_holes_tick(&pool, &settings, 14 * DECAY))
        ;
    EXPECT(!pool.hurries);
    for (unsigned i = 0; i < count; i++)
        give_object(taken[i]);
    finish();
}

/* The pages of long runs end a portion. */
static void portions_are_bounded_by_pages(void)
{
    start(SIZE);
    unsigned pages = HAK_PAGE_SIZE / (unsigned)hak_os_page_size();
    free_behind(1);
    hak_pool_holes_tick(&pool, &settings, 10 * DECAY);
    uint64_t before = count_of(HAK_COUNTER_HOLES_MADE);
    hak_pool_holes_tick(&pool, &settings, 12 * DECAY);
    uint64_t made = count_of(HAK_COUNTER_HOLES_MADE) - before;
    EXPECT(made > 0);
    EXPECT_LE(made, HAK_HOLES_TICK_PAGES + pages);
    EXPECT_LE(made, (uint64_t)HAK_HOLES_TICK_CALLS * pages);
    finish();
}

/* A slab from which objects were taken after the last look starts again. */
static void taken_from_is_spared(void)
{
    start(SIZE);
    free_behind(8);
    hak_pool_holes_tick(&pool, &settings, 10 * DECAY);
    char *object = take_object();
    struct hak_slab *slab = hak_slab_of(object, hak_page_find(object));
    while (hak_pool_holes_tick(&pool, &settings, 12 * DECAY))
        ;
    EXPECT_EQ(slab->hole_count, 0);
    EXPECT(calls() > 0);
    give_object(object);
    while (hak_pool_holes_tick(&pool, &settings, 14 * DECAY))
        ;
    while (hak_pool_holes_tick(&pool, &settings, 16 * DECAY))
        ;
    EXPECT(slab->hole_count > 0);
    finish();
}

/* mlock or munlock, by the kernel: the sanitizers' do nothing. */
static bool on_all_regions(long call)
{
    bool good = true;
    for (struct hak_region *region = pool.space.all.first; region != NULL;
         region = region->links[HAK_REGION_ALL].next)
        good &= syscall(call, region, HAK_REGION_SIZE) == 0;
    return good;
}

static void refusals_change_nothing(void)
{
    start(SIZE);
    free_most(0);
    if (!on_all_regions(SYS_mlock)) {
        on_all_regions(SYS_munlock);
        finish();
        tap_skip("memory cannot be locked here");
        return;
    }
    uint64_t refused = count_of(HAK_COUNTER_HOLE_PURGES_REFUSED);
    uint64_t made = count_of(HAK_COUNTER_HOLES_MADE);
    const uint64_t second = 1000 * 1000 * 1000;
    for (unsigned tick = 0; tick < 100; tick++)
        hak_pool_holes_tick(&pool, &settings, second + tick * 2 * DECAY);
    EXPECT_EQ(count_of(HAK_COUNTER_HOLE_PURGES_REFUSED) - refused, 1);
    hak_pool_holes_tick(&pool, &settings, 3 * second);
    EXPECT_EQ(count_of(HAK_COUNTER_HOLE_PURGES_REFUSED) - refused, 2);
    EXPECT_EQ(hak_pool_holes_purge(&pool), 0); /* each slab with a free page is tried once */
    EXPECT_LE(count_of(HAK_COUNTER_HOLE_PURGES_REFUSED) - refused, 2 + SLABS);
    EXPECT_GE(count_of(HAK_COUNTER_HOLE_PURGES_REFUSED) - refused, 2 + SLABS / 2);
    EXPECT_EQ(count_of(HAK_COUNTER_HOLES_MADE), made);
    on_all_regions(SYS_munlock);
    EXPECT(hak_pool_holes_purge(&pool) > 0);
    expect_only_live_pages();
    finish();
}

/* With huge pages. */
static void huge_pages_are_spared(void)
{
    unsigned pages = HAK_PAGE_SIZE / (unsigned)hak_os_page_size();
    if (pages < 4) {
        tap_skip("kernel pages are too large");
        return;
    }
    hak_region_set_huge(HAK_HUGE_ALWAYS);
    start(SIZE);
    uint64_t before = calls();
    free_behind(pages / 2 + 1); /* more than half of each slab lives */
    for (unsigned tick = 0; tick < 100; tick++)
        hak_pool_holes_tick(&pool, &settings, (10 + 2 * tick) * DECAY);
    EXPECT_EQ(hak_pool_holes_purge(&pool), 0);
    EXPECT_EQ(calls(), before);
    for (unsigned i = 0; i < capacity / pages; i++)
        free_object(0, pages / 2 * (capacity / pages) + i);
    for (unsigned tick = 0; tick < 100; tick++)
        hak_pool_holes_tick(&pool, &settings, (300 + 2 * tick) * DECAY);
    EXPECT_EQ(calls(), before);
    EXPECT_EQ(hak_pool_holes_purge(&pool), pages / 2 * hak_os_page_size());
    EXPECT_EQ(hak_pool_hole_bytes(&pool), pages / 2 * hak_os_page_size());
    finish();
    hak_region_set_huge(HAK_HUGE_DEFAULT);
}

/* With less room than the reserve no page must be idle first, and holes that are filled again
 * count. */
static int near_the_limit_child(void)
{
    start(SIZE);
    free_behind(1);
    hak_headroom_start(HAK_HEADROOM_BYTES, 1);
    hak_headroom_grow(64 * 1024 * 1024);
    size_t missing = hak_headroom_shortfall();
    if (missing == 0)
        return CHILD_CANNOT;
    while (hak_pool_holes_tick(&pool, &settings, 10 * DECAY))
        ;
    uint64_t made = count_of(HAK_COUNTER_HOLES_MADE);
    int good = EXPECT(made > 0);
    good &= EXPECT_EQ(missing - hak_headroom_shortfall(), made * hak_os_page_size());
    for (unsigned i = 0; i < SLABS * capacity && pool.bins[class_id - 1].open != 0; i++) {
        struct hak_chain word = hak_chain_make(NULL, ANY_ROOM);
        good &= EXPECT_EQ(hak_pool_take(&pool, class_id, 1, &word), 1);
    }
    good &= EXPECT_EQ(hak_headroom_shortfall(), missing);
    return good ? CHILD_HELD : CHILD_FAILED;
}

static void near_the_limit(void)
{
    child_run(near_the_limit_child, "a limit of resident bytes");
}

int main(int argc, char **argv)
{
    /* The test asks which pages are resident: in units of 4 KiB, whatever the system does by
     * itself. */
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    static const struct tap_case cases[] = {
        {"near the limit of memory all free pages go", near_the_limit},
        {"decay waits, and purges in portions", decay_is_counted},
        {"a program that fills holes again is not hurried", haste_ends_where_holes_are_filled},
        {"a portion is bounded by pages, too", portions_are_bounded_by_pages},
        {"a purge takes exactly the pages without an object, once", purge_takes_what_holds_nothing},
        {"a slab that objects are taken from is spared", taken_from_is_spared},
        {"refused purges change nothing, and are not repeated", refusals_change_nothing},
        {"huge pages that are mostly in use stay whole", huge_pages_are_spared},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
