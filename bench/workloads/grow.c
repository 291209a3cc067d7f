/* SPDX-License-Identifier: MIT */
/*
 * grow: buffers that grow by realloc side by side, as strings and vectors do.
 *
 * A random buffer grows by half until it passes --max, then starts again at --min. Two in three
 * steps of a small buffer can stay in place or move a few bytes; for a large one, realloc by
 * copying and realloc by remapping differ. An operation is a malloc, realloc or free.
 */
#include "bench/lib/bench.h"

enum { STEPS_A_TURN = 500 };

/* The first word holds the size, so that contents can be checked after each move. */
static void *grow(struct bench_worker *worker, void *buffer)
{
    const struct bench_options *options = worker->options;
    size_t size = buffer == NULL ? 0 : *(size_t *)buffer;
    if (size > options->max) {
        free(buffer);
        buffer = NULL;
        size = 0;
        worker->ops++;
    }
    size_t grown = size == 0 ? options->min : size + size / 2;
    unsigned char *moved = realloc(buffer, grown);
    if (moved == NULL)
        bench_die("realloc found no memory");
    worker->faults +=
        size != 0 && (*(size_t *)(void *)moved != size || moved[size - 1] != (unsigned char)size);
    *(size_t *)(void *)moved = grown;
    moved[grown - 1] = (unsigned char)grown;
    worker->ops++;
    return moved;
}

static void work(struct bench_worker *worker)
{
    const struct bench_options *options = worker->options;
    void **table = bench_map(options->slots * sizeof *table);
    uint64_t state = worker->random;
    while (bench_more(worker)) {
        for (unsigned i = 0; i < STEPS_A_TURN; i++) {
            void **slot = &table[bench_below(bench_random(&state), options->slots)];
            *slot = grow(worker, *slot);
        }
    }
    for (size_t i = 0; i < options->slots; i++)
        free(table[i]);
}

int main(int argc, char **argv)
{
    struct bench_options options = {
        .seconds = 1,
        .threads = 1,
        .min = 16,
        .max = 64 << 10,
        .slots = 200,
        .smoke_ops = 20000,
    };
    bench_parse(&options, argc, argv, "Buffers that grow by realloc, from --min to past --max.");
    return bench_run("grow", &options, work, NULL);
}
