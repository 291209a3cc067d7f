/* SPDX-License-Identifier: MIT */
/* os/clock.c: time passes, and does not go back. */
#include "os/clock.h"

#include <time.h>

#include "tests/lib/tap.h"

static void goes_on(void)
{
    uint64_t start = hak_os_now_ns();
    uint64_t coarse_start = hak_os_coarse_now_ns();
    uint64_t last = start;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t now = hak_os_now_ns();
        EXPECT_GE(now, last);
        last = now;
    }
    struct timespec pause = {.tv_nsec = 30 * 1000 * 1000};
    nanosleep(&pause, NULL);
    EXPECT_GE(hak_os_now_ns() - start, 30 * 1000 * 1000);
    EXPECT_GE(hak_os_coarse_now_ns() - coarse_start, 10 * 1000 * 1000);
}

static void agree(void)
{
    uint64_t coarse = hak_os_coarse_now_ns();
    uint64_t exact = hak_os_now_ns();
    EXPECT_GE(exact, coarse);
    EXPECT_LE(exact - coarse, 1000u * 1000 * 1000);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"time goes forward", goes_on},
        {"both clocks tell the same time", agree},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
