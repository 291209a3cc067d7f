/* SPDX-License-Identifier: MIT */
/*
 * whales: a few buffers of 5 to 25 MiB, of which one at random is replaced by one of another size.
 *
 * The new one is had before the old one is freed, and cleared as a whole, as a vector of zeroes is.
 * No freed buffer has the size that is asked for next: whether its pages serve all the same shows as
 * page faults and time, and what is kept to that end as peak RSS. An operation is a replacement.
 */
#include "bench/lib/bench.h"

#include <string.h>
#include <sys/resource.h>

static uint64_t page_faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_minflt;
}

static void work(struct bench_worker *worker)
{
    const struct bench_options *options = worker->options;
    void **table = bench_map(options->slots * sizeof *table);
    uint64_t state = worker->random;
    while (bench_more(worker)) {
        uint64_t random = bench_random(&state);
        void **slot = &table[bench_below(random, options->slots)];
        size_t size = bench_size(random, options->min, options->max);
        void *fresh = malloc(size);
        if (fresh == NULL)
            bench_die("malloc found no memory");
        memset(fresh, 0, size);
        if (*slot != NULL)
            worker->faults += bench_spoilt(*slot, options->max, options->mode);
        free(*slot);
        bench_fill(fresh, size, options->mode);
        *slot = fresh;
        worker->ops++;
    }
    for (size_t i = 0; i < options->slots; i++)
        free(table[i]);
    bench_note("page_faults", page_faults());
}

int main(int argc, char **argv)
{
    struct bench_options options = {
        .seconds = 2,
        .threads = 1,
        .min = 5 << 20,
        .max = 25 << 20,
        .slots = 20,
        .smoke_ops = 60,
    };
    bench_parse(&options, argc, argv, "Buffers of 5 to 25 MiB, one of them replaced at random.");
    return bench_run("whales", &options, work, NULL);
}
