/* SPDX-License-Identifier: MIT */
/*
 * The meter: a thread that reads the process's resident memory every 5 ms and adds up what is not
 * in use. Its own CPU time is measured and left out.
 *
 * MADV_FREE's pages are resident until the kernel is short of memory, and count in full.
 *
 * Threads: meter_start() and meter_stop() are for the main thread; meter_live is for all.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench/learn/learn.h"

enum {
    SAMPLE_NS = 5000000,
    WINDOWS_MAX = 4096,
};

struct window {
    const char *phase;
    double at_seconds;
    double retained;
    uint64_t cpu_ns;
};

uint64_t meter_live;

static pthread_t thread;
static const char *phase = "-"; /* written by the stage, read by the meter */
static int stopping;            /* written by meter_stop(), read by the meter */
static int statm;
static int64_t start_rss;
static uint64_t start_ns;
static uint64_t start_cpu_ns;
static uint64_t start_faults;
static uint64_t meter_ns; /* the three below: the meter's, read after it is joined */
static double retained;
static struct window *windows;
static unsigned window_count;

static uint64_t read_cpu_ns(clockid_t clock)
{
    struct timespec used;
    clock_gettime(clock, &used);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

static uint64_t read_minor_faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_minflt;
}

/* Bytes resident: the second number of statm, in pages. */
static int64_t read_rss(void)
{
    char text[128];
    ssize_t length = pread(statm, text, sizeof text, 0);
    int64_t pages = 0;
    ssize_t at = 0;
    while (at < length && text[at] != ' ')
        at++;
    for (at++; at < length && text[at] >= '0' && text[at] <= '9'; at++)
        pages = pages * 10 + (text[at] - '0');
    return pages * sysconf(_SC_PAGESIZE);
}

static double read_excess_mib(void)
{
    int64_t rss = read_rss();
    /* relaxed: see meter_add_live() */
    int64_t live = (int64_t)__atomic_load_n(&meter_live, __ATOMIC_RELAXED);
    return (double)(rss - live - start_rss) / MIB;
}

static void close_window(uint64_t now_ns, uint64_t cpu_before_ns, double retained_before)
{
    if (window_count == WINDOWS_MAX)
        return;
    struct window *window = &windows[window_count++];
    /* acquire: pairs with meter_name_phase() */
    window->phase = __atomic_load_n(&phase, __ATOMIC_ACQUIRE);
    window->at_seconds = (double)(now_ns - start_ns) / 1e9;
    window->retained = retained - retained_before;
    /* In this order: what the meter does between the two counts as the program's, not below 0. */
    uint64_t own_ns = read_cpu_ns(CLOCK_THREAD_CPUTIME_ID);
    uint64_t cpu_ns = read_cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - own_ns;
    window->cpu_ns = cpu_ns > cpu_before_ns ? cpu_ns - cpu_before_ns : 0;
}

/* The mean of two samples holds for the time between them. */
static void *sample(void *argument)
{
    uint64_t window_ns = ((const struct learn_options *)argument)->window_ns;
    uint64_t due_ns = start_ns;
    uint64_t last_ns = start_ns;
    uint64_t window_end_ns = start_ns + window_ns;
    uint64_t cpu_before_ns = start_cpu_ns;
    double retained_before = 0;
    double last = 0;
    /* acquire: pairs with meter_stop() */
    while (!__atomic_load_n(&stopping, __ATOMIC_ACQUIRE)) {
        due_ns += SAMPLE_NS;
        struct timespec due = {(time_t)(due_ns / 1000000000u), (long)(due_ns % 1000000000u)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
        uint64_t now_ns = bench_clock_ns();
        double excess = read_excess_mib();
        retained += (last + excess) / 2 * (double)(now_ns - last_ns) / 1e9;
        last = excess;
        last_ns = now_ns;
        if (window_ns != 0 && now_ns >= window_end_ns) {
            close_window(now_ns, cpu_before_ns, retained_before);
            cpu_before_ns += windows[window_count - 1].cpu_ns;
            retained_before = retained;
            window_end_ns += window_ns;
        }
        if (now_ns > due_ns + SAMPLE_NS)
            due_ns = now_ns; /* it got no CPU: no burst of samples now */
    }
    if (window_ns != 0 && last_ns > window_end_ns - window_ns / 2)
        close_window(last_ns, cpu_before_ns, retained_before);
    meter_ns = read_cpu_ns(CLOCK_THREAD_CPUTIME_ID);
    return NULL;
}

void meter_name_phase(const char *name)
{
    /* release: pairs with close_window() */
    __atomic_store_n(&phase, name, __ATOMIC_RELEASE);
}

void meter_start(const struct learn_options *options)
{
    windows = bench_map(WINDOWS_MAX * sizeof *windows);
    statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (statm < 0)
        bench_die("cannot read /proc/self/statm");
    read_rss();
    start_rss = read_rss();
    start_faults = read_minor_faults();
    start_ns = bench_clock_ns();
    start_cpu_ns = read_cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
    if (pthread_create(&thread, NULL, sample, (void *)(uintptr_t)options) != 0)
        bench_die("cannot create a thread");
}

void meter_stop(struct reading *reading)
{
    reading->wall_ns = bench_clock_ns() - start_ns;
    reading->minor_faults = read_minor_faults() - start_faults;
    /* release: pairs with sample() */
    __atomic_store_n(&stopping, 1, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    reading->cpu_ns = read_cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - start_cpu_ns - meter_ns;
    reading->meter_ns = meter_ns;
    reading->retained = retained;
    close(statm);
}

void meter_print_windows(const struct learn_options *options)
{
    for (unsigned i = 0; i < window_count; i++) {
        const struct window *window = &windows[i];
        double cost_ns = (double)window->cpu_ns + options->price_ns * window->retained;
        printf("window=%u phase=%s at_s=%.3f cpu_ns=%" PRIu64 " retained_mib_s=%.4f cost_ns=%.0f\n",
               i, window->phase, window->at_seconds, window->cpu_ns, window->retained, cost_ns);
    }
}
