/* SPDX-License-Identifier: MIT */
/* tiers/headroom.c: a limit from an option, the reserve, and memory taken and given between two
 * looks. (os/limit.c's test covers cgroups.) */
#include "tiers/headroom.h"

#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "tests/lib/tap.h"

enum {
    MIB = 1024 * 1024,
};

static void unlimited(void)
{
    hak_headroom_start(HAK_HEADROOM_UNLIMITED, 0);
    hak_headroom_grow(64 * MIB);
    hak_headroom_take((size_t)1 << 50);
    EXPECT_EQ(hak_headroom_shortfall(), 0);
}

/* The test itself is resident with a few MiB, so a limit of 1 GiB is far and one of 1 MiB is
 * passed. */
static void by_bytes(void)
{
    hak_headroom_start(HAK_HEADROOM_BYTES, (size_t)1024 * MIB);
    hak_headroom_grow(31 * MIB);
    hak_headroom_take((size_t)2048 * MIB);
    EXPECT_EQ(hak_headroom_shortfall(), 0); /* too small to be looked at */
    hak_headroom_grow(1 * MIB);
    EXPECT_EQ(hak_headroom_shortfall(), 0);
    hak_headroom_take((size_t)960 * MIB);
    size_t missing = hak_headroom_shortfall();
    EXPECT_GE(missing, 64 * MIB); /* of the reserve of 128, what the test has apart */
    EXPECT_LE(missing, 128 * MIB);
    hak_headroom_give((size_t)40 * MIB);
    EXPECT_EQ(hak_headroom_shortfall(), missing - 40 * MIB);
}

static void asked_anew(void)
{
    hak_headroom_start(HAK_HEADROOM_BYTES, (size_t)1024 * MIB);
    hak_headroom_grow(32 * MIB);
    hak_headroom_take((size_t)4096 * MIB);
    EXPECT_GE(hak_headroom_shortfall(), (size_t)3072 * MIB);
    uint64_t now = hak_os_now_ns();
    hak_headroom_refresh(now); /* the kernel knows that nothing was taken */
    EXPECT_EQ(hak_headroom_shortfall(), 0);
    hak_headroom_take((size_t)4096 * MIB);
    hak_headroom_refresh(now + 1000);
    EXPECT_GE(hak_headroom_shortfall(), (size_t)3072 * MIB); /* not so soon */
    hak_headroom_refresh(now + 60ul * 1000 * 1000);
    EXPECT_EQ(hak_headroom_shortfall(), 0);
}

static void what_is_resident_counts(void)
{
    enum { SIZE = 96 * MIB };
    char *memory = malloc(SIZE);
    REQUIRE(memory != NULL);
    hak_headroom_start(HAK_HEADROOM_BYTES, (size_t)256 * MIB);
    hak_headroom_grow(32 * MIB);
    EXPECT_EQ(hak_headroom_shortfall(), 0);
    size_t after_take = 180 * MIB; /* leaves some 76 less the test itself: more than 32 */
    hak_headroom_take(after_take);
    EXPECT_EQ(hak_headroom_shortfall(), 0);
    memset(memory, 1, SIZE);
    hak_headroom_refresh(hak_os_now_ns() + 1000ul * 1000 * 1000);
    hak_headroom_take(after_take - 40 * MIB);
    EXPECT_GE(hak_headroom_shortfall(), 8 * MIB); /* 256 - 96 - 140 leaves 20 at the most */
    free(memory);
}

/* A group's limit, or none: no call may fail, whatever this machine has. */
static void by_cgroup(void)
{
    hak_headroom_start(HAK_HEADROOM_WATCH, 0);
    hak_headroom_grow(32 * MIB);
    hak_headroom_take((size_t)1 << 62);
    size_t missing = hak_headroom_shortfall();
    hak_headroom_refresh(hak_os_now_ns());
    EXPECT_LE(hak_headroom_shortfall(),
              (size_t)1 << 60); /* the kernel knows that nothing was taken */
    tap_note("%s", missing != 0 ? "in a group with a limit" : "no group's limit here");
    hak_headroom_start(HAK_HEADROOM_UNLIMITED, 0);
    EXPECT_EQ(hak_headroom_shortfall(), 0);
}

/* The group is read at the start, and never again. */
static void once_by(enum hak_headroom_mode mode)
{
    hak_headroom_start(mode, 0);
    size_t first = hak_headroom_shortfall();
    EXPECT_LE(first, (size_t)1 << 60);
    hak_headroom_take((size_t)1 << 61);
    size_t missing = hak_headroom_shortfall();
    hak_headroom_grow(64 * MIB);
    hak_headroom_refresh(hak_os_now_ns() + 1000ul * 1000 * 1000);
    EXPECT_EQ(hak_headroom_shortfall(), missing);
    EXPECT(missing == 0 || missing >= (size_t)1 << 60);
    hak_headroom_give((size_t)1 << 61);
    EXPECT_EQ(hak_headroom_shortfall(), first);
    hak_headroom_start(HAK_HEADROOM_UNLIMITED, 0);
}

static void once_by_cgroup(void)
{
    once_by(HAK_HEADROOM_CGROUP);
}

static void once_by_container(void)
{
    once_by(HAK_HEADROOM_CONTAINER);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"without a limit nothing is missing", unlimited},
        {"a limit in bytes, with its reserve", by_bytes},
        {"the kernel is asked again, but not too often", asked_anew},
        {"resident memory counts", what_is_resident_counts},
        {"the limit of a group, if there is one, watched", by_cgroup},
        {"the same, as it was at start", once_by_cgroup},
        {"the same of the container", once_by_container},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
