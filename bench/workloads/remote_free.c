/* SPDX-License-Identifier: MIT */
/*
 * remote_free: one thread allocates, another frees; 16 to 256 bytes.
 *
 *     worker 0 -- ring --> worker 1      worker 2 -- ring --> worker 3      ...
 *
 * Objects travel through a bounded ring, a burst at a time, so at most BENCH_RING_SLOTS are in
 * flight. That measures the return of freed memory, not the ring. An operation is one object: a
 * malloc here and a free there.
 */
#include "bench/lib/bench.h"
#include "bench/lib/ring.h"

enum { BURST = 64, BURSTS_A_TURN = 64 };

static void produce_burst(struct bench_worker *worker, struct bench_ring *ring, uint64_t *state)
{
    const struct bench_options *options = worker->options;
    unsigned tries = 0;
    while (!bench_ring_has_room(ring, BURST))
        bench_wait(&tries);
    for (size_t i = 0; i < BURST; i++) {
        size_t size = bench_size(bench_random(state), options->min, options->max);
        void *object = malloc(size);
        bench_fill(object, size, options->mode);
        bench_ring_put(ring, i, object);
    }
    bench_ring_publish(ring, BURST);
    worker->ops += BURST;
    worker->calls += BURST;
}

static void produce(struct bench_worker *worker, struct bench_ring *ring)
{
    uint64_t state = worker->random;
    while (bench_more(worker))
        for (unsigned i = 0; i < BURSTS_A_TURN; i++)
            produce_burst(worker, ring, &state);
    bench_ring_close(ring);
}

static void consume(struct bench_worker *worker, struct bench_ring *ring)
{
    const struct bench_options *options = worker->options;
    unsigned tries = 0;
    while (!bench_ring_is_over(ring)) {
        size_t count = bench_ring_count(ring);
        if (count == 0) {
            bench_wait(&tries);
            continue;
        }
        if (count > BURST)
            count = BURST;
        for (size_t i = 0; i < count; i++) {
            void *object = bench_ring_get(ring, i);
            worker->faults += bench_spoilt(object, options->max, options->mode);
            free(object);
        }
        bench_ring_release(ring, count);
        worker->calls += count;
    }
}

static void work(struct bench_worker *worker)
{
    struct bench_ring *rings = worker->shared;
    struct bench_ring *ring = &rings[worker->index / 2];
    if (worker->index % 2 == 0)
        produce(worker, ring);
    else
        consume(worker, ring);
}

int main(int argc, char **argv)
{
    struct bench_options options = {
        .seconds = 1,
        .threads = 2,
        .min = 16,
        .max = 256,
        .smoke_ops = 100000,
    };
    bench_parse(&options, argc, argv, "Pairs of threads: one allocates, the other frees.");
    if (options.threads % 2 != 0)
        bench_die("--threads must be even");
    void *rings = bench_map(options.threads / 2 * sizeof(struct bench_ring));
    return bench_run("remote_free", &options, work, rings);
}
