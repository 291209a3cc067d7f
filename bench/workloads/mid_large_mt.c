/* SPDX-License-Identifier: MIT */
/*
 * mid_large_mt: 8 to 32 KiB on two threads, each with a working set of its own.
 *
 * Each draw looks at a random slot: it fills an empty one, and frees a full one with a probability
 * of one in four. In steady state four slots in five are full. As in the ancestor's program of this
 * name, an operation is a draw: two in five reach the allocator ("calls" in the line).
 *
 * Shapes: "steps" takes 8, 16 and 32 KiB; "uniform" any size from --min to --max.
 */
#include "bench/lib/bench.h"

#include <string.h>

enum { DRAWS_A_TURN = 10000 };

enum sizes { STEPS, UNIFORM };

static inline size_t step_size(uint64_t random, size_t min)
{
    return min << (((random & 0xffff) * 3) >> 16);
}

static inline void work_sizes(struct bench_worker *worker, enum sizes sizes)
{
    const struct bench_options *options = worker->options;
    const enum bench_mode mode = options->mode;
    void **table = bench_map(options->slots * sizeof *table);
    uint64_t state = worker->random;
    uint64_t called = 0;
    while (bench_more(worker)) {
        for (unsigned i = 0; i < DRAWS_A_TURN; i++) {
            uint64_t random = bench_random(&state);
            void **slot = &table[bench_below(random, options->slots)];
            if (*slot == NULL) {
                size_t size = sizes == STEPS ? step_size(random, options->min)
                                             : bench_size(random, options->min, options->max);
                *slot = malloc(size);
                bench_fill(*slot, size, mode);
                called++;
            } else if ((random & 3) == 0) {
                worker->faults += bench_spoilt(*slot, options->max, mode);
                free(*slot);
                *slot = NULL;
                called++;
            }
        }
        worker->ops += DRAWS_A_TURN;
    }
    worker->calls = called;
    for (size_t i = 0; i < options->slots; i++)
        free(table[i]);
}

static void work_steps(struct bench_worker *worker)
{
    work_sizes(worker, STEPS);
}

static void work_uniform(struct bench_worker *worker)
{
    work_sizes(worker, UNIFORM);
}

int main(int argc, char **argv)
{
    struct bench_options options = {
        .seconds = 1,
        .threads = 2,
        .min = 8 << 10,
        .max = 32 << 10,
        .slots = 256,
        .shape = "steps",
        .smoke_ops = 20000,
    };
    bench_parse(&options, argc, argv, "Working sets of 8 to 32 KiB; --shape steps or uniform.");
    bool is_steps = strcmp(options.shape, "steps") == 0;
    if (!is_steps && strcmp(options.shape, "uniform") != 0)
        bench_die("--shape must be steps or uniform");
    return bench_run("mid_large_mt", &options, is_steps ? work_steps : work_uniform, NULL);
}
