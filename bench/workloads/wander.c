/* SPDX-License-Identifier: MIT */
/*
 * wander: one thread moves over all CPUs with a steady live set and replaces it on the way.
 *
 * After each tenth of a turnover it moves to the next CPU that it may use. An allocator with caches
 * or arenas per CPU must not leave a working set on each: compare rss_kib with live_kib, the most
 * that the program ever held.
 */
#include "bench/lib/bench.h"

#include <sched.h>

enum { STOPS_A_TURNOVER = 10, CPUS_MAX = 4096 };

struct walk {
    void **table;
    size_t slots;
    uint64_t live;
    uint64_t live_most;
};

static size_t cpu_set_size(void)
{
    return CPU_ALLOC_SIZE(CPUS_MAX);
}

/* Binds the thread to the next CPU of its original mask; on failure it stays. */
static void step_to_next(const cpu_set_t *allowed, cpu_set_t *one, unsigned *cpu)
{
    for (unsigned i = 0; i < CPUS_MAX; i++) {
        *cpu = (*cpu + 1) % CPUS_MAX;
        if (CPU_ISSET_S(*cpu, cpu_set_size(), allowed))
            break;
    }
    CPU_ZERO_S(cpu_set_size(), one);
    CPU_SET_S(*cpu, cpu_set_size(), one);
    sched_setaffinity(0, cpu_set_size(), one);
}

static void put_new(struct walk *walk, const struct bench_options *options, size_t at,
                    uint64_t random)
{
    size_t size = bench_size(random, options->min, options->max);
    walk->table[at] = malloc(size);
    bench_fill(walk->table[at], size, options->mode);
    walk->live += size;
    if (walk->live > walk->live_most)
        walk->live_most = walk->live;
}

static void replace_some(struct bench_worker *worker, struct walk *walk, size_t count)
{
    const struct bench_options *options = worker->options;
    for (size_t i = 0; i < count; i++) {
        uint64_t random = bench_random(&worker->random);
        size_t at = bench_below(random, walk->slots);
        worker->faults += bench_spoilt(walk->table[at], options->max, options->mode);
        walk->live -= *(size_t *)walk->table[at];
        free(walk->table[at]);
        put_new(walk, options, at, random);
    }
    worker->ops += 2 * count;
}

static void work(struct bench_worker *worker)
{
    const struct bench_options *options = worker->options;
    struct walk walk = {.slots = options->bytes / ((options->min + options->max) / 2)};
    walk.table = bench_map(walk.slots * sizeof *walk.table);
    cpu_set_t *allowed = bench_map(cpu_set_size());
    cpu_set_t *one = bench_map(cpu_set_size());
    unsigned cpu = CPUS_MAX - 1;
    uint64_t moves = 0;
    if (sched_getaffinity(0, cpu_set_size(), allowed) != 0)
        bench_die("cannot read the CPU mask");
    for (size_t i = 0; i < walk.slots; i++)
        put_new(&walk, options, i, bench_random(&worker->random));
    while (bench_more(worker)) {
        step_to_next(allowed, one, &cpu);
        moves++;
        replace_some(worker, &walk, walk.slots / STOPS_A_TURNOVER + 1);
    }
    bench_note("live_kib", walk.live_most >> 10);
    bench_note("moves", moves);
}

int main(int argc, char **argv)
{
    struct bench_options options = {
        .seconds = 3,
        .threads = 1,
        .min = 16,
        .max = 4096,
        .bytes = 200 << 20,
        .smoke_ops = 20000,
    };
    bench_parse(&options, argc, argv, "A live set of --bytes that moves from CPU to CPU.");
    if (options.mode == BENCH_SMOKE)
        options.bytes = 4 << 20;
    if (options.threads != 1 || options.bytes < options.max)
        bench_die("--threads is 1 here, and --bytes is --max at least");
    return bench_run("wander", &options, work, NULL);
}
