/* SPDX-License-Identifier: MIT */
/* os/signals.h: masks are set and put back whole, libc's private signals included. */
#include "os/signals.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "tests/lib/tap.h"

static const uint64_t PRIVATE = UINT64_C(3) << 31; /* 32 and 33 */

static void whole(void)
{
    uint64_t before = hak_os_signals();
    hak_os_set_signals(before | PRIVATE | 1);
    EXPECT_EQ(hak_os_signals(), before | PRIVATE | 1);
    uint64_t old = hak_os_block_signals();
    EXPECT_EQ(old, before | PRIVATE | 1);
    hak_os_set_signals(old);
    EXPECT_EQ(hak_os_signals(), before | PRIVATE | 1);
    hak_os_set_signals(before);
    EXPECT_EQ(hak_os_signals(), before);
}

/* All signals that may be blocked are, but not those by which libc reaches threads. */
static void blocked(void)
{
    sigset_t now;
    uint64_t before = hak_os_block_signals();
    EXPECT_EQ(hak_os_signals() & PRIVATE, before & PRIVATE);
    pthread_sigmask(SIG_BLOCK, NULL, &now);
    for (int number = 1; number <= 64; number++) {
        bool may_be = number != SIGKILL && number != SIGSTOP && number != 32 && number != 33;
        EXPECT_EQ((hak_os_signals() >> (number - 1) & 1) != 0, may_be);
    }
    EXPECT(sigismember(&now, SIGUSR1));
    hak_os_set_signals(before);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a mask is set and put back whole", whole},
        {"all signals but libc's own are blocked", blocked},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
