/* SPDX-License-Identifier: MIT */
/*
 * random.c - random calls from many threads against the shadow model (engine.h).
 *
 *   random [--threads N] [--seconds N] [--budget MIB] [--seed N]
 */
#include "tests/stress/allocator.h"
#include "tests/stress/engine.h"

#include <stdio.h>

static struct engine engine = {.seconds = 2, .budget = 192u << 20};

static void run_asked(void)
{
    engine_run(&engine, engine.threads, NULL);
}

static void run_4(void)
{
    engine_run(&engine, 4, NULL);
}

static void run_16(void)
{
    engine_run(&engine, 16, NULL);
}

static int read_options(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!engine_take_option(&engine, argv[i], argv[i + 1]))
            return 0;
    }
    return argc % 2 == 1;
}

int main(int argc, char **argv)
{
    static const struct tap_case asked[] = {
        {"random calls agree with the model, as many threads as asked", run_asked},
    };
    static const struct tap_case cases[] = {
        {"random calls of 4 threads agree with the model", run_4},
        {"random calls of 16 threads agree with the model", run_16},
    };
    if (!read_options(argc, argv)) {
        fputs("usage: random [--threads N] [--seconds N] [--budget MIB] [--seed N]\n", stderr);
        return 2;
    }
    if (engine_start(&engine) != 0)
        return 99;
    if (engine.threads)
        return tap_run(1, argv, stress_origin, asked, TAP_COUNT(asked));
    return tap_run(1, argv, stress_origin, cases, TAP_COUNT(cases));
}
