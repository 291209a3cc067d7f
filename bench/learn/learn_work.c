/* SPDX-License-Identifier: MIT */
/*
 * learn_work SCENARIO [--seconds=N]...: what a way to treat freed large memory costs.
 *
 * cost = CPU time + price x MiB x seconds, where the MiB are resident but not in use. The amount of
 * work is fixed by the options, so costs of allocators compare; --no-alloc measures the part that
 * is the scenario's own.
 */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "bench/learn/learn.h"
#include "bench/lib/proof.h"

struct run {
    const struct scenario *scenario;
    const struct learn_options *options;
    struct stage *stage;
    unsigned cpu; /* for the second thread */
};

static const struct {
    const char *name;
    size_t offset;
    const char *meaning;
} numbers[] = {
    {"seconds", offsetof(struct learn_options, seconds), "length of the schedule (5)"},
    {"phase", offsetof(struct learn_options, phase_seconds), "phases: seconds of each (5)"},
    {"price", offsetof(struct learn_options, price_ns), "ns of a MiB held a second (130000)"},
    {"speed", offsetof(struct learn_options, speed), "trace: faster than recorded (1)"},
    {"gap", offsetof(struct learn_options, gap_seconds), "trace: longest pause, in s (0.5)"},
};

static void print_usage(FILE *out)
{
    fprintf(out, "usage: learn_work SCENARIO [--OPTION=VALUE]...\n");
    for (unsigned i = 0; i < scenario_count; i++)
        fprintf(out, "  %-14s %s\n", scenarios[i].name, scenarios[i].meaning);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        fprintf(out, "  --%-12s %s\n", numbers[i].name, numbers[i].meaning);
    fprintf(out, "  --%-12s %s\n  --%-12s %s\n  --%-12s %s\n  --%-12s %s\n", "windows",
            "a line for each half second", "no-alloc", "the same touches, no allocator", "seed",
            "of the random numbers", "smoke", "fast, contents checked; of all, if none is named");
}

static bool set_flag(struct learn_options *options, const char *name)
{
    if (strcmp(name, "--smoke") == 0)
        options->smoke = true;
    else if (strcmp(name, "--no-alloc") == 0)
        options->no_alloc = true;
    else if (strcmp(name, "--windows") == 0)
        options->window_ns = 500000000;
    else
        return false;
    return true;
}

/* --name=value or --name value; returns the arguments used, 0: it is none. */
static int set_number(struct learn_options *options, const char *name, const char *next)
{
    size_t length = strncmp(name, "--", 2) == 0 ? strcspn(name + 2, "=") : 0;
    const char *text = name[2 + length] == '=' ? name + 3 + length : next;
    char *end;
    if (length == 0 || text == NULL)
        return 0;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || value < 0)
        return 0;
    int used = text == next ? 2 : 1;
    if (length == 4 && strncmp(name + 2, "seed", 4) == 0) {
        options->seed = (uint64_t)value;
        return used;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strlen(numbers[i].name) != length || strncmp(name + 2, numbers[i].name, length) != 0)
            continue;
        memcpy((char *)options + numbers[i].offset, &value, sizeof value);
        return used;
    }
    return 0;
}

static void parse(struct learn_options *options, int argc, char **argv)
{
    for (int i = 1; i < argc;) {
        if (strcmp(argv[i], "--help") == 0) {
            print_usage(stdout);
            exit(0);
        }
        int used = strncmp(argv[i], "--", 2) != 0 && options->scenario == NULL;
        if (used)
            options->scenario = argv[i];
        else
            used = set_flag(options, argv[i]) ? 1 : set_number(options, argv[i], argv[i + 1]);
        if (used == 0) {
            fprintf(stderr, "learn_work: cannot use %s\n", argv[i]);
            print_usage(stderr);
            exit(2);
        }
        i += used;
    }
    if (options->scenario == NULL && !options->smoke)
        bench_die("learn_work: which scenario? --help lists them");
    if (options->seconds <= 0 || options->phase_seconds <= 0 || options->speed <= 0)
        bench_die("learn_work: --seconds, --phase and --speed must be above 0");
}

/* NAME or NAME:PATH; NULL: there is none. */
static const struct scenario *find_scenario(const char *name, const char **path)
{
    size_t length = strcspn(name, ":");
    *path = name[length] == ':' ? name + length + 1 : NULL;
    for (unsigned i = 0; i < scenario_count; i++)
        if (strlen(scenarios[i].name) == length && strncmp(scenarios[i].name, name, length) == 0)
            return &scenarios[i];
    return NULL;
}

/* Each thread on its own CPU, where there are two: with a shard for each CPU, its own shard. */
static void find_two_cpus(unsigned cpus[2])
{
    cpu_set_t allowed;
    unsigned found = 0;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        bench_die("cannot ask for the allowed CPUs");
    for (unsigned cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
        if (CPU_ISSET(cpu, &allowed))
            cpus[found++] = cpu;
    if (found == 1)
        cpus[1] = cpus[0];
}

static void bind_to(unsigned cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        bench_die("cannot bind a thread to its CPU");
}

static void *play_beside(void *argument)
{
    struct run *run = argument;
    bind_to(run->cpu);
    run->scenario->beside(run->stage, run->options->seconds);
    return NULL;
}

/* Plays on one thread or two; all stages begin at the same time. */
static void play(struct run *run, struct stage stages[2])
{
    pthread_t second;
    bool two = run->scenario->beside != NULL;
    stages[0].due_ns = stages[1].due_ns = bench_clock_ns();
    if (two) {
        unsigned cpus[2];
        find_two_cpus(cpus);
        run->cpu = cpus[1];
        run->stage = &stages[1];
        if (pthread_create(&second, NULL, play_beside, run) != 0)
            bench_die("cannot create a thread");
        bind_to(cpus[0]);
    }
    run->scenario->play(&stages[0], run->options->seconds);
    if (two)
        pthread_join(second, NULL);
}

static void prepare(struct run *run, struct stage stages[2], const char *path)
{
    size_t most = run->scenario->most;
    if (run->scenario->play == trace_play)
        most = trace_load(path);
    for (unsigned i = 0; i < 2; i++) {
        stage_open(&stages[i], run->options, i);
        stages[i].path = path;
        if (run->options->no_alloc && (i == 0 || run->scenario->beside != NULL))
            stage_reserve(&stages[i], most);
    }
}

static int print_line(const struct learn_options *options, const struct stage *sum,
                      const struct reading *reading)
{
    struct bench_proof proof;
    size_t rss_kib = bench_rss_kib("VmHWM");
    bench_prove(&proof);
    if (options->window_ns != 0)
        meter_print_windows(options);
    printf("name=learn_work scenario=%s seconds=%.4f cost_ns=%.0f cpu_ns=%" PRIu64
           " retained_mib_s=%.4f price_ns=%.0f rss_kib=%zu minor_faults=%" PRIu64 " ops=%" PRIu64
           " late=%" PRIu64 " faults=%" PRIu64 " meter_ns=%" PRIu64 " base=%d",
           options->scenario != NULL ? options->scenario : "all", (double)reading->wall_ns / 1e9,
           (double)reading->cpu_ns + options->price_ns * reading->retained, reading->cpu_ns,
           reading->retained, options->price_ns, rss_kib, reading->minor_faults, sum->ops,
           sum->late, sum->faults, reading->meter_ns, options->no_alloc);
    if (proof.is_hakmem)
        printf(" refilled=%" PRIu64, proof.refilled);
    else
        printf(" refilled=absent");
    /* The path is last: it alone may hold a space. */
    printf(" allocator=%s library=%s\n", proof.allocator, proof.library);
    return sum->faults == 0 && sum->ops != 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct learn_options options = {
        .seconds = 5,
        .phase_seconds = 5,
        .price_ns = 130000,
        .speed = 1,
        .gap_seconds = 0.5,
    };
    parse(&options, argc, argv);
    struct stage sum = {0};
    struct reading reading = {0};
    struct run run = {.options = &options};
    struct stage stages[2];
    const char *path = NULL;
    if (options.scenario != NULL) {
        run.scenario = find_scenario(options.scenario, &path);
        if (run.scenario == NULL)
            bench_die("learn_work: no such scenario; --help lists them");
        prepare(&run, stages, path);
    }
    meter_start(&options);
    for (unsigned i = 0; i < (options.scenario != NULL ? 1 : scenario_count); i++) {
        if (options.scenario == NULL) {
            run.scenario = &scenarios[i];
            prepare(&run, stages, NULL);
        }
        play(&run, stages);
        for (unsigned k = 0; k < 2; k++) {
            sum.ops += stages[k].ops;
            sum.late += stages[k].late;
            sum.faults += stages[k].faults;
        }
    }
    meter_stop(&reading);
    if (options.no_alloc)
        reading.retained = 0; /* all of it is there from the start */
    return print_line(&options, &sum, &reading);
}
