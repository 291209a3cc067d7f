/* SPDX-License-Identifier: MIT */
/*
 * Runs a workload's threads and prints its line.
 *
 * Threads: bench_run() is for the main thread; bench_more(), bench_wait() and the object functions
 * are for any. Workers share nothing but the start barrier: each reads the clock for itself.
 */
#include "bench/lib/bench.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "bench/lib/proof.h"

enum {
    NOTES_MAX = 16,
    SPINS_BEFORE_YIELD = 256,
};

struct note {
    const char *key;
    uint64_t value;
};

static struct note notes[NOTES_MAX];
static unsigned note_count;
static pthread_barrier_t start_line;
static void (*start_work)(struct bench_worker *worker);

void bench_die(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(2);
}

uint64_t bench_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static double process_cpu_seconds(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

/* ru_maxrss would do but for exec, which hands down the peak of the shell or script before it. */
static size_t field_of(const char *path, const char *field)
{
    FILE *file = fopen(path, "re");
    size_t found = 0;
    char line[256];
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        size_t length = strlen(field);
        if (strncmp(line, field, length) == 0 && line[length] == ':')
            found = strtoull(line + length + 1, NULL, 10);
    }
    if (file != NULL)
        fclose(file);
    return found;
}

size_t bench_rss_now_kib(void)
{
    size_t found = field_of("/proc/self/smaps_rollup", "Rss");
    return found != 0 ? found : bench_rss_kib("VmRSS");
}

size_t bench_rss_kib(const char *field)
{
    size_t found = field_of("/proc/self/status", field);
    if (found != 0)
        return found;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (size_t)usage.ru_maxrss;
}

void *bench_map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        bench_die("the kernel has no memory for the workload's tables");
    return memory;
}

void bench_wait(unsigned *tries)
{
    if (++*tries % SPINS_BEFORE_YIELD == 0)
        sched_yield();
    else
#if defined(__x86_64__)
        __builtin_ia32_pause();
#else
        __asm__ volatile("" ::: "memory");
#endif
}

void bench_note(const char *key, uint64_t value)
{
    if (note_count == NOTES_MAX)
        bench_die("too many notes");
    notes[note_count].key = key;
    notes[note_count].value = value;
    note_count++;
}

static unsigned char pattern_seed(const unsigned char *object, size_t size)
{
    return (unsigned char)(((uintptr_t)object >> 4) ^ size ^ (size >> 8));
}

void bench_fill_rest(unsigned char *object, size_t size)
{
    unsigned char seed = pattern_seed(object, size);
    for (size_t i = sizeof size; i < size; i++)
        object[i] = (unsigned char)(seed + i);
}

unsigned bench_rest_spoilt(const unsigned char *object, size_t max)
{
    size_t size;
    memcpy(&size, object, sizeof size);
    if (size > max)
        return 1;
    unsigned char seed = pattern_seed(object, size);
    for (size_t i = sizeof size; i < size; i++)
        if (object[i] != (unsigned char)(seed + i))
            return 1;
    return 0;
}

bool bench_more(const struct bench_worker *worker)
{
    if (worker->limit != 0)
        return worker->ops < worker->limit;
    return bench_clock_ns() < worker->deadline_ns;
}

static void work_from_now(struct bench_worker *worker)
{
    worker->begin_ns = bench_clock_ns();
    worker->deadline_ns = worker->begin_ns + (uint64_t)(worker->options->seconds * 1e9);
    start_work(worker);
    worker->end_ns = bench_clock_ns();
}

static void *thread_main(void *worker)
{
    pthread_barrier_wait(&start_line);
    work_from_now(worker);
    return NULL;
}

static void run_threads(struct bench_worker *workers, unsigned count)
{
    pthread_t *threads = bench_map(count * sizeof *threads);
    pthread_barrier_init(&start_line, NULL, count);
    for (unsigned i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, thread_main, &workers[i]) != 0)
            bench_die("cannot create a thread");
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

/* Threads that got the CPU late still count from the first start to the last end. */
static double wall_seconds(const struct bench_worker *workers, unsigned count)
{
    uint64_t begin_ns = workers[0].begin_ns;
    uint64_t end_ns = workers[0].end_ns;
    for (unsigned i = 1; i < count; i++) {
        if (workers[i].begin_ns < begin_ns)
            begin_ns = workers[i].begin_ns;
        if (workers[i].end_ns > end_ns)
            end_ns = workers[i].end_ns;
    }
    return (double)(end_ns - begin_ns + 1) / 1e9;
}

static int print_line(const char *name, const struct bench_worker *workers, unsigned count,
                      double cpu_seconds)
{
    uint64_t ops = 0;
    uint64_t calls = 0;
    uint64_t faults = 0;
    for (unsigned i = 0; i < count; i++) {
        ops += workers[i].ops;
        calls += workers[i].calls;
        faults += workers[i].faults;
    }
    double seconds = wall_seconds(workers, count);
    size_t rss_kib = bench_rss_kib("VmHWM");
    struct bench_proof proof;
    bench_prove(&proof);
    printf("name=%s ops_per_s=%.0f seconds=%.4f ops=%" PRIu64 " threads=%u cpu_seconds=%.4f "
           "rss_kib=%zu faults=%" PRIu64 " calls=%" PRIu64,
           name, (double)ops / seconds, seconds, ops, count, cpu_seconds, rss_kib, faults,
           calls != 0 ? calls : ops);
    for (unsigned i = 0; i < note_count; i++)
        printf(" %s=%" PRIu64, notes[i].key, notes[i].value);
    if (proof.is_hakmem)
        printf(" refilled=%" PRIu64, proof.refilled);
    else
        printf(" refilled=absent");
    /* The path is last: it alone may hold a space. */
    printf(" allocator=%s library=%s\n", proof.allocator, proof.library);
    return faults == 0 && ops != 0 ? 0 : 1;
}

int bench_run(const char *name, const struct bench_options *options,
              void (*work)(struct bench_worker *worker), void *shared)
{
    unsigned count = options->threads;
    struct bench_worker *workers = bench_map(count * sizeof *workers);
    for (unsigned i = 0; i < count; i++) {
        workers[i].index = i;
        workers[i].options = options;
        workers[i].shared = shared;
        workers[i].limit = options->ops;
        workers[i].random = (options->seed + i + 1) * 0x9e3779b97f4a7c15u;
    }
    start_work = work;
    double cpu_before = process_cpu_seconds();
    if (count == 1)
        work_from_now(&workers[0]);
    else
        run_threads(workers, count);
    return print_line(name, workers, count, process_cpu_seconds() - cpu_before);
}
