/* SPDX-License-Identifier: MIT */
/*
 * rounds: runs of 1 to 3 MiB, --slots of them, taken and touched and all freed again, and so on.
 *
 * One thread, whose shard is one of many if HAKMEM_SHARD says so: what it frees is wanted again at
 * once, and must be kept for it whatever the others might need. An operation is a round.
 */
#include "bench/lib/bench.h"

enum { PAGE = 4096 };

static void touch(unsigned char *object, size_t size)
{
    for (size_t at = PAGE; at < size; at += PAGE)
        object[at] = (unsigned char)size;
}

static void work(struct bench_worker *worker)
{
    const struct bench_options *options = worker->options;
    void **table = bench_map(options->slots * sizeof *table);
    size_t step = options->slots > 1 ? (options->max - options->min) / (options->slots - 1) : 0;
    while (bench_more(worker)) {
        for (size_t i = 0; i < options->slots; i++) {
            size_t size = options->min + i * step;
            table[i] = malloc(size);
            if (table[i] == NULL)
                bench_die("malloc found no memory");
            touch(table[i], size);
            bench_fill(table[i], size, options->mode);
        }
        for (size_t i = 0; i < options->slots; i++) {
            worker->faults += bench_spoilt(table[i], options->max, options->mode);
            free(table[i]);
        }
        worker->ops++;
    }
}

int main(int argc, char **argv)
{
    struct bench_options options = {
        .seconds = 1,
        .threads = 1,
        .min = 1 << 20,
        .max = 3 << 20,
        .slots = 8,
        .smoke_ops = 50,
    };
    bench_parse(&options, argc, argv,
                "Runs of 1 to 3 MiB, all taken, touched and freed in rounds.");
    return bench_run("rounds", &options, work, NULL);
}
