/* SPDX-License-Identifier: MIT */
/*
 * threads_idle: many threads that each allocate a little and then wait: what does the memory cost?
 *
 * Each thread takes --slots objects of mixed size, frees all but one in eight, and sleeps until the
 * last thread is there. Then idle_rss_kib is measured, and live_kib is what the program holds;
 * compare the two. rss_kib is the peak. Stacks are small and the same for all allocators.
 */
#include "bench/lib/bench.h"

#include <pthread.h>

enum { STACK_BYTES = 128 << 10, KEPT_ONE_IN = 8 };

struct crowd {
    const struct bench_options *options;
    pthread_barrier_t all_idle;
    pthread_barrier_t may_end;
    uint64_t live;   /* bytes; every thread adds, once */
    uint64_t faults; /* every thread adds, once */
};

struct member {
    struct crowd *crowd;
    void **table;
    unsigned index;
};

static uint64_t fill_and_thin_out(struct member *member)
{
    const struct bench_options *options = member->crowd->options;
    uint64_t state = (options->seed + member->index + 1) * 0x9e3779b97f4a7c15u;
    uint64_t live = 0;
    for (size_t i = 0; i < options->slots; i++) {
        size_t size = bench_size(bench_random(&state), options->min, options->max);
        member->table[i] = malloc(size);
        bench_fill(member->table[i], size, options->mode);
    }
    for (size_t i = 0; i < options->slots; i++) {
        if (i % KEPT_ONE_IN == 0) {
            live += *(size_t *)member->table[i];
            continue;
        }
        free(member->table[i]);
        member->table[i] = NULL;
    }
    return live;
}

static void *idle(void *argument)
{
    struct member *member = argument;
    struct crowd *crowd = member->crowd;
    const struct bench_options *options = crowd->options;
    /* relaxed: only sums; barriers order them before they are read */
    __atomic_fetch_add(&crowd->live, fill_and_thin_out(member), __ATOMIC_RELAXED);
    pthread_barrier_wait(&crowd->all_idle);
    pthread_barrier_wait(&crowd->may_end);
    for (size_t i = 0; i < options->slots; i += KEPT_ONE_IN) {
        unsigned spoilt = bench_spoilt(member->table[i], options->max, options->mode);
        /* relaxed: as above; the join orders it */
        __atomic_fetch_add(&crowd->faults, spoilt, __ATOMIC_RELAXED);
        free(member->table[i]);
    }
    return NULL;
}

static void work(struct bench_worker *worker)
{
    struct crowd *crowd = worker->shared;
    const struct bench_options *options = crowd->options;
    unsigned count = options->generations;
    pthread_t *threads = bench_map(count * sizeof *threads);
    struct member *members = bench_map(count * sizeof *members);
    void **table = bench_map(count * options->slots * sizeof *table);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, STACK_BYTES);
    for (unsigned i = 0; i < count; i++) {
        members[i] = (struct member){crowd, table + i * options->slots, i};
        if (pthread_create(&threads[i], &small, idle, &members[i]) != 0)
            bench_die("cannot create a thread");
    }
    pthread_barrier_wait(&crowd->all_idle);
    bench_note("idle_rss_kib", bench_rss_now_kib());
    pthread_barrier_wait(&crowd->may_end);
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    worker->ops = 2 * (uint64_t)count * options->slots;
    worker->faults = crowd->faults;
    bench_note("live_kib", crowd->live >> 10);
}

int main(int argc, char **argv)
{
    struct bench_options options = {
        .threads = 500,
        .min = 16,
        .max = 2048,
        .slots = 200,
        .smoke_ops = 1,
    };
    bench_parse(&options, argc, argv, "--threads threads that hold little and wait: their RSS.");
    if (options.mode == BENCH_SMOKE)
        options.threads = 20;
    struct crowd crowd = {.options = &options};
    /* The main thread is the one worker that watches; it makes the threads. */
    options.generations = options.threads;
    options.threads = 1;
    pthread_barrier_init(&crowd.all_idle, NULL, options.generations + 1);
    pthread_barrier_init(&crowd.may_end, NULL, options.generations + 1);
    bench_note("idle_threads", options.generations);
    return bench_run("threads_idle", &options, work, &crowd);
}
