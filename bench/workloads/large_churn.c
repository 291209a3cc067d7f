/* SPDX-License-Identifier: MIT */
/*
 * large_churn: 64 KiB to 4 MiB, two threads with 64 slots each, every page touched.
 *
 * Each draw empties a full slot or fills an empty one, so half of the slots are full on average.
 * Memory that an allocator gives back costs page faults later: the result shows both, as time and
 * as peak RSS. An operation is a malloc or a free.
 */
#include "bench/lib/bench.h"

enum { DRAWS_A_TURN = 16, PAGE = 4096 };

static void touch_pages(unsigned char *object, size_t size)
{
    for (size_t at = PAGE; at < size; at += PAGE)
        object[at] = (unsigned char)size;
}

/* Reads back what touch_pages() wrote; the first word holds the size. */
static unsigned is_spoilt(const unsigned char *object, size_t max, enum bench_mode mode)
{
    size_t size = *(const size_t *)(const void *)object;
    if (mode == BENCH_MEASURE)
        return 0;
    if (size > max)
        return 1;
    for (size_t at = PAGE; at < size; at += PAGE)
        if (object[at] != (unsigned char)size)
            return 1;
    return 0;
}

static void work(struct bench_worker *worker)
{
    const struct bench_options *options = worker->options;
    void **table = bench_map(options->slots * sizeof *table);
    uint64_t state = worker->random;
    while (bench_more(worker)) {
        for (unsigned i = 0; i < DRAWS_A_TURN; i++) {
            uint64_t random = bench_random(&state);
            void **slot = &table[bench_below(random, options->slots)];
            if (*slot == NULL) {
                size_t size = bench_size(random, options->min, options->max);
                *slot = malloc(size);
                *(size_t *)*slot = size;
                touch_pages(*slot, size);
            } else {
                worker->faults += is_spoilt(*slot, options->max, options->mode);
                free(*slot);
                *slot = NULL;
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
        .seconds = 2,
        .threads = 2,
        .min = 64 << 10,
        .max = 4 << 20,
        .slots = 64,
        .smoke_ops = 300,
    };
    bench_parse(&options, argc, argv, "Large objects in and out of 64 slots, every page touched.");
    return bench_run("large_churn", &options, work, NULL);
}
