/* SPDX-License-Identifier: MIT */
/*
 * tiny_hot: one size, 32 bytes, as fast as possible, each thread without the others.
 *
 * Shapes: "pair" frees each object at once; "lifo" takes --slots objects and frees them last first;
 * "empty" is the loop of "pair" without an allocator, for bench/instructions.sh.
 */
#include "bench/lib/bench.h"

#include <string.h>

enum { PAIRS_A_TURN = 20000, SLOTS_MAX = 4096 };

/* Makes the compiler assume that the pointer is used, without an instruction. */
static inline void keep(void *object)
{
    __asm__ volatile("" : : "r"(object) : "memory");
}

static void work_pair(struct bench_worker *worker)
{
    size_t size = worker->options->max;
    while (bench_more(worker)) {
        for (unsigned i = 0; i < PAIRS_A_TURN; i++) {
            void *object = malloc(size);
            keep(object);
            free(object);
        }
        worker->ops += 2 * PAIRS_A_TURN;
    }
}

static void work_empty(struct bench_worker *worker)
{
    size_t size = worker->options->max;
    while (bench_more(worker)) {
        for (unsigned i = 0; i < PAIRS_A_TURN; i++)
            keep((void *)size);
        worker->ops += 2 * PAIRS_A_TURN;
    }
}

static void work_lifo(struct bench_worker *worker)
{
    void *objects[SLOTS_MAX];
    const enum bench_mode mode = worker->options->mode;
    size_t size = worker->options->max;
    size_t slots = worker->options->slots;
    while (bench_more(worker)) {
        for (size_t done = 0; done < PAIRS_A_TURN; done += slots) {
            for (size_t i = 0; i < slots; i++) {
                objects[i] = malloc(size);
                bench_fill(objects[i], size, mode);
            }
            for (size_t i = slots; i-- > 0;) {
                worker->faults += bench_spoilt(objects[i], size, mode);
                free(objects[i]);
            }
            worker->ops += 2 * slots;
        }
    }
}

int main(int argc, char **argv)
{
    struct bench_options options = {
        .seconds = 1,
        .threads = 1,
        .min = 32,
        .max = 32,
        .slots = 100,
        .shape = "lifo",
        .smoke_ops = 200000,
    };
    bench_parse(&options, argc, argv, "One size, --max bytes; --shape pair, lifo or empty.");
    if (options.slots == 0 || options.slots > SLOTS_MAX)
        bench_die("--slots must be 1 to 4096");
    if (strcmp(options.shape, "pair") == 0)
        return bench_run("tiny_hot", &options, work_pair, NULL);
    if (strcmp(options.shape, "empty") == 0)
        return bench_run("tiny_hot", &options, work_empty, NULL);
    if (strcmp(options.shape, "lifo") == 0)
        return bench_run("tiny_hot", &options, work_lifo, NULL);
    bench_die("--shape must be pair, lifo or empty");
}
