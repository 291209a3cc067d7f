/* SPDX-License-Identifier: MIT */
/*
 * latency: the longest single calls of malloc and free, in the caller's CPU time.
 *
 *     warm    1,000 slots of 16 to 1,024 bytes, filled and emptied at random
 *     cold    the first 100 mallocs and frees of a thread; then the next thread
 *     idle    3,000 objects of up to 64 KiB freed, 300 ms asleep; then 2,000 mallocs and frees
 *     large   as warm, but every eighth object has 64 KiB to 8 MiB, every page of it written
 *     inbox   2 M objects of 16 to 128 bytes, each freed by the next thread; then the same again
 *     drift   60 MiB whose sizes wander from round to round, then objects of 17 to 32 KB, then 64 B
 *
 * Only the calls are timed, and only after the first round of each shape (cold: always).
 * bench/lib/latency.h says what is measured. An operation is a call.
 */
#include "bench/lib/latency.h"
#include "bench/lib/bench.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

enum {
    WARM_SLOTS = 1000,
    WARM_UP_STEPS = 20000,
    STEPS_A_TURN = 1000,
    COLD_CALLS = 100,
    IDLE_BURST = 3000,
    IDLE_CALLS = 2000,
    IDLE_NS = 300000000,
    LARGE_SLOTS = 8,
    ONE_IN_LARGE = 8,
    PAGE = 4096,
    INBOX_OBJECTS = 2000000,
    SMOKE_OBJECTS = 20000,
    DRIFT_SLOTS = 14000,
    DRIFT_STEPS = 30000,
    DRIFT_PAIRS = 100,
};

/* The calls that one worker times. */
struct lane {
    struct bench_meter meter;
    struct bench_latency mallocs;
    struct bench_latency frees;
    void **table;
} __attribute__((aligned(128)));

struct situation {
    const char *name;
    void (*work)(struct bench_worker *worker, struct lane *lane);
    size_t table; /* slots of each worker, or of all if they share it */
};

struct stage {
    const struct bench_options *options;
    const struct situation *situation;
    struct lane *lanes;
    pthread_barrier_t barrier;
    unsigned working; /* workers that have not ended */
    bool is_over;     /* written by worker 0 between two barriers */
};

static void *timed_malloc(struct bench_worker *worker, struct lane *lane, size_t size)
{
    bench_meter_begin(&lane->meter);
    void *object = malloc(size);
    bench_meter_end(&lane->meter, &lane->mallocs);
    if (object == NULL)
        bench_die("no memory");
    bench_fill(object, size, worker->options->mode);
    worker->ops++;
    return object;
}

static void timed_free(struct bench_worker *worker, struct lane *lane, void *object)
{
    worker->faults += bench_spoilt(object, worker->options->max, worker->options->mode);
    bench_meter_begin(&lane->meter);
    free(object);
    bench_meter_end(&lane->meter, &lane->frees);
    worker->ops++;
}

/* Ends the warm-up: the time starts again. */
static void forget(struct bench_worker *worker, struct lane *lane)
{
    memset(&lane->mallocs, 0, sizeof lane->mallocs);
    memset(&lane->frees, 0, sizeof lane->frees);
    lane->meter.interrupted = 0;
    worker->ops = 0;
    worker->deadline_ns = bench_clock_ns() + (uint64_t)(worker->options->seconds * 1e9);
    bench_meter_look(&lane->meter);
}

static void flip(struct bench_worker *worker, struct lane *lane, void **slot, size_t size)
{
    if (*slot != NULL) {
        timed_free(worker, lane, *slot);
        *slot = NULL;
    } else {
        *slot = timed_malloc(worker, lane, size);
    }
}

static void warm_step(struct bench_worker *worker, struct lane *lane)
{
    uint64_t random = bench_random(&worker->random);
    flip(worker, lane, &lane->table[bench_below(random, WARM_SLOTS)], bench_size(random, 16, 1024));
}

static void warm(struct bench_worker *worker, struct lane *lane)
{
    for (unsigned i = 0; i < WARM_UP_STEPS; i++)
        warm_step(worker, lane);
    forget(worker, lane);
    do
        for (unsigned i = 0; i < STEPS_A_TURN; i++)
            warm_step(worker, lane);
    while (bench_more(worker));
}

/* Each power of two is equally likely. */
static size_t large_size(uint64_t random)
{
    unsigned power = 16 + (unsigned)bench_below(random, 7);
    return ((size_t)1 << power) + (size_t)(random & 0xffff) * ((size_t)1 << (power - 16));
}

static void large_step(struct bench_worker *worker, struct lane *lane)
{
    uint64_t random = bench_random(&worker->random);
    if (random % ONE_IN_LARGE != 0) {
        warm_step(worker, lane);
        return;
    }
    random = bench_random(&worker->random);
    void **slot = &lane->table[WARM_SLOTS + random % LARGE_SLOTS];
    size_t size = large_size(random);
    flip(worker, lane, slot, size);
    for (size_t at = PAGE; *slot != NULL && worker->options->mode == BENCH_MEASURE && at < size;
         at += PAGE)
        ((volatile char *)*slot)[at] = 1;
}

static void large(struct bench_worker *worker, struct lane *lane)
{
    for (unsigned i = 0; i < WARM_UP_STEPS / 10; i++)
        large_step(worker, lane);
    forget(worker, lane);
    do
        for (unsigned i = 0; i < STEPS_A_TURN / 10; i++)
            large_step(worker, lane);
    while (bench_more(worker));
}

static size_t mixed_size(uint64_t random)
{
    return random % 8 == 0 ? bench_size(random, 2049, 65536) : bench_size(random, 16, 2048);
}

static void *first_calls(void *argument)
{
    struct bench_worker *worker = argument;
    struct stage *stage = worker->shared;
    struct lane *lane = &stage->lanes[worker->index];
    bench_meter_look(&lane->meter);
    for (size_t i = 0; i < COLD_CALLS; i++)
        lane->table[i] = timed_malloc(worker, lane, mixed_size(bench_random(&worker->random)));
    for (size_t i = 0; i < COLD_CALLS; i++)
        timed_free(worker, lane, lane->table[i]);
    return NULL;
}

static void cold(struct bench_worker *worker, struct lane *lane)
{
    (void)lane;
    while (bench_more(worker)) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, first_calls, worker) != 0)
            bench_die("cannot create a thread");
        pthread_join(thread, NULL);
    }
}

static void burst_and_sleep(struct bench_worker *worker, struct lane *lane)
{
    for (size_t i = 0; i < IDLE_BURST; i++) {
        size_t size = mixed_size(bench_random(&worker->random));
        lane->table[i] = malloc(size);
        if (lane->table[i] == NULL)
            bench_die("no memory");
        memset(lane->table[i], 1, size);
    }
    for (size_t i = 0; i < IDLE_BURST; i++)
        free(lane->table[i]);
    struct timespec pause = {.tv_nsec = worker->options->mode == BENCH_SMOKE ? 1 : IDLE_NS};
    nanosleep(&pause, NULL);
}

static void idle(struct bench_worker *worker, struct lane *lane)
{
    while (bench_more(worker)) {
        burst_and_sleep(worker, lane);
        bench_meter_look(&lane->meter);
        for (size_t i = 0; i < IDLE_CALLS; i++)
            lane->table[i] = timed_malloc(worker, lane, mixed_size(bench_random(&worker->random)));
        for (size_t i = 0; i < IDLE_CALLS; i++)
            timed_free(worker, lane, lane->table[i]);
    }
}

/* All workers end after the same round: worker 0 says which. */
static bool all_go_on(struct bench_worker *worker, struct stage *stage)
{
    pthread_barrier_wait(&stage->barrier);
    if (worker->index == 0)
        stage->is_over = !bench_more(worker);
    pthread_barrier_wait(&stage->barrier);
    return !stage->is_over;
}

static void inbox_round(struct bench_worker *worker, struct lane *lane, size_t count)
{
    struct stage *stage = worker->shared;
    struct lane *next = &stage->lanes[(worker->index + 1) % worker->options->threads];
    bench_meter_look(&lane->meter);
    for (size_t i = 0; i < count; i++) {
        uint64_t random = bench_random(&worker->random);
        lane->table[i] = timed_malloc(worker, lane, bench_size(random, 16, 128));
    }
    pthread_barrier_wait(&stage->barrier);
    bench_meter_look(&lane->meter);
    for (size_t i = 0; i < count; i++)
        timed_free(worker, lane, next->table[i]);
    /* The owner refills the table only after it was read. */
    pthread_barrier_wait(&stage->barrier);
}

static void inbox(struct bench_worker *worker, struct lane *lane)
{
    size_t all = worker->options->mode == BENCH_SMOKE ? SMOKE_OBJECTS : INBOX_OBJECTS;
    size_t count = all / worker->options->threads;
    inbox_round(worker, lane, count);
    forget(worker, lane);
    do
        inbox_round(worker, lane, count);
    while (all_go_on(worker, worker->shared));
}

static void replace_at_random(struct bench_worker *worker, struct lane *lane, unsigned round)
{
    unsigned threads = worker->options->threads;
    for (unsigned i = 0; i < DRIFT_STEPS / threads; i++) {
        uint64_t random = bench_random(&worker->random);
        size_t low = 1100 + (size_t)(round % 7) * 700;
        void **slot = &lane->table[bench_below(random, DRIFT_SLOTS / threads)];
        if (*slot != NULL)
            timed_free(worker, lane, *slot);
        *slot = timed_malloc(worker, lane, bench_size(random, low, low + 2499));
    }
}

static void drift_round(struct bench_worker *worker, struct lane *lane, unsigned round)
{
    unsigned threads = worker->options->threads;
    void **big = lane->table + DRIFT_SLOTS / threads;
    size_t count = bench_size(bench_random(&worker->random), 500 / threads, 3000 / threads);
    replace_at_random(worker, lane, round);
    for (size_t i = 0; i < count; i++)
        big[i] =
            timed_malloc(worker, lane, bench_size(bench_random(&worker->random), 17000, 31999));
    for (size_t i = 0; i < count; i++)
        timed_free(worker, lane, big[i]);
    for (unsigned i = 0; i < DRIFT_PAIRS; i++)
        timed_free(worker, lane, timed_malloc(worker, lane, 64));
}

static void drift(struct bench_worker *worker, struct lane *lane)
{
    unsigned round = 0;
    drift_round(worker, lane, round++);
    forget(worker, lane);
    do
        drift_round(worker, lane, round++);
    while (bench_more(worker));
}

static const struct situation situations[] = {
    {"warm", warm, WARM_SLOTS},      {"cold", cold, COLD_CALLS},
    {"idle", idle, IDLE_BURST},      {"large", large, WARM_SLOTS + LARGE_SLOTS},
    {"inbox", inbox, INBOX_OBJECTS}, {"drift", drift, DRIFT_SLOTS + 3000},
};

static void note_latency(const struct bench_latency *of, const char *const *keys)
{
    bench_note(keys[0], of->calls);
    bench_note(keys[1], bench_latency_at(of, 500000));
    bench_note(keys[2], bench_latency_at(of, 990000));
    bench_note(keys[3], bench_latency_at(of, 999900));
    bench_note(keys[4], of->max_ns);
}

/* The last worker runs this, after all others have ended. */
static void tell(struct stage *stage)
{
    static const char *const of_malloc[] = {"mallocs", "malloc_p50_ns", "malloc_p99_ns",
                                            "malloc_p9999_ns", "malloc_max_ns"};
    static const char *const of_free[] = {"frees", "free_p50_ns", "free_p99_ns", "free_p9999_ns",
                                          "free_max_ns"};
    struct lane *sum = bench_map(sizeof *sum);
    for (unsigned i = 0; i < stage->options->threads; i++) {
        bench_latency_add(&sum->mallocs, &stage->lanes[i].mallocs);
        bench_latency_add(&sum->frees, &stage->lanes[i].frees);
        sum->meter.interrupted += stage->lanes[i].meter.interrupted;
    }
    note_latency(&sum->mallocs, of_malloc);
    note_latency(&sum->frees, of_free);
    bench_note("interrupted", sum->meter.interrupted);
}

static void work(struct bench_worker *worker)
{
    struct stage *stage = worker->shared;
    struct lane *lane = &stage->lanes[worker->index];
    bench_meter_look(&lane->meter);
    stage->situation->work(worker, lane);
    /* Each call must have been counted, once. */
    if (lane->mallocs.calls + lane->frees.calls != worker->ops)
        worker->faults++;
    /* acq_rel: the last worker sees what the others have counted */
    if (__atomic_sub_fetch(&stage->working, 1, __ATOMIC_ACQ_REL) == 0)
        tell(stage);
}

static const struct situation *find_situation(const char *name)
{
    for (size_t i = 0; i < sizeof situations / sizeof situations[0]; i++)
        if (strcmp(situations[i].name, name) == 0)
            return &situations[i];
    bench_die("--shape is one of warm, cold, idle, large, inbox, drift");
}

int main(int argc, char **argv)
{
    struct bench_options options = {
        .seconds = 2,
        .threads = 2,
        .max = 16 << 20,
        .min = 16,
        .smoke_ops = 20000,
        .shape = "warm",
    };
    bench_parse(&options, argc, argv, "Times the longest single calls; --shape: the situation.");
    /* Few operations will do: megabytes are written and checked byte by byte. */
    if (options.mode == BENCH_SMOKE && strcmp(options.shape, "large") == 0)
        options.ops = options.smoke_ops / 20;
    struct stage stage = {
        .options = &options,
        .situation = find_situation(options.shape),
        .lanes = bench_map(options.threads * sizeof *stage.lanes),
        .working = options.threads,
    };
    for (unsigned i = 0; i < options.threads; i++)
        stage.lanes[i].table = bench_map(stage.situation->table * sizeof(void *));
    pthread_barrier_init(&stage.barrier, NULL, options.threads);
    bench_latency_start();
    return bench_run("latency", &options, work, &stage);
}
