/* SPDX-License-Identifier: MIT */
/*
 * storm.c - the random calls of engine.h while everything around them is in motion.
 *
 *   storm [--threads N] [--seconds N] [--budget MIB] [--seed N] [--front cpu|thread]
 *         [--signals HZ] [--reshard N] [--move yes] [--trim HZ] [--refresh HZ] [--recut yes]
 *
 *     mover      binds one worker after another to a CPU chosen each time --move
 *     pulse      a real-time signal to one worker after another       --signals
 *     cutter     hakmem_reshard, from mode to mode, N times           --reshard
 *     trimmer    hakmem_trim, which empties CPU fronts under load     --trim
 *     surveyor   hakmem_topology_refresh                              --refresh
 *         \----> workers: the engine's slots
 *
 * --front is what hakmem_mode() must tell, so that nobody believes to have tested the other (cpu:
 * where there are restartable sequences). --recut: somebody outside changes the machine meanwhile
 * (tests/vm/inside.sh), so the surveyor must come upon different numbers of shards. The disturbers are threads of their own, under way before
 * the first worker and after the last.
 */
#define _GNU_SOURCE
#include "tests/lib/prng.h"
#include "tests/lib/tap.h"
#include "tests/stress/allocator.h"
#include "tests/stress/engine.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    CPUS_MAX = 1024,
    MOVE_PAUSE_NS = 200 * 1000, /* between two moves */
    HANDLER_TURNS = 50,
};

static struct engine engine = {.threads = 16, .seconds = 5, .budget = 192u << 20};
static unsigned wanted_moves, wanted_hz, wanted_reshards, wanted_trim_hz, wanted_refresh_hz;
static unsigned wants_recut;
static const char *wanted_front;

static unsigned calm; /* set by main: the disturbers end */
/* Counts of what was done: each written by one disturber, `handled` by all workers; read after they
 * ended. */
static unsigned long moves, signals_sent, handled, reshards, trims, refreshes;
static size_t trimmed_bytes;
static unsigned fewest_shards, most_shards; /* seen after a refresh */

static int (*reshard)(const char *mode);
static size_t (*trim)(void);
static int (*refresh)(void);
static unsigned (*count_shards)(void);
static size_t (*read_mode)(char *buffer, size_t size);

static int is_calm(void)
{
    return __atomic_load_n(&calm, __ATOMIC_RELAXED); /* relaxed: only the wish to stop */
}

static void pause_ns(long ns)
{
    const struct timespec pause = {ns / 1000000000, ns % 1000000000};
    nanosleep(&pause, NULL);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- disturbers ----------------------------------------------------------------------------- */

static void *move_workers(void *argument)
{
    struct prng prng = {engine.seed ^ 1};
    unsigned cpus[CPUS_MAX];
    unsigned count = 0;
    cpu_set_t allowed;
    (void)argument;
    EXPECT(sched_getaffinity(0, sizeof(allowed), &allowed) == 0);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE && cpu < CPUS_MAX; cpu++) {
        if (CPU_ISSET(cpu, &allowed))
            cpus[count++] = cpu;
    }
    for (unsigned slot = 0; !is_calm(); slot = (slot + 1) % engine.threads) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpus[prng_below(&prng, count)], &one);
        pid_t thread = engine_thread(slot);
        if (thread != 0 && sched_setaffinity(thread, sizeof(one), &one) == 0)
            moves++;
        pause_ns(MOVE_PAUSE_NS);
    }
    return NULL;
}

/* Runs on the worker's own stack, anywhere in its code; handlers must not call malloc. */
static void on_signal(int number)
{
    volatile uint64_t state = (uint64_t)number;
    for (unsigned i = 0; i < HANDLER_TURNS; i++)
        state = prng_mix(state);
    __atomic_fetch_add(&handled, 1, __ATOMIC_RELAXED); /* relaxed: a count */
}

static void *send_signals(void *argument)
{
    uint64_t period = 1000000000u / wanted_hz;
    uint64_t next = now_ns();
    unsigned slot = 0;
    (void)argument;
    while (!is_calm()) {
        /* Makes up for late wake-ups: the rate holds on a busy machine, too. */
        for (uint64_t now = now_ns(); next <= now; next += period) {
            pid_t thread = engine_thread(slot);
            slot = (slot + 1) % engine.threads;
            if (thread != 0 && syscall(SYS_tgkill, getpid(), thread, SIGRTMIN) == 0)
                signals_sent++;
        }
        pause_ns((long)period);
    }
    return NULL;
}

static void *cut_anew(void *argument)
{
    static const char *const modes[] = {"single", "cpu", "4", "node", "64", "7"};
    uint64_t begin = now_ns();
    (void)argument;
    for (unsigned i = 0; i < wanted_reshards; i++) {
        /* spread over the run */
        uint64_t due = begin + (uint64_t)engine.seconds * 1000000000u * i / wanted_reshards;
        uint64_t now = now_ns();
        if (due > now)
            pause_ns((long)(due - now));
        EXPECT_EQ(reshard(modes[i % TAP_COUNT(modes)]), 0);
        __atomic_fetch_add(&reshards, 1, __ATOMIC_RELAXED); /* relaxed: main waits for a number */
    }
    return NULL;
}

static void *trim_often(void *argument)
{
    (void)argument;
    while (!is_calm()) {
        trimmed_bytes += trim();
        trims++;
        pause_ns(1000000000 / (long)wanted_trim_hz);
    }
    return NULL;
}

static void *survey_often(void *argument)
{
    (void)argument;
    while (!is_calm()) {
        EXPECT_EQ(refresh(), 0);
        unsigned shards = count_shards();
        /* relaxed, all: main looks at them while we write */
        if (refreshes++ == 0)
            __atomic_store_n(&fewest_shards, shards, __ATOMIC_RELAXED);
        if (shards < fewest_shards)
            __atomic_store_n(&fewest_shards, shards, __ATOMIC_RELAXED);
        if (shards > most_shards)
            __atomic_store_n(&most_shards, shards, __ATOMIC_RELAXED);
        pause_ns(1000000000 / (long)wanted_refresh_hz);
    }
    return NULL;
}

/* ---- the run -------------------------------------------------------------------------------- */

/* The script that changes the machine goes on until we end, however slow it all is. relaxed, all:
 * counts */
static int still_busy(void)
{
    if (reshard && __atomic_load_n(&reshards, __ATOMIC_RELAXED) < wanted_reshards)
        return 1;
    return refresh && wants_recut &&
           __atomic_load_n(&most_shards, __ATOMIC_RELAXED) <=
               __atomic_load_n(&fewest_shards, __ATOMIC_RELAXED);
}

/* Whether the C library has registered its threads for restartable sequences. Asked independently,
 * so that a library that wrongly believes that there are none is found out. */
static int sequences_exist(void)
{
    const unsigned *size = dlsym(RTLD_DEFAULT, "__rseq_size");
    return size && *size != 0;
}

static void check_mode(const char *when)
{
    char mode[256] = "";
    if (!read_mode)
        return; /* the reference has none */
    read_mode(mode, sizeof(mode));
    tap_note("%s: %s", when, mode);
    if (wanted_front) {
        int is_cpu = strcmp(wanted_front, "cpu") == 0 && sequences_exist();
        EXPECT(strstr(mode, is_cpu ? "front=cpu" : "front=thread") != NULL);
    }
}

static void check_refreshes(void)
{
    if (!refresh || wanted_refresh_hz == 0)
        return;
    tap_note("%lu refreshes, %u to %u shards", refreshes, fewest_shards, most_shards);
    EXPECT_GE(refreshes, 1);
    if (wants_recut)
        EXPECT_GE(most_shards, fewest_shards + 1);
}

static void run_storm(void)
{
    struct disturber {
        unsigned wanted;
        void *(*body)(void *);
        int started;
        pthread_t thread;
    } disturbers[] = {
        {.wanted = wanted_moves, .body = move_workers},
        {.wanted = wanted_hz, .body = send_signals},
        {.wanted = reshard ? wanted_reshards : 0, .body = cut_anew},
        {.wanted = trim ? wanted_trim_hz : 0, .body = trim_often},
        {.wanted = refresh ? wanted_refresh_hz : 0, .body = survey_often},
    };
    check_mode("before");
    for (unsigned i = 0; i < TAP_COUNT(disturbers); i++) {
        struct disturber *one = &disturbers[i];
        if (one->wanted)
            one->started = EXPECT_EQ(pthread_create(&one->thread, NULL, one->body, NULL), 0);
    }
    engine_run(&engine, engine.threads, still_busy);
    __atomic_store_n(&calm, 1, __ATOMIC_RELAXED); /* relaxed: as in is_calm */
    for (unsigned i = 0; i < TAP_COUNT(disturbers); i++) {
        if (disturbers[i].started)
            pthread_join(disturbers[i].thread, NULL);
    }
    check_mode("after");
    tap_note("%lu migrations, %lu of %lu signals handled, %lu re-shardings, %lu trims gave %zu MiB",
             moves, handled, signals_sent, reshards, trims, trimmed_bytes >> 20);
    EXPECT_GE(moves, wanted_moves); /* at least one */
    EXPECT_GE(signals_sent, wanted_hz / 4);
    EXPECT_GE(handled, signals_sent / 2); /* those to threads that have just ended are lost */
    EXPECT_GE(trims, trim && wanted_trim_hz ? 1 : 0);
    check_refreshes();
}

/* ---- options -------------------------------------------------------------------------------- */

static int take_option(const char *name, const char *value)
{
    unsigned number = strcmp(value, "yes") == 0 ? 1 : (unsigned)strtoul(value, NULL, 0);
    if (strcmp(name, "--move") == 0)
        wanted_moves = number;
    else if (strcmp(name, "--trim") == 0)
        wanted_trim_hz = number;
    else if (strcmp(name, "--refresh") == 0)
        wanted_refresh_hz = number;
    else if (strcmp(name, "--recut") == 0)
        wants_recut = number;
    else if (strcmp(name, "--signals") == 0 && number <= 1000000)
        wanted_hz = number;
    else if (strcmp(name, "--reshard") == 0)
        wanted_reshards = number;
    else if (strcmp(name, "--front") == 0)
        wanted_front = value;
    else
        return engine_take_option(&engine, name, value);
    return 1;
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"random calls agree with the model while all is in motion", run_storm},
    };
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc || !take_option(argv[i], argv[i + 1])) {
            fprintf(stderr, "storm: no such option or value: %s\n", argv[i]);
            return 2;
        }
    }
    /* By name: the program links nothing of ours, and runs on the reference too. */
    *(void **)&reshard = dlsym(RTLD_DEFAULT, "hakmem_reshard");
    *(void **)&trim = dlsym(RTLD_DEFAULT, "hakmem_trim");
    *(void **)&refresh = dlsym(RTLD_DEFAULT, "hakmem_topology_refresh");
    *(void **)&count_shards = dlsym(RTLD_DEFAULT, "hakmem_shard_count");
    *(void **)&read_mode = dlsym(RTLD_DEFAULT, "hakmem_mode");
    sigaction(SIGRTMIN, &action, NULL);
    if (engine_start(&engine) != 0)
        return 99;
    return tap_run(1, argv, stress_origin, cases, TAP_COUNT(cases));
}
