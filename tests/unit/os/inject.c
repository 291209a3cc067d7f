/* SPDX-License-Identifier: MIT */
/* os/inject.c: delays are short, differ, and some of them give up the CPU. */
#define _GNU_SOURCE
#include "os/inject.h"

#include <sys/resource.h>

#include "os/clock.h"
#include "tests/lib/tap.h"

enum { CALLS = 20000 };

static void delays(void)
{
    struct rusage before, after;
    unsigned long_ones = 0;
    REQUIRE(getrusage(RUSAGE_THREAD, &before) == 0);
    for (unsigned call = 0; call < CALLS; call++) {
        uint64_t start = hak_os_now_ns();
        hak_inject_delay();
        if (hak_os_now_ns() - start > 40000)
            long_ones++;
    }
    REQUIRE(getrusage(RUSAGE_THREAD, &after) == 0);
    tap_note("%u of %u calls above 40 us", long_ones, CALLS);
    EXPECT_GE(long_ones, CALLS / 4096); /* one in 1024 sleeps 50 us */
    EXPECT_LE(long_ones, CALLS / 2);    /* most pass */
    EXPECT_GE(after.ru_nvcsw - before.ru_nvcsw, CALLS / 4096);
}

/* The library's calls cost nothing in a build without injection. */
static void nothing_otherwise(void)
{
    struct rusage before, after;
    if (HAK_INJECT) {
        tap_skip("built with --enable-inject");
        return;
    }
    REQUIRE(getrusage(RUSAGE_THREAD, &before) == 0);
    for (unsigned call = 0; call < CALLS; call++)
        hak_inject();
    REQUIRE(getrusage(RUSAGE_THREAD, &after) == 0);
    EXPECT_LE(after.ru_nvcsw - before.ru_nvcsw, 2);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"delays come in all lengths", delays},
        {"a normal build has none", nothing_otherwise},
    };
    return tap_run(argc, argv, TAP_ANY, cases, sizeof cases / sizeof cases[0]);
}
