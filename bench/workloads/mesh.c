/* SPDX-License-Identifier: MIT */
/*
 * mesh: every thread allocates for all others and frees what all others allocated.
 *
 *     from \ to   0      1      2        a ring for each ordered pair of threads;
 *        0        .    ring   ring       a batch goes to the next receiver in turn
 *        1      ring     .    ring
 *        2      ring   ring     .
 *
 * A thread that finds the receiver's ring full frees what it received instead of waiting, so no
 * thread waits for another. With one thread the ring leads back to it. The idea is that of
 * xmalloc-test: no thread frees what it allocated. An operation is a malloc or a free.
 */
#include "bench/lib/bench.h"
#include "bench/lib/ring.h"

enum { BATCH = 120, BATCHES_ON_THE_WAY = 4, BATCHES_A_TURN = 32 };

struct mesh {
    struct bench_ring *rings;
    bool is_over; /* set by the first thread that is done, else the others could starve */
};

static struct bench_ring *ring_between(struct bench_ring *rings, unsigned threads, unsigned from,
                                       unsigned to)
{
    return &rings[(size_t)from * threads + to];
}

/* Few batches in flight: T x T full rings would hold more than a small live set. */
static bool has_room(struct bench_ring *ring)
{
    return bench_ring_has_room(ring, BENCH_RING_SLOTS - BATCHES_ON_THE_WAY * BATCH + BATCH);
}

static void send_batch(struct bench_worker *worker, struct bench_ring *ring, uint64_t *state)
{
    const struct bench_options *options = worker->options;
    if (!has_room(ring))
        return;
    for (size_t i = 0; i < BATCH; i++) {
        size_t size = bench_size(bench_random(state), options->min, options->max);
        void *object = malloc(size);
        bench_fill(object, size, options->mode);
        bench_ring_put(ring, i, object);
    }
    bench_ring_publish(ring, BATCH);
    worker->ops += BATCH;
}

static void free_arrived(struct bench_worker *worker, struct bench_ring *ring)
{
    const struct bench_options *options = worker->options;
    size_t count = bench_ring_count(ring);
    for (size_t i = 0; i < count; i++) {
        void *object = bench_ring_get(ring, i);
        worker->faults += bench_spoilt(object, options->max, options->mode);
        free(object);
    }
    if (count != 0)
        bench_ring_release(ring, count);
    worker->ops += count;
}

static void work(struct bench_worker *worker)
{
    struct mesh *mesh = worker->shared;
    struct bench_ring *rings = mesh->rings;
    unsigned threads = worker->options->threads;
    unsigned self = worker->index;
    unsigned to = self;
    uint64_t state = worker->random;
    unsigned tries = 0;
    /* relaxed, here and below: only a request to stop; the joins order the rest */
    while (bench_more(worker) && !__atomic_load_n(&mesh->is_over, __ATOMIC_RELAXED)) {
        uint64_t before = worker->ops;
        for (unsigned i = 0; i < BATCHES_A_TURN; i++) {
            to = (to + 1) % threads;
            if (to == self && threads > 1)
                to = (to + 1) % threads;
            send_batch(worker, ring_between(rings, threads, self, to), &state);
            for (unsigned from = 0; from < threads; from++)
                free_arrived(worker, ring_between(rings, threads, from, self));
        }
        if (worker->ops == before)
            bench_wait(&tries);
    }
    __atomic_store_n(&mesh->is_over, true, __ATOMIC_RELAXED);
}

int main(int argc, char **argv)
{
    struct bench_options options = {
        .seconds = 1,
        .threads = 2,
        .min = 16,
        .max = 512,
        .smoke_ops = 50000,
    };
    bench_parse(&options, argc, argv, "Each thread allocates for all others.");
    if (options.threads > 256)
        bench_die("--threads must be 256 at most: there is a ring for each pair");
    size_t rings = (size_t)options.threads * options.threads;
    struct mesh mesh = {.rings = bench_map(rings * sizeof(struct bench_ring))};
    return bench_run("mesh", &options, work, &mesh);
}
