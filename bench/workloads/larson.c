/* SPDX-License-Identifier: MIT */
/*
 * larson: a server whose threads come and go while their objects stay.
 *
 *     lane 0   thread --> thread --> thread ...   \
 *     lane 1   thread --> thread --> thread ...    > a queue of slot tables, one more than lanes
 *
 * The main thread fills all slots and deals them out shuffled. A thread replaces the object of a
 * random slot by a new one of random size. After --generations turnovers of its slots it ends, and
 * a new thread continues with the table that has waited longest. So many frees are of objects that
 * another, ended thread allocated. Idea: Larson and Krishnan, Memory allocation for long-running
 * server applications (1998).
 */
#include "bench/lib/bench.h"

#include <pthread.h>

enum { REPLACEMENTS_A_TURN = 1000 };

/* Tables that wait for a thread. The lock is held for a few instructions once in a thread's
 * life. */
struct queue {
    pthread_mutex_t lock;
    void ***tables;
    size_t length; /* lanes + 1, so a lane that gives one always finds another */
    size_t first;
    size_t count;
};

/* One thread's life. The worker of its lane waits for it, so it may write the worker's counts. */
struct life {
    struct bench_worker *worker;
    void **slots;
};

static void replace_some(struct bench_worker *worker, void **slots, uint64_t *state)
{
    const struct bench_options *options = worker->options;
    const enum bench_mode mode = options->mode;
    for (unsigned i = 0; i < REPLACEMENTS_A_TURN; i++) {
        uint64_t random = bench_random(state);
        void **slot = &slots[bench_below(random, options->slots)];
        worker->faults += bench_spoilt(*slot, options->max, mode);
        free(*slot);
        size_t size = bench_size(random, options->min, options->max);
        *slot = malloc(size);
        bench_fill(*slot, size, mode);
    }
    worker->ops += 2 * REPLACEMENTS_A_TURN;
}

static void *live(void *argument)
{
    struct life *life = argument;
    struct bench_worker *worker = life->worker;
    const struct bench_options *options = worker->options;
    uint64_t state = worker->random;
    uint64_t end = worker->ops + 2 * (uint64_t)options->generations * options->slots;
    while (worker->ops < end && bench_more(worker))
        replace_some(worker, life->slots, &state);
    worker->random = state;
    return NULL;
}

static void queue_put(struct queue *queue, void **table)
{
    pthread_mutex_lock(&queue->lock);
    queue->tables[(queue->first + queue->count) % queue->length] = table;
    queue->count++;
    pthread_mutex_unlock(&queue->lock);
}

static void **queue_take(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    void **table = queue->tables[queue->first];
    queue->first = (queue->first + 1) % queue->length;
    queue->count--;
    pthread_mutex_unlock(&queue->lock);
    return table;
}

static void work(struct bench_worker *worker)
{
    struct queue *queue = worker->shared;
    struct life life = {.worker = worker, .slots = queue_take(queue)};
    while (bench_more(worker)) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, live, &life) != 0)
            bench_die("cannot create a thread");
        pthread_join(thread, NULL);
        queue_put(queue, life.slots);
        life.slots = queue_take(queue);
    }
    queue_put(queue, life.slots);
}

/* Deals objects out at random, so that no table is a run of neighbours in memory. */
static void shuffle(void **objects, size_t count, uint64_t *state)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = bench_below(bench_random(state), i);
        void *object = objects[i - 1];
        objects[i - 1] = objects[other];
        objects[other] = object;
    }
}

static void build_tables(struct queue *queue, const struct bench_options *options)
{
    uint64_t state = (options->seed + 77) * 0x9e3779b97f4a7c15u;
    size_t count = queue->length * options->slots;
    void **objects = bench_map(count * sizeof *objects);
    for (size_t i = 0; i < count; i++) {
        size_t size = bench_size(bench_random(&state), options->min, options->max);
        objects[i] = malloc(size);
        bench_fill(objects[i], size, options->mode);
    }
    shuffle(objects, count, &state);
    for (size_t i = 0; i < queue->length; i++)
        queue_put(queue, objects + i * options->slots);
}

int main(int argc, char **argv)
{
    struct bench_options options = {
        .seconds = 2,
        .threads = 2,
        .min = 8,
        .max = 1000,
        .slots = 5000,
        .generations = 10,
        .smoke_ops = 50000,
    };
    bench_parse(&options, argc, argv, "Threads that end and leave their objects to the next.");
    if (options.slots == 0 || options.generations == 0)
        bench_die("--slots and --generations must be 1 at least");
    struct queue queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .length = options.threads + 1};
    queue.tables = bench_map(queue.length * sizeof *queue.tables);
    build_tables(&queue, &options);
    return bench_run("larson", &options, work, &queue);
}
