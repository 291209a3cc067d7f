/* SPDX-License-Identifier: MIT */
/* tiers/page_map.c: the whole map, its two fall-backs, and addresses that are nobody's. The
 * fall-backs are tried in children, for a map is reserved once in a process: those cases first. */
#include "tiers/page_map.h"

#include <stdlib.h>

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

/* ---- fall-backs ------------------------------------------------------------------------- */

/* Half of what the whole map takes: a window then. */
static int window_child(void)
{
    if (!child_limit(RLIMIT_AS, (size_t)4 << 30))
        return CHILD_CANNOT;
    int good = EXPECT_EQ(hak_page_map_start(), HAK_PAGE_MAP_WINDOW);
    good &= strangers_are_foreign(); /* before the window has a place */
    good &= serves() && serves() && strangers_are_foreign();
    /* The kernel's mappings lie close together; what lies far from the first cannot be served. */
    good &= EXPECT(hak_page_map_cover((void *)(uintptr_t)REGION, REGION) != 0);
    good &= EXPECT(hak_page_map_cover((void *)((uintptr_t)1 << 47), REGION) != 0);
    good &= EXPECT_EQ(hak_page_map_start(), HAK_PAGE_MAP_WINDOW);
    return good ? CHILD_HELD : CHILD_FAILED;
}

static void window(void)
{
    child_run(window_child, "an address-space limit");
}

static int nothing_child(void)
{
    if (!child_limit(RLIMIT_AS, 0) && getenv("HAKMEM_TEST_SANITIZE") != NULL)
        return CHILD_CANNOT;
    int good = EXPECT_EQ(hak_page_map_start(), HAK_PAGE_MAP_NONE);
    good &= EXPECT(is_foreign(NULL)) & EXPECT(is_foreign(&good));
    good &= EXPECT(hak_page_map_cover(&good, 1) != 0);
    return good ? CHILD_HELD : CHILD_FAILED;
}

static void nothing(void)
{
    child_run(nothing_child, "a limit of nothing");
}

/* A limit on data counts only what may be written: as strict overcommit does, it refuses the map
 * as writable memory and grants it as readable. */
static int strict_child(void)
{
    enum { MAP_BYTES = 1 << 30 };
    if (!child_limit(RLIMIT_DATA, MAP_BYTES))
        return CHILD_CANNOT;
    if (mmap(NULL, (size_t)4 * MAP_BYTES, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED)
        return CHILD_CANNOT;
    int good = EXPECT_EQ(hak_page_map_start(), HAK_PAGE_MAP_WHOLE);
    good &= strangers_are_foreign();
    for (unsigned round = 0; round < 20; round++)
        good &= serves();
    good &= strangers_are_foreign();
    return good ? CHILD_HELD : CHILD_FAILED;
}

static void strict(void)
{
    child_run(strict_child, "a limit on data");
}

/* ---- the whole map ---------------------------------------------------------------------- */

static void whole(void)
{
    EXPECT_EQ(hak_page_map_start(), HAK_PAGE_MAP_WHOLE);
    EXPECT_EQ(hak_page_map_start(), HAK_PAGE_MAP_WHOLE);
    REQUIRE(hak_page_map != NULL);
    serves();
    strangers_are_foreign();
}

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

/* What the fast paths read is what hak_page_find says, wherever they look. */
static void fast_look_agrees(void)
{
    REQUIRE(hak_page_map_start() == HAK_PAGE_MAP_WHOLE);
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
        EXPECT_EQ(hak_page_pack(found.class_id, found.offset, found.home),
                  hak_page_entry(address));
    }
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"without address space there is no map", nothing},
        {"an address-space limit leaves a window", window},
        {"a map that must be committed piece by piece serves", strict},
        {"the whole map serves", whole},
        {"entries keep their parts", entries_keep_their_parts},
        {"the fast look agrees with the safe one", fast_look_agrees},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
