/* SPDX-License-Identifier: MIT */
/* os/fence.c: what one thread's plain stores and loads look like to another with the barrier
 * between its own (Dekker's, one side without a barrier). */
#include "os/fence.h"

#include <errno.h>
#include <stdint.h>

#include "os/compiler.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

enum { ROUNDS = 2000 };

static uint32_t turn, inside, closed, over;
static unsigned met;

static void *go_in_and_out(void *unused)
{
    while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
        __atomic_store_n(&inside, 1, __ATOMIC_RELAXED);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        if (!__atomic_load_n(&closed, __ATOMIC_RELAXED))
            __atomic_store_n(&turn, 1, __ATOMIC_RELAXED);
        __atomic_store_n(&inside, 0, __ATOMIC_RELEASE);
    }
    return unused;
}

/* Closed, fenced, and found outside: then nothing is written until it opens again. */
static void *close_and_look(void *unused)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        __atomic_store_n(&closed, 1, __ATOMIC_RELAXED);
        if (hak_os_fence_all() != 0)
            break;
        while (__atomic_load_n(&inside, __ATOMIC_ACQUIRE) != 0)
            ;
        __atomic_store_n(&turn, 0, __ATOMIC_RELAXED);
        for (unsigned look = 0; look < 50; look++)
            met += __atomic_load_n(&turn, __ATOMIC_RELAXED) != 0;
        __atomic_store_n(&closed, 0, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&over, 1, __ATOMIC_RELEASE);
    return unused;
}

static void *part(void *argument)
{
    return *(int *)argument ? close_and_look(NULL) : go_in_and_out(NULL);
}

static void orders_others(void)
{
    int closes[2] = {1, 0};
    int refused = hak_os_fence_all();
    if (refused != 0) {
        tap_skip("membarrier is refused: %d", -refused);
        return;
    }
    threads_run(2, part, closes, sizeof closes[0]);
    EXPECT_EQ(met, 0);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"who closes and fences sees who is inside", orders_others},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
