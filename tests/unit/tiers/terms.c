/* SPDX-License-Identifier: MIT */
/* tiers/terms.c: a limit that no number of threads exceeds, memory that comes back, the soft limit
 * reported once, pages as requested. */
#include "tiers/terms.h"

#include <string.h>

#include "tests/lib/smaps.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

enum {
    UNIT = 2 * 1024 * 1024,
    UNITS = 10,
    THREADS = 8,
};

static void limit_is_exact(void)
{
    struct hak_terms terms = {.limit = UNITS * (size_t)UNIT, .is_dumped = 1};
    void *memory[UNITS];
    for (unsigned i = 0; i < UNITS; i++) {
        memory[i] = hak_terms_map(&terms, -1, UNIT, HAK_TERMS_NO_HUGETLB).address;
        REQUIRE(memory[i] != NULL);
        EXPECT_EQ((uintptr_t)memory[i] % UNIT, 0);
        EXPECT_EQ(hak_terms_mapped(&terms), (i + 1) * (size_t)UNIT);
    }
    EXPECT(hak_terms_map(&terms, -1, UNIT, HAK_TERMS_NO_HUGETLB).address == NULL);
    EXPECT(hak_terms_map(&terms, -1, SIZE_MAX - UNIT + 1, HAK_TERMS_NO_HUGETLB).address == NULL);
    EXPECT_EQ(terms.refused, 2);
    EXPECT_EQ(terms.peak, UNITS * (size_t)UNIT);
    for (unsigned i = 0; i < UNITS; i++) {
        hak_os_release(memory[i], UNIT, HAK_OS_PLAIN);
        hak_terms_give_back(&terms, UNIT);
    }
    EXPECT_EQ(hak_terms_mapped(&terms), 0);
}

/* Refused memory does not count. */
static void refused_by_the_kernel(void)
{
    struct hak_terms terms = {.is_dumped = 1};
    EXPECT(hak_terms_map(&terms, -1, (size_t)1 << 62, HAK_TERMS_NO_HUGETLB).address == NULL);
    EXPECT_EQ(hak_terms_mapped(&terms), 0);
    EXPECT_EQ(terms.refused, 0);
}

static struct hak_terms shared = {.limit = UNITS * (size_t)UNIT, .is_dumped = 1};

static void *map_and_release(void *unused)
{
    for (unsigned round = 0; round < 300; round++) {
        void *memory[3];
        unsigned got = 0;
        while (got < 3 &&
               (memory[got] = hak_terms_map(&shared, -1, UNIT, HAK_TERMS_NO_HUGETLB).address) !=
                   NULL)
            got++;
        EXPECT_LE(hak_terms_mapped(&shared), UNITS * (size_t)UNIT);
        while (got != 0) {
            hak_os_release(memory[--got], UNIT, HAK_OS_PLAIN);
            hak_terms_give_back(&shared, UNIT);
        }
    }
    return unused;
}

static void limit_holds_for_threads(void)
{
    threads_run(THREADS, map_and_release, NULL, 0);
    EXPECT_EQ(hak_terms_mapped(&shared), 0);
    EXPECT_LE(shared.peak, UNITS * (size_t)UNIT);
}

static void soft_limit_is_told_once(void)
{
    struct hak_terms terms = {.soft_limit = 2 * (size_t)UNIT, .is_dumped = 1};
    void *memory[2];
    for (unsigned round = 0; round < 2; round++) {
        memory[0] = hak_terms_map(&terms, -1, UNIT, HAK_TERMS_NO_HUGETLB).address;
        EXPECT(!hak_terms_must_tell(&terms));
        memory[1] = hak_terms_map(&terms, -1, UNIT, HAK_TERMS_NO_HUGETLB).address;
        REQUIRE(memory[0] != NULL && memory[1] != NULL);
        EXPECT(hak_terms_must_tell(&terms));
        EXPECT(!hak_terms_must_tell(&terms));
        for (unsigned i = 0; i < 2; i++) {
            hak_os_release(memory[i], UNIT, HAK_OS_PLAIN);
            hak_terms_give_back(&terms, UNIT);
        }
    }
}

static void pages_are_as_asked_for(void)
{
    struct hak_terms terms = {.populates = 1, .huge = HAK_HUGE_NEVER, .wants_hugetlb = 1};
    struct hak_terms_memory memory = hak_terms_map(&terms, -1, UNIT, HAK_TERMS_NO_HUGETLB);
    REQUIRE(memory.address != NULL);
    EXPECT_EQ(memory.kind, HAK_OS_PLAIN);
    if (smaps_has_flag(memory.address, " dd") >= 0)
        EXPECT_EQ(smaps_has_flag(memory.address, " dd"), 1);
    if (smaps_kib(memory.address, "Rss:") >= 0)
        EXPECT_GE(smaps_kib(memory.address, "Rss:"), UNIT / 1024);
    hak_os_release(memory.address, UNIT, memory.kind);
    /* Where there are no explicit huge pages, others serve. */
    memory = hak_terms_map(&terms, -1, UNIT, HAK_TERMS_MAY_HUGETLB);
    REQUIRE(memory.address != NULL);
    memset(memory.address, 1, UNIT);
    hak_os_release(memory.address, UNIT, memory.kind);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a limit is exact", limit_is_exact},
        {"refused memory does not count", refused_by_the_kernel},
        {"threads together keep to a limit", limit_holds_for_threads},
        {"the soft limit is reported once until there is less", soft_limit_is_told_once},
        {"pages are as they were asked for", pages_are_as_asked_for},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
