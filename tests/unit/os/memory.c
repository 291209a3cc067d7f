/* SPDX-License-Identifier: MIT */
/* os/memory.c: mapped memory is aligned, zero, writable, and gone after an unmap. */
#include "os/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/bits.h"
#include "tests/lib/smaps.h"
#include "tests/lib/tap.h"

static int is_zero(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0)
            return 0;
    }
    return 1;
}

static void aligned(void)
{
    size_t page = hak_os_page_size();
    EXPECT(hak_is_power_of_two(page) && page >= 4096);
    for (size_t alignment = page; alignment <= (size_t)1 << 30; alignment *= 4) {
        for (size_t size = page; size <= 64 * page; size *= 8) {
            char *memory = hak_os_map(size, alignment);
            REQUIRE(memory != NULL);
            EXPECT_EQ((uintptr_t)memory & (alignment - 1), 0);
            EXPECT(is_zero(memory, size));
            memset(memory, 0x5a, size);
            EXPECT_EQ(hak_os_unmap(memory, size), 0);
        }
    }
}

static void refused(void)
{
    errno = 77;
    EXPECT(hak_os_map(SIZE_MAX & ~(size_t)0xffff, hak_os_page_size()) == NULL);
    EXPECT(hak_os_map((size_t)1 << 62, (size_t)1 << 62) == NULL);
    EXPECT_EQ(hak_os_unmap((void *)1, 1), -EINVAL);
    EXPECT_EQ(errno, 77);
}

static void at_address(void)
{
    size_t size = 16 * hak_os_page_size();
    char *memory = hak_os_map(size, hak_os_page_size());
    REQUIRE(memory != NULL);
    EXPECT(hak_os_map_at(memory, size) == NULL);
    EXPECT_EQ(hak_os_unmap(memory, size), 0);
    EXPECT(hak_os_map_at(memory, size) == memory);
    memset(memory, 1, size);
    EXPECT_EQ(hak_os_unmap(memory, size), 0);
}

static void sparse(void)
{
    size_t size = (size_t)8 << 20;
    char *memory = hak_os_map(size, hak_os_page_size());
    REQUIRE(memory != NULL);
    hak_os_advise_sparse(memory, size);
    EXPECT_EQ(memory[size / 2], 0);
    memory[size / 2] = 1;
    if (smaps_has_flag(memory, " dd") < 0)
        tap_skip("the kernel tells no flags");
    else
        EXPECT_EQ(smaps_has_flag(memory, " dd"), 1);
    EXPECT_EQ(hak_os_unmap(memory, size), 0);
}

static void wiped(void)
{
    size_t size = hak_os_page_size();
    char *memory = hak_os_map(size, size);
    REQUIRE(memory != NULL);
    if (hak_os_advise_wipe(memory, size) != 0) {
        tap_skip("the kernel wipes nothing at a fork");
        return;
    }
    memory[0] = 1;
    pid_t child = fork();
    if (child == 0)
        _exit(memory[0]);
    int status = 0;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    EXPECT_EQ(memory[0], 1);
    EXPECT_EQ(hak_os_unmap(memory, size), 0);
}

static void purged(void)
{
    size_t size = 8 * hak_os_page_size();
    char *memory = hak_os_map(size, hak_os_page_size());
    REQUIRE(memory != NULL);
    memset(memory, 1, size);
    EXPECT_EQ(hak_os_purge(memory, size, HAK_PURGE_NOW), 0);
    EXPECT(is_zero(memory, size));
    memset(memory, 2, size);
    int lazy = hak_os_purge(memory, size, HAK_PURGE_LAZY);
    EXPECT(lazy == 0 || lazy == -EINVAL);
    memset(memory, 3, size);
    EXPECT_EQ(memory[size - 1], 3);
    EXPECT_EQ(hak_os_unmap(memory, size), 0);
}

static int holds(const char *bytes, size_t size, char value)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != value)
            return 0;
    }
    return 1;
}

/* Every third of some pages. */
static void purged_ranges(void)
{
    enum { MOST = 32 };
    size_t page = hak_os_page_size();
    size_t size = 3 * MOST * page;
    struct hak_os_range ranges[MOST];
    char *memory = hak_os_map(size, page);
    REQUIRE(memory != NULL);
    EXPECT_EQ(hak_os_purge_ranges(NULL, 0), 0);
    for (unsigned count = 1; count <= MOST; count++) {
        memset(memory, 0x5a, size);
        for (unsigned i = 0; i < count; i++)
            ranges[i] = (struct hak_os_range){memory + 3 * i * page, page};
        EXPECT_EQ(hak_os_purge_ranges(ranges, count), 0);
        for (unsigned i = 0; i < count; i++) {
            EXPECT(is_zero(memory + 3 * i * page, page));
            EXPECT(holds(memory + (3 * i + 1) * page, 2 * page, 0x5a));
        }
        EXPECT(holds(memory + 3 * count * page, size - 3 * count * page, 0x5a));
    }
    EXPECT_EQ(hak_os_unmap(memory, size), 0);
}

/* A range that is not mapped is reported; ranges after it are purged all the same. */
static void purged_ranges_refused(void)
{
    size_t page = hak_os_page_size();
    char *memory = hak_os_map(5 * page, page);
    REQUIRE(memory != NULL);
    EXPECT_EQ(hak_os_unmap(memory + 2 * page, page), 0);
    struct hak_os_range ranges[] = {{memory, page}, {memory + 2 * page, page}};
    errno = 77;
    EXPECT_EQ(hak_os_purge_ranges(ranges, 2), -ENOMEM);
    EXPECT_EQ(hak_os_purge_ranges(ranges + 1, 1), -ENOMEM);
    EXPECT_EQ(errno, 77);
    ranges[1].address = memory + 4 * page;
    memset(memory, 1, 2 * page);
    memset(memory + 3 * page, 1, 2 * page);
    EXPECT_EQ(hak_os_purge_ranges(ranges, 2), 0);
    EXPECT(is_zero(memory, page) && is_zero(memory + 4 * page, page));
    EXPECT(holds(memory + page, page, 1) && holds(memory + 3 * page, page, 1));
    EXPECT_EQ(hak_os_unmap(memory, 2 * page), 0);
    EXPECT_EQ(hak_os_unmap(memory + 3 * page, 2 * page), 0);
}

static void remapped(void)
{
    size_t page = hak_os_page_size();
    char *memory = hak_os_map(8 * page, page);
    char *target = hak_os_map(32 * page, page);
    REQUIRE(memory != NULL && target != NULL);
    memory[0] = 'a';
    /* its own second half stands in the way of the first */
    EXPECT_EQ(hak_os_grow(memory, 4 * page, 8 * page), -ENOMEM);
    EXPECT_EQ(memory[0], 'a');
    EXPECT_EQ(hak_os_can_move(), 1);
    EXPECT(hak_os_remap_to(memory, 8 * page, 32 * page, target) == target);
    EXPECT_EQ(target[0], 'a');
    EXPECT(is_zero(target + 16 * page, 16 * page));
    EXPECT_EQ(hak_os_unmap(target + page, 31 * page), 0);
    EXPECT_EQ(hak_os_grow(target, page, 2 * page), 0);
    target[page] = 'b';
    hak_os_advise_huge(target, 2 * page, HAK_HUGE_NEVER);
    EXPECT_EQ(hak_os_unmap(target, 2 * page), 0);
}

/* A range that advice has cut in two can neither grow nor move, which has an error of its own. */
static void cut_ranges_are_told(void)
{
    size_t page = hak_os_page_size();
    char *memory = hak_os_map(8 * page, page);
    REQUIRE(memory != NULL);
    REQUIRE(madvise(memory + 4 * page, 4 * page, MADV_DONTFORK) == 0);
    EXPECT_EQ(hak_os_grow(memory, 8 * page, 16 * page), -EFAULT);
    hak_os_release(memory, 8 * page, HAK_OS_PLAIN);
    EXPECT(hak_os_map_at(memory, 8 * page) == memory);
    hak_os_release(memory, 8 * page, HAK_OS_PLAIN);
}

/* With those that there are: tests/unit/tiers/region.c reserves some. */
static void explicit_huge_pages(void)
{
    size_t huge = 2048 * 1024;
    errno = 77;
    char *memory = hak_os_map_huge(2 * huge);
    EXPECT(hak_os_map_huge((size_t)1 << 46) == NULL);
    EXPECT_EQ(errno, 77);
    if (memory == NULL) {
        tap_skip("there are none");
        return;
    }
    EXPECT_EQ((uintptr_t)memory % huge, 0);
    EXPECT(is_zero(memory, 2 * huge));
    EXPECT(hak_os_unmap(memory, 4096) != 0);
    EXPECT_EQ(hak_os_unmap(memory, huge), 0);
    EXPECT_EQ(hak_os_unmap(memory + huge, huge), 0);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"maps are aligned, zero and writable", aligned},
        {"impossible requests are refused without errno", refused},
        {"a map at an address takes it or nothing", at_address},
        {"a sparse mapping reads as zero and is no part of core dumps", sparse},
        {"a child finds a range wiped if it was marked so", wiped},
        {"purged memory stays usable", purged},
        {"many ranges are purged, and nothing between them", purged_ranges},
        {"a range that is not mapped is reported", purged_ranges_refused},
        {"explicit huge pages are whole or refused", explicit_huge_pages},
        {"a remap keeps what was written", remapped},
        {"a range cut by advice is told from one that has no room", cut_ranges_are_told},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
