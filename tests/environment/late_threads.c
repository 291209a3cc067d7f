/* SPDX-License-Identifier: MIT */
/*
 * late_threads.c - threads whose first malloc comes in their last destructors, where nothing can
 * tell the library that they end.
 */
#include "tests/lib/process.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

#include <stdint.h>
#include <stdlib.h>

enum {
    THREADS = 24000,
    WARM = 1000,
};

static pthread_key_t key;

static void destroy(void *argument)
{
    uintptr_t round = (uintptr_t)argument & 7;
    uintptr_t first = (uintptr_t)argument >> 3; /* the round that allocates */
    if (round < first) {
        pthread_setspecific(key, (void *)(first << 3 | (round + 1)));
        return;
    }
    void *objects[40];
    for (unsigned i = 0; i < 40; i++)
        objects[i] = malloc(50 * i);
    for (unsigned i = 0; i < 40; i++)
        free(objects[i]);
}

static void *body(void *round)
{
    pthread_setspecific(key, (void *)((uintptr_t)round << 3 | 1));
    return NULL;
}

/* Rounds 1 to 4 by turns; four threads at a time. */
static void resident_is_flat(void)
{
    size_t after_warm = 0;
    REQUIRE(pthread_key_create(&key, destroy) == 0);
    for (unsigned i = 0; i < THREADS; i += 4) {
        pthread_t threads[4];
        for (uintptr_t j = 0; j < 4; j++)
            REQUIRE(pthread_create(&threads[j], NULL, body, (void *)(j + 1)) == 0);
        for (unsigned j = 0; j < 4; j++)
            pthread_join(threads[j], NULL);
        if (i == WARM)
            after_warm = process_resident();
    }
    tap_note("%zu KiB after %d threads, %zu KiB after %d", after_warm >> 10, WARM,
             process_resident() >> 10, THREADS);
    EXPECT_LE(process_resident(), (size_t)32 << 20);
    EXPECT_LE(process_resident(), after_warm + (4u << 20));
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"threads that first allocate in their destructors leave nothing behind", resident_is_flat},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
