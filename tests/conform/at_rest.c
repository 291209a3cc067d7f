/* SPDX-License-Identifier: MIT */
/* at_rest.c - the memory that stays resident after the last free, when no more calls come; and the
 * pages that the library has touched before the first call.
 *
 * The program executes itself again with HAKMEM_DECAY=0 or the default, so that it starts with an
 * empty heap. No time is measured. glibc is not held to these bounds. */
#define _GNU_SOURCE
#include "tests/lib/process.h"
#include "tests/lib/tap.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    KIB = 1024,
    MIB = 1024 * KIB,
    OBJECTS_MAX = 100000,
    BURSTS = 4,       /* enough rounds for the learner to decide */
    SLACK = 3 * MIB,  /* headers, tables, stacks */
    HELD = 12 * MIB,  /* freed since the front's last look at the clock, 64 slow calls before */
    FIRST = 16 * MIB, /* what the default keeps after a single burst */
    CALLS = 4 * 64,   /* of a class whose magazines hold about two objects: 64 slow calls among
                         them */
    PAUSES = 10000,   /* of 1 ms and more: far more than it takes */
};

static void *objects[OBJECTS_MAX];

/* Takes, touches and frees: sizes of many classes, down to a fifth of the largest. */
static void burst(unsigned count, size_t most)
{
    enum { SIZES = 80, STEPS = 64 };
    for (unsigned i = 0; i < count; i++) {
        size_t size = most - i % STEPS * (most / SIZES);
        objects[i] = malloc(size);
        if (objects[i] == NULL)
            _exit(3);
        memset(objects[i], 1, size);
    }
    for (unsigned i = 0; i < count; i++)
        free(objects[i]);
}

static void call_slowly(void)
{
    for (unsigned i = 0; i < CALLS; i++)
        objects[i] = malloc(32 * KIB);
    for (unsigned i = 0; i < CALLS; i++)
        free(objects[i]);
}

struct load {
    const char *name;
    unsigned count;
    size_t size;
    bool needs_calls; /* before the fronts have given back their objects */
};

static const struct load loads[] = {
    {"runs", 400, 500 * KIB, false},  {"long", 30, 32 * MIB, false}, {"whales", 3, 70 * MIB, false},
    {"tiny", OBJECTS_MAX, 800, true}, {"mid", 4000, 30 * KIB, true},
};

/* Objects in another CPU's front would wait for calls there. */
static bool can_stay_here(void)
{
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(sched_getcpu(), &here);
    return sched_setaffinity(0, sizeof here, &here) == 0;
}

/* The program executed again. Its status is the result. */
static int live_inside(const char *name, unsigned bursts, size_t allowed)
{
    const struct load *load = loads;
    while (strcmp(load->name, name) != 0)
        load++;
    if (!can_stay_here())
        allowed *= 2; /* two CPUs' */
    memset(objects, 1, sizeof objects);
    size_t before = process_resident();
    for (unsigned i = 0; i < bursts; i++) {
        burst(load->count, load->size);
        if (load->needs_calls)
            call_slowly();
    }
    size_t after = process_resident();
    if (after <= before + allowed)
        return 0;
    fprintf(stderr, "# %s: %zu KiB stay\n", name, (after - before) / KIB);
    return 1;
}

/* Works on as a program at rest does: now and then a malloc and a free, of a class that the load
 * had not. Until no more than allowed stays. */
static int wait_inside(size_t allowed)
{
    memset(objects, 1, sizeof objects);
    free(malloc(48));
    size_t before = process_resident();
    burst(OBJECTS_MAX, 800);
    for (unsigned i = 0; i < PAUSES && process_resident() > before + allowed; i++) {
        usleep(1000);
        objects[0] = malloc(48);
        free(objects[0]);
    }
    size_t after = process_resident();
    if (after <= before + allowed)
        return 0;
    fprintf(stderr, "# %zu KiB stay beside light work\n", (after - before) / KIB);
    return 1;
}

static bool is_ours(void)
{
    return getenv("LD_PRELOAD") != NULL;
}

static void rests(const struct load *load, const char *decay, unsigned bursts, size_t allowed)
{
    char number[2][32];
    snprintf(number[0], sizeof number[0], "%u", bursts);
    snprintf(number[1], sizeof number[1], "%zu", allowed);
    pid_t child = process_fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        setenv("HAKMEM_DECAY", decay, 1);
        execl("/proc/self/exe", "at_rest", "inside", load->name, number[0], number[1], NULL);
        _exit(77);
    }
    int status = process_wait(child, 60);
    if (is_ours())
        EXPECT_EQ(status, 0);
}

static void at_once(void)
{
    for (unsigned i = 0; i < TAP_COUNT(loads); i++)
        rests(&loads[i], "0", BURSTS, loads[i].needs_calls ? HELD : SLACK);
}

/* One burst, of which no memory is asked for again. */
static void after_a_burst(void)
{
    for (unsigned i = 0; i < TAP_COUNT(loads); i++)
        if (!loads[i].needs_calls)
            rests(&loads[i], "1h", 1, FIRST + SLACK);
}

/* What its front serves never makes a slow call, but must look at the clock. */
static void beside_light_work(void)
{
    pid_t child = process_fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        setenv("HAKMEM_DECAY", "10ms", 1);
        setenv("HAKMEM_FRONT", "thread", 1);
        execl("/proc/self/exe", "at_rest", "wait", NULL);
        _exit(77);
    }
    int status = process_wait(child, 60);
    if (is_ours())
        EXPECT_EQ(status, 0);
}

/* ---- before the first call ---- */

/* Kernel pages that the process has written, read without an allocation; 0: the kernel does not
 * tell. */
static unsigned pages_touched(void)
{
    static char text[4096];
    int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    const char *line = length > 0 ? strstr(text, "Anonymous:") : NULL;
    unsigned long kib = line != NULL ? strtoul(line + sizeof "Anonymous:" - 1, NULL, 10) : 0;
    return (unsigned)(kib * KIB / (size_t)sysconf(_SC_PAGESIZE));
}

/* The program executed again: prints the number, or checks it against the bound. */
static int count_inside(unsigned allowed)
{
    unsigned touched = pages_touched();
    if (allowed == 0)
        return (int)touched;
    if (touched <= allowed)
        return 0;
    fprintf(stderr, "# %u pages touched, %u allowed\n", touched, allowed);
    return 1;
}

static int start_anew(const char *shards, unsigned allowed)
{
    char number[32];
    snprintf(number, sizeof number, "%u", allowed);
    pid_t child = process_fork();
    if (child == 0) {
        setenv("HAKMEM_SHARD", shards, 1);
        unsetenv("HAKMEM_FRONT"); /* fronts of CPUs are made at start */
        if (allowed == 0)
            unsetenv("LD_PRELOAD");
        execl("/proc/self/exe", "at_rest", "count", number, NULL);
        _exit(125);
    }
    return process_wait(child, 60);
}

/* A short process pays for each page that its start touches. So data that is valid as zeros is not
 * written: of a shard only the words that place it. */
static void few_pages_at_start(void)
{
    enum { LIBRARY_MOST = 24, SHARD_MOST = 6, SHARDS = 64 };
    if (!is_ours())
        return;
    if (prctl(PR_GET_SECCOMP) != 0) {
        tap_skip("a filter of system calls may refuse what saves pages");
        return;
    }
    int without = start_anew("single", 0);
    if (without == 0) {
        tap_skip("the kernel has no smaps_rollup");
        return;
    }
    EXPECT_LE(without, 100);
    EXPECT_EQ(start_anew("single", (unsigned)without + LIBRARY_MOST), 0);
    EXPECT_EQ(start_anew("64", (unsigned)without + LIBRARY_MOST + SHARDS * SHARD_MOST), 0);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"with HAKMEM_DECAY=0 no tier keeps memory", at_once},
        {"after one burst at most 16 MiB stay", after_a_burst},
        {"beside light work a burst's memory goes back", beside_light_work},
        {"before the first call few pages are touched", few_pages_at_start},
    };
    if (argc == 3 && strcmp(argv[1], "count") == 0)
        return count_inside((unsigned)atoi(argv[2]));
    if (argc == 2 && strcmp(argv[1], "wait") == 0)
        return wait_inside(SLACK);
    if (argc == 5 && strcmp(argv[1], "inside") == 0)
        return live_inside(argv[2], (unsigned)atoi(argv[3]), strtoull(argv[4], NULL, 10));
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
