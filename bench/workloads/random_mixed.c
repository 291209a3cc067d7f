/* SPDX-License-Identifier: MIT */
/*
 * random_mixed: 8 to 128 bytes, random slots of a table of 400.
 *
 * Each turn draws a slot: it frees the object there, or fills an empty slot. No branch predictor
 * can know the outcome, as in a program whose frees are far from its mallocs.
 */
#include "bench/lib/bench.h"

enum { DRAWS_A_TURN = 10000 };

static void work(struct bench_worker *worker)
{
    const struct bench_options *options = worker->options;
    const enum bench_mode mode = options->mode;
    void **table = bench_map(options->slots * sizeof *table);
    uint64_t state = worker->random;
    while (bench_more(worker)) {
        for (unsigned i = 0; i < DRAWS_A_TURN; i++) {
            uint64_t random = bench_random(&state);
            void **slot = &table[bench_below(random, options->slots)];
            if (*slot != NULL) {
                worker->faults += bench_spoilt(*slot, options->max, mode);
                free(*slot);
                *slot = NULL;
            } else {
                size_t size = bench_size(random, options->min, options->max);
                *slot = malloc(size);
                bench_fill(*slot, size, mode);
            }
        }
        worker->ops += DRAWS_A_TURN;
    }
    for (size_t i = 0; i < options->slots; i++)
        free(table[i]);
}

int main(int argc, char **argv)
{
    struct bench_options options = {
        .seconds = 1,
        .threads = 1,
        .min = 8,
        .max = 128,
        .slots = 400,
        .smoke_ops = 200000,
    };
    bench_parse(&options, argc, argv, "Random slots of a table, filled or emptied.");
    return bench_run("random_mixed", &options, work, NULL);
}
