/* SPDX-License-Identifier: MIT */
/* tiers/page_map.c: leaves come once for all threads, the map answers for every address, and
 * refusals are reported. Limits are set in children. */
#include "tiers/page_map.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "os/memory.h"
#include "tests/lib/prng.h"
#include "tests/lib/tap.h"
#include "tests/unit/tiers/child.h"

enum { REGION = 2 * 1024 * 1024 };

static int is_foreign(const void *address)
{
    struct hak_page page = hak_page_find(address);
    return page.class_id == 0 && page.offset == HAK_PAGE_FOREIGN && page.home == 0;
}

/* Writes and reads entries of a fresh region. */
static int serves(void)
{
    char *region = hak_os_map(REGION, REGION);
    int good = region != NULL && EXPECT_EQ(hak_page_map_cover(region, REGION), 0) &&
               EXPECT(is_foreign(region)) && EXPECT(is_foreign(region + REGION - 1));
    if (!good)
        return 0;
    hak_page_map_set_kind(region, 1, HAK_PAGE_RESERVED, 0);
    hak_page_map_set_slab(region + 3 * HAK_PAGE_SIZE, 8, 41, 0xabcd);
    for (unsigned page = 0; page < REGION / HAK_PAGE_SIZE; page++) {
        struct hak_page found = hak_page_find(region + page * HAK_PAGE_SIZE + page * 17);
        int in_slab = page >= 3 && page < 11;
        good &= EXPECT_EQ(found.class_id, in_slab ? 41 : 0);
        good &= EXPECT_EQ(found.home, in_slab ? 0xabcd : 0);
        good &= EXPECT_EQ(found.offset, in_slab ? page - 3 : page == 0 ? HAK_PAGE_RESERVED : 0);
    }
    hak_page_map_set_kind(region, REGION / HAK_PAGE_SIZE, HAK_PAGE_FOREIGN, 0);
    for (unsigned page = 0; page < REGION / HAK_PAGE_SIZE; page++)
        good &= EXPECT(is_foreign(region + page * HAK_PAGE_SIZE));
    return good;
}

static int strangers_are_foreign(void)
{
    int here = 0;
    int good = EXPECT(is_foreign(NULL)) && EXPECT(is_foreign(&here)) &&
               EXPECT(is_foreign("text")) && EXPECT(is_foreign((void *)UINTPTR_MAX)) &&
               EXPECT(is_foreign((void *)((uintptr_t)1 << 47))) &&
               EXPECT(is_foreign((void *)(((uintptr_t)1 << 47) - 1))) &&
               EXPECT(is_foreign((void *)((uintptr_t)1 << 63)));
    struct prng prng = {7};
    for (unsigned i = 0; i < 10000; i++)
        good &= EXPECT(is_foreign((void *)(prng_next(&prng) | (uint64_t)1 << 48)));
    return good;
}

static void serves_and_strangers(void)
{
    strangers_are_foreign(); /* before the first leaf */
    EXPECT(serves() && serves());
    strangers_are_foreign();
}

/* ---- leaves ----------------------------------------------------------------------------- */

/* The number of the 4 GiB of the lower half of user space: the kernel maps top down, so nothing of
 * ours lies there. */
static char *low(uintptr_t leaf)
{
    return (char *)(leaf << HAK_PAGE_LEAF_SHIFT);
}

static void only_user_space_is_covered(void)
{
    const uintptr_t end = (uintptr_t)1 << HAK_OS_ADDRESS_BITS;
    EXPECT_EQ(hak_page_map_cover((void *)end, REGION), -ENOMEM);
    EXPECT_EQ(hak_page_map_cover((void *)(end - REGION), REGION + 1), -ENOMEM);
    EXPECT_EQ(hak_page_map_cover((void *)UINTPTR_MAX, 2), -ENOMEM);
    EXPECT_EQ(hak_page_map_cover(low(40), SIZE_MAX), -ENOMEM);
    EXPECT_EQ(hak_page_map_cover((void *)(end - REGION), REGION), 0);
    hak_page_map_set_slab((void *)(end - HAK_PAGE_SIZE), 1, 3, 9);
    EXPECT_EQ(hak_page_entry((void *)(end - 1)), hak_page_pack(3, 0, 9));
    EXPECT(is_foreign((void *)end));
    hak_page_map_set_kind((void *)(end - HAK_PAGE_SIZE), 1, HAK_PAGE_FOREIGN, 0);
}

/* No bit above those of user space may be lost. */
static void high_bits_count(void)
{
    char *region = hak_os_map(REGION, REGION);
    REQUIRE(region != NULL && hak_page_map_cover(region, REGION) == 0);
    hak_page_map_set_slab(region, 1, 7, 1);
    for (unsigned bit = 0; bit < 64; bit++) {
        uintptr_t address = (uintptr_t)region ^ (uintptr_t)1 << bit;
        EXPECT_EQ(hak_page_entry((void *)address),
                  bit < HAK_PAGE_SHIFT ? hak_page_pack(7, 0, 1) : 0);
    }
    hak_page_map_set_kind(region, 1, HAK_PAGE_FOREIGN, 0);
}

static void over_the_edge_of_a_leaf(void)
{
    char *edge = low(100);
    REQUIRE(hak_page_map_cover(edge - REGION, (size_t)2 * REGION) == 0);
    hak_page_map_set_slab(edge - 3 * HAK_PAGE_SIZE, 8, 11, 5);
    for (unsigned page = 0; page < 8; page++)
        EXPECT_EQ(hak_page_entry(edge + ((int)page - 3) * HAK_PAGE_SIZE),
                  hak_page_pack(11, page, 5));
    EXPECT(is_foreign(edge - 4 * HAK_PAGE_SIZE));
    EXPECT(is_foreign(edge + 5 * HAK_PAGE_SIZE));
    /* 12 GiB at once */
    EXPECT_EQ(hak_page_map_cover(low(110), (size_t)3 << HAK_PAGE_LEAF_SHIFT), 0);
    hak_page_map_set_slab(low(111), 1, 11, 6);
    EXPECT_EQ(hak_page_entry(low(111)), hak_page_pack(11, 0, 6));
}

static long pages_mapped(void)
{
    long pages = -1;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm != NULL) {
        if (fscanf(statm, "%ld", &pages) != 1)
            pages = -1;
        fclose(statm);
    }
    return pages;
}

enum { RACERS = 2, LEAVES = 2000, FIRST_LEAF = 1000 };

struct race {
    uintptr_t first;  /* leaf */
    uint64_t arrived; /* at the leaves so far, both; atomic */
    int failed;       /* atomic */
};

static void *cover_all(void *argument)
{
    struct race *race = argument;
    for (uintptr_t leaf = race->first; leaf < race->first + LEAVES; leaf++) {
        /* They meet by spinning: one that sleeps comes too late to race. */
        uint64_t all = (leaf - race->first + 1) * RACERS;
        __atomic_add_fetch(&race->arrived, 1, __ATOMIC_RELAXED);
        for (unsigned turn = 1; __atomic_load_n(&race->arrived, __ATOMIC_RELAXED) < all; turn++)
            if (turn % 1000 == 0)
                sched_yield();
        if (hak_page_map_cover(low(leaf), REGION) != 0)
            __atomic_store_n(&race->failed, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void run_race(uintptr_t first)
{
    struct race race = {.first = first};
    pthread_t threads[RACERS];
    for (unsigned i = 0; i < RACERS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, cover_all, &race) == 0);
    for (unsigned i = 0; i < RACERS; i++)
        pthread_join(threads[i], NULL);
    EXPECT_EQ(race.failed, 0);
}

/* The second thread gives its leaf back: there are no more addresses than leaves, and none the
 * second time. The first race is for the stacks, which libc keeps. */
static void threads_map_each_leaf_once(void)
{
    const long page = (long)hak_os_page_size();
    const long leaf_pages = ((long)sizeof(struct hak_page_leaf) + page - 1) / page;
    const long others = LEAVES / 8 * leaf_pages; /* mapped by a sanitizer meanwhile */
    run_race(FIRST_LEAF);
    long before = pages_mapped();
    run_race(FIRST_LEAF + LEAVES);
    long after = pages_mapped();
    run_race(FIRST_LEAF + LEAVES);
    EXPECT_LE(after - before, LEAVES * leaf_pages + others);
    EXPECT_GE(after - before, LEAVES * leaf_pages);
    EXPECT_LE(pages_mapped() - after, others);
}

/* ---- refusals --------------------------------------------------------------------------- */

static int refused_child(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0)
        return CHILD_CANNOT;
    struct rlimit nothing = {0, limit.rlim_max};
    int good = EXPECT_EQ(hak_page_map_cover(low(50), REGION), 0);
    if (setrlimit(RLIMIT_AS, &nothing) != 0)
        return CHILD_CANNOT;
    int refused = hak_page_map_cover(low(60), REGION);
    int there = hak_page_map_cover(low(50), REGION);
    int half = hak_page_map_cover(low(51) - REGION, (size_t)2 * REGION);
    int foreign = is_foreign(low(60)) && is_foreign(low(51));
    setrlimit(RLIMIT_AS, &limit);
    good &= EXPECT_EQ(refused, -ENOMEM) & EXPECT_EQ(there, 0) & EXPECT_EQ(half, -ENOMEM);
    good &= EXPECT(foreign);
    good &= EXPECT_EQ(hak_page_map_cover(low(60), REGION), 0);
    good &= serves() && strangers_are_foreign();
    return good ? CHILD_HELD : CHILD_FAILED;
}

static void refused(void)
{
    child_run(refused_child, "an address-space limit");
}

/* Under limits that forbid a reservation for all of user space. */
static int limited(int resource, size_t bytes)
{
    if (!child_limit(resource, bytes))
        return CHILD_CANNOT;
    int good = strangers_are_foreign();
    for (unsigned round = 0; round < 20; round++)
        good &= serves();
    good &= strangers_are_foreign();
    return good ? CHILD_HELD : CHILD_FAILED;
}

static int limited_space_child(void)
{
    return limited(RLIMIT_AS, (size_t)256 << 20);
}

static int limited_data_child(void)
{
    return limited(RLIMIT_DATA, (size_t)256 << 20);
}

static void little_space(void)
{
    child_run(limited_space_child, "an address-space limit");
}

static void little_data(void)
{
    child_run(limited_data_child, "a limit on data");
}

/* ---- entries ---------------------------------------------------------------------------- */

static void entries_keep_their_parts(void)
{
    for (unsigned class_id = 0; class_id < 256; class_id += 5)
        for (unsigned offset = 0; offset < 256; offset += 3)
            for (unsigned home = 0; home < 65536; home += 4369) {
                struct hak_page page = hak_page_unpack(hak_page_pack(class_id, offset, home));
                EXPECT_EQ(page.class_id, class_id);
                EXPECT_EQ(page.offset, offset);
                EXPECT_EQ(page.home, home);
            }
}

/* The fast paths read what hak_page_find says, wherever they look. */
static void fast_look_agrees(void)
{
    char *region = hak_os_map(REGION, REGION);
    REQUIRE(region != NULL && hak_page_map_cover(region, REGION) == 0);
    struct prng prng = {11};
    for (unsigned round = 0; round < 2000; round++) {
        unsigned page = (unsigned)prng_below(&prng, REGION / HAK_PAGE_SIZE - 8);
        unsigned pages = 1 + (unsigned)prng_below(&prng, 8);
        unsigned class_id = (unsigned)prng_below(&prng, 73);
        unsigned home = (unsigned)prng_below(&prng, 65536);
        hak_page_map_set_slab(region + page * HAK_PAGE_SIZE, pages, class_id, home);
        unsigned within = (unsigned)prng_below(&prng, pages);
        const char *address = region + (page + within) * HAK_PAGE_SIZE + round;
        EXPECT_EQ(hak_page_entry(address), hak_page_pack(class_id, within, home));
        struct hak_page found = hak_page_find(address);
        EXPECT_EQ(hak_page_pack(found.class_id, found.offset, found.home), hak_page_entry(address));
    }
}

/* Of one region, of many, over the edge of a leaf; entries outside the heap lead to none. */
static void headers_are_found(void)
{
    static char one, many;
    char *edge = low(70) - 2 * (size_t)REGION;
    REQUIRE(hak_page_map_cover(edge, 5 * (size_t)REGION) == 0);
    hak_page_map_set_header(edge, REGION, &one);
    hak_page_map_set_header(edge + REGION, 4 * (size_t)REGION, &many);
    EXPECT(hak_page_header(edge) == &one);
    EXPECT(hak_page_header(edge + REGION - 1) == &one);
    for (size_t at = REGION; at < 5 * (size_t)REGION; at += 100000)
        EXPECT(hak_page_header(edge + at) == &many);
    EXPECT(hak_page_header(edge + 5 * (size_t)REGION) == NULL);
    EXPECT(hak_page_header(edge - 1) == NULL);
    EXPECT_EQ(hak_page_entry(edge), 0); /* beside the entries, not among them */
    hak_page_map_set_header(edge, 5 * (size_t)REGION, NULL);
    EXPECT(hak_page_header(edge + REGION) == NULL);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"pages are found, and addresses outside the heap are foreign", serves_and_strangers},
        {"only user space is covered", only_user_space_is_covered},
        {"no bit of an address is lost", high_bits_count},
        {"a slab may lie over the edge of a leaf", over_the_edge_of_a_leaf},
        {"the map works in 256 MiB of addresses", little_space},
        {"the map works in 256 MiB of data", little_data},
        {"threads map each leaf once", threads_map_each_leaf_once},
        {"a refused leaf is reported, and mapped later", refused},
        {"headers are found", headers_are_found},
        {"entries keep their parts", entries_keep_their_parts},
        {"the fast look agrees with the safe one", fast_look_agrees},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
