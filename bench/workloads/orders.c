/* SPDX-License-Identifier: MIT */
/*
 * orders: blocks of many small sizes, given back in three orders, as in the SmartHeap tests.
 *
 * A thread takes --slots blocks, mostly small ones, then frees them first to last, last to first,
 * or every other one before the rest. Half of them stay allocated through the next round.
 */
#include "bench/lib/bench.h"

struct block_run {
    void **table;
    size_t count;
};

/* The smaller of two draws: small blocks are more frequent. */
static size_t draw_size(const struct bench_options *options, uint64_t *state)
{
    size_t one = bench_size(bench_random(state), options->min, options->max);
    size_t other = bench_size(bench_random(state), options->min, options->max);
    return one < other ? one : other;
}

static void take_blocks(struct bench_worker *worker, struct block_run run)
{
    const struct bench_options *options = worker->options;
    for (size_t i = 0; i < run.count; i++) {
        size_t size = draw_size(options, &worker->random);
        run.table[i] = malloc(size);
        bench_fill(run.table[i], size, options->mode);
    }
    worker->ops += run.count;
}

static void give_block(struct bench_worker *worker, void *block)
{
    worker->faults += bench_spoilt(block, worker->options->max, worker->options->mode);
    free(block);
    worker->ops++;
}

static void give_blocks(struct bench_worker *worker, struct block_run run, unsigned order)
{
    if (order == 0) {
        for (size_t i = 0; i < run.count; i++)
            give_block(worker, run.table[i]);
    } else if (order == 1) {
        for (size_t i = run.count; i-- > 0;)
            give_block(worker, run.table[i]);
    } else {
        for (size_t i = 0; i < run.count; i += 2)
            give_block(worker, run.table[i]);
        for (size_t i = 1; i < run.count; i += 2)
            give_block(worker, run.table[i]);
    }
}

static void work(struct bench_worker *worker)
{
    size_t half = worker->options->slots / 2;
    void **table = bench_map(2 * half * sizeof *table);
    struct block_run young = {table, half};
    struct block_run old = {table + half, half};
    take_blocks(worker, old);
    for (unsigned round = 0; bench_more(worker); round++) {
        take_blocks(worker, young);
        give_blocks(worker, old, round % 3);
        struct block_run kept = young;
        young = old;
        old = kept;
    }
    give_blocks(worker, old, 0);
}

int main(int argc, char **argv)
{
    struct bench_options options = {
        .seconds = 1,
        .threads = 2,
        .min = 8,
        .max = 1000,
        .slots = 8000,
        .smoke_ops = 50000,
    };
    bench_parse(&options, argc, argv, "Small blocks freed in three orders.");
    return bench_run("orders", &options, work, NULL);
}
