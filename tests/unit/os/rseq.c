/* SPDX-License-Identifier: MIT */
/* os/rseq.c: the area is the thread's, the disturbance comes and goes, the fence returns. */
#define _GNU_SOURCE
#include "os/rseq.h"

#include <errno.h>
#include <sched.h>

#include "os/cpu.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

enum { CPU_ID = 4, ROUNDS = 20 };

static void found(void)
{
    ptrdiff_t offset = 0;
    int refused = hak_os_rseq_find(&offset);
    if (refused) {
        EXPECT(refused == -ENOSYS || refused == -EOPNOTSUPP);
        tap_skip("no restartable sequences here (%d)", refused);
        return;
    }
    EXPECT_EQ(offset + CPU_ID, hak_os_rseq_cpu_id);
    EXPECT(hak_os_read_thread_word(offset + CPU_ID) >= 0);
}

/* The flag is set, and the affinity is as before. That a sequence is restarted meanwhile is
 * tests/unit/shard/front_cpu.c's; that CPUs plugged in later are allowed,
 * tests/vm/inside.sh's. */
static void disturbed(void)
{
    cpu_set_t before, after;
    REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t flag = 0;
        if (hak_os_disturb_begin(&flag) != 0) {
            tap_skip("no disturbance here");
            return;
        }
        while (__atomic_load_n(&flag, __ATOMIC_ACQUIRE) == 0)
            continue;
        hak_os_disturb_end();
    }
    REQUIRE(sched_getaffinity(0, sizeof after, &after) == 0);
    EXPECT(CPU_EQUAL(&before, &after));
}

static void fenced(void)
{
    cpu_set_t before, after;
    REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
    for (unsigned round = 0; round < ROUNDS; round++)
        EXPECT_EQ(hak_os_rseq_fence(), 0);
    REQUIRE(sched_getaffinity(0, sizeof after, &after) == 0);
    EXPECT(CPU_EQUAL(&before, &after));
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"the area is where libc registered it", found},
        {"a disturbance sets its flag, and leaves no trace", disturbed},
        {"the fence returns, and leaves no trace", fenced},
    };
    return tap_run(argc, argv, TAP_ANY, cases, sizeof cases / sizeof cases[0]);
}
