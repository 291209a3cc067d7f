/* SPDX-License-Identifier: MIT */
/* os/kept.c: ranges that could not be unmapped are used again, zero and whole, and unmapped when
 * possible. */
#include "os/kept.h"

#include <string.h>
#include <sys/mman.h>

#include "os/memory.h"
#include "tests/lib/prng.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

enum { MIB = 1024 * 1024 };

static size_t page;

static char *put(size_t size, enum hak_kept_kind kind, char pattern)
{
    page = hak_os_page_size();
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!EXPECT(memory != MAP_FAILED))
        return NULL;
    if (pattern != 0)
        memset(memory, pattern, size);
    hak_kept_put(memory, size, kind);
    return memory;
}

static int is_zero(const char *memory, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (memory[i] != 0)
            return 0;
    return 1;
}

static void end(void)
{
    for (int i = 0; i < 1000 && hak_kept_bytes() != 0; i++)
        hak_kept_retry();
    EXPECT_EQ(hak_kept_bytes(), 0);
}

static void serves_again(void)
{
    EXPECT(hak_kept_take(4096, 4096) == NULL);
    char *memory = put(8 * MIB, HAK_KEPT_ZERO, 0);
    REQUIRE(memory != NULL);
    EXPECT_EQ(hak_kept_bytes(), 8 * MIB);
    char *region = hak_kept_take(2 * MIB, 2 * MIB);
    REQUIRE(region != NULL);
    EXPECT_EQ((uintptr_t)region % (2 * MIB), 0);
    EXPECT(region >= memory && region + 2 * MIB <= memory + 8 * MIB);
    EXPECT(is_zero(region, 2 * MIB));
    EXPECT_EQ(hak_kept_bytes(), 6 * MIB);
    memset(region, 7, 2 * MIB);
    char *other = hak_kept_take(page, page);
    REQUIRE(other != NULL);
    EXPECT(other < region || other >= region + 2 * MIB);
    EXPECT(is_zero(other, page));
    for (size_t i = 0; i < 2 * MIB; i++)
        if (region[i] != 7) {
            EXPECT_EQ(region[i], 7);
            break;
        }
    hak_os_unmap(region, 2 * MIB);
    hak_os_unmap(other, page);
    end();
}

/* hak_os_map asks here first. */
static void maps_are_served(void)
{
    char *memory = put(4 * MIB, HAK_KEPT_ZERO, 0);
    REQUIRE(memory != NULL);
    char *mapped = hak_os_map(4 * MIB, page);
    EXPECT(mapped == memory);
    EXPECT(mapped != NULL && is_zero(mapped, 4 * MIB));
    EXPECT_EQ(hak_kept_bytes(), 0);
    hak_os_release(mapped, 4 * MIB, HAK_OS_PLAIN);
}

static void dirty_ones_are_cleared(void)
{
    char *memory = put(MIB, HAK_KEPT_DIRTY, 9);
    REQUIRE(memory != NULL);
    char *part = hak_kept_take(MIB / 2, page);
    EXPECT(part != NULL && is_zero(part, MIB / 2));
    char *rest = hak_kept_take(MIB / 2, page);
    EXPECT(rest != NULL && is_zero(rest, MIB / 2));
    EXPECT_EQ(hak_kept_bytes(), 0);
    hak_os_unmap(memory, MIB);
}

static void huge_ones_only_go(void)
{
    char *memory = put(4 * MIB, HAK_KEPT_HUGE, 0);
    REQUIRE(memory != NULL);
    EXPECT(hak_kept_take(2 * MIB, page) == NULL);
    EXPECT_EQ(hak_kept_bytes(), 0); /* plain memory, here: it could be unmapped */
    EXPECT(hak_os_map_at(memory, 4 * MIB) == memory);
    hak_os_unmap(memory, 4 * MIB);
}

/* Pages that do not touch each other. */
static char *put_apart(int ranges)
{
    page = hak_os_page_size();
    char *memory = hak_os_map((size_t)ranges * 2 * page, page);
    for (int i = 0; memory != NULL && i < ranges; i++)
        hak_kept_put(memory + (size_t)i * 2 * page, page, HAK_KEPT_ZERO);
    return memory;
}

/* The work of a call is bounded; the next call looks at other ranges. */
static void looks_are_bounded(void)
{
    enum { RANGES = 3 * HAK_KEPT_TRIES };
    char *memory = put_apart(RANGES);
    REQUIRE(memory != NULL);
    for (int left = RANGES - HAK_KEPT_TRIES; left >= 0; left -= HAK_KEPT_TRIES) {
        EXPECT_EQ(hak_kept_retry(), HAK_KEPT_TRIES * page);
        EXPECT_EQ(hak_kept_bytes(), (size_t)left * page);
    }
    hak_os_unmap(memory, RANGES * 2 * page);
}

/* Ranges that were cut into small pieces become whole again, and no header is left inside. */
static void neighbours_join(void)
{
    enum { RANGES = 16 };
    char *memory = put_apart(RANGES);
    REQUIRE(memory != NULL);
    EXPECT(hak_kept_bytes() == RANGES * page);
    for (int i = 0; i < RANGES - 1; i++)
        hak_kept_put(memory + (size_t)(2 * i + 1) * page, page, HAK_KEPT_ZERO);
    size_t size = (2 * RANGES - 1) * page;
    char *whole = hak_kept_take(size, page);
    EXPECT(whole == memory);
    EXPECT(whole != NULL && is_zero(whole, size));
    EXPECT_EQ(hak_kept_bytes(), 0);
    hak_os_unmap(memory, RANGES * 2 * page);
}

/* The smallest that has the room. */
static void the_best_fits(void)
{
    char *memory = hak_os_map(8 * MIB, MIB);
    REQUIRE(memory != NULL);
    hak_kept_put(memory, 4 * MIB, HAK_KEPT_ZERO);
    hak_kept_put(memory + 5 * MIB, MIB, HAK_KEPT_ZERO);
    hak_kept_put(memory + 7 * MIB, MIB / 2, HAK_KEPT_ZERO);
    /* In this order: what does not serve is unmapped. */
    EXPECT(hak_kept_take(MIB / 2, page) == memory + 7 * MIB);
    EXPECT(hak_kept_take(MIB, MIB) == memory + 5 * MIB);
    EXPECT(hak_kept_take(4 * MIB, page) == memory);
    EXPECT_EQ(hak_kept_bytes(), 0);
    hak_os_unmap(memory, 8 * MIB);
}

static void *churn(void *argument)
{
    struct prng prng = {*(uint64_t *)argument};
    for (int i = 0; i < 3000; i++) {
        size_t size = (1 + prng_below(&prng, 16)) * page;
        char *memory = hak_os_map(size, page);
        if (!EXPECT(memory != NULL) || !EXPECT(is_zero(memory, size)))
            break;
        memset(memory, 1 + i % 100, size);
        if (i % 2 == 0)
            hak_kept_put(memory, size, HAK_KEPT_DIRTY);
        else
            hak_os_release(memory, size, HAK_OS_PLAIN);
    }
    return NULL;
}

static void threads_share(void)
{
    uint64_t seeds[] = {1, 2, 3, 4};
    page = hak_os_page_size();
    threads_run(4, churn, seeds, sizeof seeds[0]);
    end();
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a kept range serves in parts, zero and aligned", serves_again},
        {"maps are served out of it first", maps_are_served},
        {"a range that could not be purged is cleared", dirty_ones_are_cleared},
        {"huge pages are unmapped and nothing else", huge_ones_only_go},
        {"a call tries to unmap a few", looks_are_bounded},
        {"neighbours are joined", neighbours_join},
        {"the smallest range that has room serves", the_best_fits},
        {"threads share the list", threads_share},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
