/* SPDX-License-Identifier: MIT */
/*
 * cache_scratch: does false sharing that the program caused once last for ever?
 *
 * The main thread allocates one object of 8 bytes for each thread; the objects are adjacent, in one
 * cache line. Each thread frees its own and continues as in cache_thrash. An allocator that returns
 * the freed object to the same thread keeps all threads writing to that line. Idea: Hoard's test of
 * passive false sharing.
 */
#include "bench/lib/writes.h"

static void work(struct bench_worker *worker)
{
    void **gifts = worker->shared;
    free(gifts[worker->index]);
    bench_write_loop(worker);
}

int main(int argc, char **argv)
{
    struct bench_options options = {
        .seconds = 1,
        .threads = 2,
        .min = 8,
        .max = 8,
        .smoke_ops = 2000,
    };
    bench_parse(&options, argc, argv, "Passive false sharing: objects of --max bytes.");
    void **gifts = bench_map(options.threads * sizeof *gifts);
    for (unsigned i = 0; i < options.threads; i++)
        gifts[i] = malloc(options.max);
    return bench_run("cache_scratch", &options, work, gifts);
}
