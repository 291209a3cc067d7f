/* SPDX-License-Identifier: MIT */
/*
 * effect.c - a small program with threads that tells, as NAME=VALUE lines, what options.sh compares:
 * the mode in force, the statistics, resident memory while it is held, when it was freed, and after
 * some more calls or some idle time, the kernel's flags of a mapping, the threads of the process.
 *
 *   effect [idle|twice]    idle: waits for memory to go back to the kernel   twice: frees twice
 *
 * The main thread alone prints; what the threads share changes hands by pthread_join.
 */
#define _GNU_SOURCE
#include "tests/lib/process.h"
#include "tests/lib/weak.h"

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>

enum {
    THREADS = 2,
    SMALL = 20000,
    SMALL_SIZE = 64,
    MID = 4096, /* 32 MiB for each thread */
    MID_SIZE = 8192,
    LARGE_SIZE = 2 << 20,
    IDLE_SECONDS = 10,
};

struct part {
    int cpu;
    void *small[SMALL], *mid[MID];
};

static struct part parts[THREADS];

static void bind_to(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof(set), &set);
}

static void *take(void *argument)
{
    struct part *part = argument;
    bind_to(part->cpu);
    for (unsigned i = 0; i < SMALL; i++)
        part->small[i] = malloc(SMALL_SIZE);
    for (unsigned i = 0; i < MID; i++) {
        part->mid[i] = malloc(MID_SIZE);
        if (!part->mid[i])
            _exit(3);
        memset(part->mid[i], 1, MID_SIZE);
    }
    return NULL;
}

/* Frees what the other one took. */
static void *give(void *argument)
{
    struct part *part = argument;
    struct part *other = &parts[THREADS - 1 - (part - parts)];
    bind_to(part->cpu);
    for (unsigned i = 0; i < SMALL; i++)
        free(other->small[i]);
    for (unsigned i = 0; i < MID; i++)
        free(other->mid[i]);
    return NULL;
}

static void in_threads(void *(*body)(void *))
{
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, body, &parts[i]) != 0)
            _exit(4);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

/* The first and the last CPU that the process may use. */
static unsigned choose_cpus(void)
{
    cpu_set_t set;
    unsigned count = 0;
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        _exit(5);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &set))
            continue;
        if (count++ == 0)
            parts[0].cpu = cpu;
        parts[THREADS - 1].cpu = cpu;
    }
    return count;
}

/* The last line of /proc/self/NAME that begins with `key`, of those up to the mapping of `within`
 * and its own; all of them if NULL. */
static void print_line(const char *label, const char *name, const char *key, const void *within)
{
    char path[64], line[512], found[512] = "\n";
    snprintf(path, sizeof(path), "/proc/self/%s", name);
    FILE *file = fopen(path, "r");
    int is_inside = within == NULL;
    while (file && fgets(line, sizeof(line), file)) {
        uintptr_t from, to;
        if (within && sscanf(line, "%lx-%lx ", &from, &to) == 2)
            is_inside = from <= (uintptr_t)within && (uintptr_t)within < to;
        if (is_inside && strncmp(line, key, strlen(key)) == 0)
            strcpy(found, line + strlen(key));
    }
    if (file)
        fclose(file);
    printf("%s=%s", label, found);
}

static void print_resident(const char *label)
{
    printf("%s=%zu\n", label, process_resident() >> 10);
}

/* Memory is given back when the library is busy anyway: at refills and flushes, after some time. */
static void stir(void)
{
    enum { ROUNDS = 50, COUNT = 4096 };
    const struct timespec pause = {0, 10 * 1000 * 1000};
    static void *objects[COUNT];
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < COUNT; i++)
            objects[i] = malloc(i / 2 + 1);
        for (unsigned i = 0; i < COUNT; i++)
            free(objects[i]);
        nanosleep(&pause, NULL);
    }
    print_resident("stirred_kib");
}

/* Allocates and frees nothing meanwhile. */
static void idle(void)
{
    const struct timespec pause = {0, 20 * 1000 * 1000};
    size_t begin = process_resident();
    for (unsigned i = 0; i < IDLE_SECONDS * 50 && process_resident() > begin / 2; i++)
        nanosleep(&pause, NULL);
    print_resident("idle_kib");
}

int main(int argc, char **argv)
{
    char mode[256] = "";
    const char *what = argc > 1 ? argv[1] : "";
    if (!hakmem_mode || !hakmem_stats_print)
        return 2;
    setvbuf(stdout, NULL, _IONBF, 0);
    printf("cpus=%u\nfirst_cpu=%d\n", choose_cpus(), parts[0].cpu);
    in_threads(take);
    print_resident("held_kib");
    in_threads(give);
    print_resident("freed_kib");
    if (strcmp(what, "idle") == 0)
        idle();
    else
        stir();
    hakmem_mode(mode, sizeof(mode));
    printf("mode=%s\n", mode);
    print_line("threads", "status", "Threads:", NULL);
    char *large = malloc(LARGE_SIZE);
    if (!large)
        return 6;
    memset(large, 1, LARGE_SIZE);
    print_line("flags", "smaps", "VmFlags:", large + LARGE_SIZE / 2);
    fflush(stdout);
    hakmem_stats_print(STDOUT_FILENO, HAKMEM_JSON);
    free(large);
    if (strcmp(what, "twice") == 0) {
        void *volatile object = malloc(LARGE_SIZE); /* volatile: hides the value from the
                                                       compiler */
        void *again = object;
        free(object);
        free(again);
    }
    return 0;
}
