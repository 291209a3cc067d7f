/* SPDX-License-Identifier: MIT */
/* drift.c - memory whose sizes and lifetimes change from round to round must not grow.
 *
 *   drift [CASE]        HAKMEM_CHECK_LONG: not empty: eight times the rounds
 *
 * Each profile keeps about as many live bytes in every round of a cycle, each time in another
 * shape: memory that one shape leaves must serve the next. The end of each cycle, when the same
 * shapes are live, reads address space, resident pages and mappings. In the last third of the
 * cycles they may be no more than in the second, plus a margin, and live memory bounds resident
 * pages. Memory only: no time is measured. Programs whose memory grew without end lived like this:
 * caches whose entries change their size, servers whose requests do.
 *
 * A thread owns its slots. If there are several threads, each begins a round with its neighbour's
 * slots: they change hands at a barrier, so that most objects are freed by another thread than the
 * one that made them. */
#define _GNU_SOURCE
#include "tests/lib/prng.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    KIB = 1024,
    MIB = 1024 * KIB,
    SLOTS_MAX = 16384,
    BURST_MAX = 4096,
    CYCLES_MAX = 2000,
    TEAM = 4,
    PAGE = 4096,
};

/* One kind of object in a round: sizes from `least` on, over `spread` bytes; both move by `step`
 * from round to round, `steps` times, and then start again: a cycle. */
struct shape {
    unsigned slots;    /* live for long, replaced at random */
    unsigned replaced; /* in each round */
    size_t least, spread, step;
    unsigned bits;        /* not 0: sizes to two to the power of this instead, one more a step */
    unsigned burst_least; /* objects made and all freed again within a round, */
    unsigned burst_spread;
    size_t burst_size, burst_size_spread;
};

struct profile {
    unsigned steps; /* rounds of a cycle */
    unsigned cycles;
    unsigned threads;
    size_t kept; /* bytes that the options allow to keep unused, and caches */
    struct shape shape;
};

struct figures {
    size_t mapped, resident; /* bytes beyond those at first */
    unsigned maps;
};

/* All of it in .bss: nothing of ours lies between the program's objects. */
static struct {
    const struct profile *profile;
    unsigned cycles;
    bool is_long;
    char *slots[TEAM][SLOTS_MAX];
    size_t sizes[TEAM][SLOTS_MAX];
    char *burst[TEAM][BURST_MAX];
    struct figures at_first;
    struct figures figures[CYCLES_MAX];
    size_t live_most;
    size_t burst_most[TEAM];
    pthread_barrier_t barrier;
} drift;

/* ---- figures -------------------------------------------------------------------------------- */

static unsigned count_lines(const char *path)
{
    char text[16384];
    unsigned lines = 0;
    ssize_t length;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && (length = read(fd, text, sizeof text)) > 0)
        for (ssize_t i = 0; i < length; i++)
            lines += text[i] == '\n';
    if (fd >= 0)
        close(fd);
    return lines;
}

static struct figures look(void)
{
    char text[256] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (length <= 0)
        abort();
    char *rest;
    size_t mapped = strtoul(text, &rest, 10) * PAGE;
    size_t resident = strtoul(rest, NULL, 10) * PAGE;
    struct figures first = drift.at_first;
    return (struct figures){mapped > first.mapped ? mapped - first.mapped : 0,
                            resident > first.resident ? resident - first.resident : 0,
                            count_lines("/proc/self/maps")};
}

/* ---- what a thread does --------------------------------------------------------------------- */

static char *make(size_t size)
{
    char *object = malloc(size);
    if (object == NULL)
        abort();
    for (size_t at = 0; at < size; at += PAGE)
        object[at] = 1;
    object[size - 1] = 1;
    return object;
}

static void replace(unsigned owner, unsigned slot, size_t size)
{
    free(drift.slots[owner][slot]);
    drift.slots[owner][slot] = make(size);
    drift.sizes[owner][slot] = size;
}

static size_t burst_size(struct prng *prng, const struct shape *shape)
{
    return shape->burst_size + prng_below(prng, shape->burst_size_spread);
}

static size_t slot_size(struct prng *prng, const struct shape *shape, unsigned step)
{
    if (shape->bits != 0)
        return prng_size(prng, shape->bits + step);
    return shape->least + step * shape->step + prng_below(prng, shape->spread);
}

static void run_burst(const struct shape *shape, unsigned owner, struct prng *prng)
{
    char **burst = drift.burst[owner];
    size_t bytes = 0;
    unsigned count = shape->burst_least + (unsigned)prng_below(prng, shape->burst_spread + 1);
    for (unsigned i = 0; i < count; i++) {
        size_t size = burst_size(prng, shape);
        burst[i] = make(size);
        bytes += size;
    }
    for (unsigned i = 0; i < count; i++)
        free(burst[i]);
    if (bytes > drift.burst_most[owner])
        drift.burst_most[owner] = bytes;
}

/* Takes over the slots of the thread that is one further to the right in each round. */
static void run_round(unsigned thread, unsigned step, unsigned turn, struct prng *prng)
{
    const struct profile *profile = drift.profile;
    const struct shape *shape = &profile->shape;
    unsigned owner = (thread + turn) % profile->threads;
    for (unsigned i = 0; i < shape->replaced; i++)
        replace(owner, (unsigned)prng_below(prng, shape->slots), slot_size(prng, shape, step));
    if (shape->burst_least != 0)
        run_burst(shape, owner, prng);
}

static void wait_for_all(void)
{
    if (drift.profile->threads > 1)
        pthread_barrier_wait(&drift.barrier);
}

static void note_figures(unsigned cycle)
{
    size_t live = 0;
    for (unsigned owner = 0; owner < drift.profile->threads; owner++) {
        for (unsigned slot = 0; slot < drift.profile->shape.slots; slot++)
            live += drift.sizes[owner][slot];
        live += drift.burst_most[owner];
    }
    if (live > drift.live_most)
        drift.live_most = live;
    drift.figures[cycle] = look();
}

static void *run_thread(void *argument)
{
    unsigned thread = *(unsigned *)argument;
    struct prng prng = {thread + 1};
    unsigned turn = 0;
    for (unsigned cycle = 0; cycle < drift.cycles; cycle++) {
        for (unsigned step = 0; step < drift.profile->steps; step++) {
            run_round(thread, step, turn++, &prng);
            wait_for_all();
        }
        if (thread == 0)
            note_figures(cycle);
        wait_for_all();
    }
    return NULL;
}

/* ---- what must hold ------------------------------------------------------------------------- */

/* The maximum over the cycles first .. last - 1. */
static struct figures most(unsigned first, unsigned last)
{
    struct figures top = {0};
    for (unsigned i = first; i < last; i++) {
        const struct figures *now = &drift.figures[i];
        top.mapped = now->mapped > top.mapped ? now->mapped : top.mapped;
        top.resident = now->resident > top.resident ? now->resident : top.resident;
        top.maps = now->maps > top.maps ? now->maps : top.maps;
    }
    return top;
}

static int expect_flat(void)
{
    const struct profile *profile = drift.profile;
    unsigned third = drift.cycles / 3;
    struct figures second = most(third, 2 * third);
    struct figures last = most(2 * third, drift.cycles);
    size_t margin = profile->kept / 8 + 8 * MIB; /* a whale more or less at that moment */
    int good = 1;
    tap_note("MiB: live %zu; mapped %zu, then %zu; resident %zu, then %zu; mappings %u, then %u",
             drift.live_most / MIB, second.mapped / MIB, last.mapped / MIB, second.resident / MIB,
             last.resident / MIB, second.maps, last.maps);
    /* Unused memory decays by the clock: how much of it is seen depends on the moment. So does how
     * much lives, of threads that hand it over: what once lived at the same time is no drift. */
    size_t before = second.resident > drift.live_most ? second.resident : drift.live_most;
    good &= EXPECT_LE(last.resident, before + before / 20 + margin);
    /* A thread that moves between many shards finds its way to a steady state of addresses slowly:
     * more of them without memory is no drift yet. The long run tells. */
    size_t addresses = second.mapped / (drift.is_long ? 20 : 4);
    good &= EXPECT_LE(last.mapped, second.mapped + addresses + 2 * margin);
    good &= EXPECT_LE(last.maps, second.maps + second.maps / 10 + 16);
    /* A shape leaves a few of its objects in most of its slabs, which later shapes cannot use. */
    good &= EXPECT_LE(last.resident, 3 * drift.live_most + profile->kept);
    good &= EXPECT_LE(last.mapped, 5 * drift.live_most + profile->kept);
    return good;
}

static int run_here(const struct profile *profile)
{
    unsigned numbers[TEAM] = {0, 1, 2, 3};
    const char *longer = getenv("HAKMEM_CHECK_LONG");
    memset(&drift, 1, sizeof drift); /* .bss that is touched later would look like growth */
    memset(&drift, 0, sizeof drift);
    drift.profile = profile;
    drift.is_long = longer != NULL && *longer != '\0';
    drift.cycles = profile->cycles * (drift.is_long ? 8 : 1);
    drift.at_first = look();
    pthread_barrier_init(&drift.barrier, NULL, profile->threads);
    if (profile->threads == 1)
        run_thread(&numbers[0]);
    else
        threads_run(profile->threads, run_thread, numbers, sizeof numbers[0]);
    return expect_flat();
}

/* In a process of its own, apart from the memory that other profiles left. */
static void run(const struct profile *profile)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(run_here(profile) ? EXIT_SUCCESS : EXIT_FAILURE);
    REQUIRE(child > 0 && waitpid(child, &status, 0) == child);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);
}

/* ---- profiles ------------------------------------------------------------------------------- */

/* Slabs of one page. */
static const struct shape tiny = {.slots = 16000,
                                  .replaced = 20000,
                                  .least = 16,
                                  .spread = 100,
                                  .step = 110,
                                  .burst_least = 500,
                                  .burst_spread = 3500,
                                  .burst_size = 600,
                                  .burst_size_spread = 400};

/* Slabs of one to eight pages, whose classes change while long ones come and go. */
static const struct shape mid = {.slots = 14000,
                                 .replaced = 30000,
                                 .least = 1100,
                                 .spread = 2500,
                                 .step = 700,
                                 .burst_least = 500,
                                 .burst_spread = 2500,
                                 .burst_size = 17000,
                                 .burst_size_spread = 15000};

/* Slabs of several pages alone. */
static const struct shape wide = {.slots = 2500,
                                  .replaced = 5000,
                                  .least = 6000,
                                  .spread = 5000,
                                  .step = 3500,
                                  .burst_least = 100,
                                  .burst_spread = 600,
                                  .burst_size = 2000,
                                  .burst_size_spread = 3000};

static const struct shape large = {.slots = 60,
                                   .replaced = 90,
                                   .least = 40 * KIB,
                                   .spread = 200 * KIB,
                                   .step = 130 * KIB,
                                   .burst_least = 4,
                                   .burst_spread = 20,
                                   .burst_size = 100 * KIB,
                                   .burst_size_spread = MIB};

static const struct shape whale = {.slots = 3,
                                   .replaced = 3,
                                   .least = 9 * MIB,
                                   .spread = 2 * MIB,
                                   .step = 3 * MIB,
                                   .burst_least = 1,
                                   .burst_spread = 1,
                                   .burst_size = 10 * MIB,
                                   .burst_size_spread = 10 * MIB};

/* Every tier at once: each doubling as likely as the next. */
static const struct shape mixed = {.slots = 3000,
                                   .replaced = 4000,
                                   .bits = 11,
                                   .burst_least = 5,
                                   .burst_spread = 25,
                                   .burst_size = 20 * KIB,
                                   .burst_size_spread = 500 * KIB};

enum {
    SLABS_KEPT = 64 * MIB, /* a half of it what is retained, the rest caches of threads */
    RUNS_KEPT = 384 * MIB, /* runs or whales */
    /* Twice that where slabs come and go by the tens of MiB: what was taken again within two times
     * of decay may stay, at each of 64 shards, and the cycles take less than one. */
    SLABS_TAKEN_AGAIN = 128 * MIB,
};

static void run_alone(const struct shape *shape, unsigned steps, unsigned cycles, size_t kept)
{
    run(&(struct profile){steps, cycles, 1, kept, *shape});
}

/* The same amount in all, shared out. */
static void run_together(const struct shape *shape, unsigned steps, unsigned cycles, size_t kept)
{
    struct profile profile = {steps, cycles, TEAM, kept, *shape};
    profile.shape.slots = (shape->slots + TEAM - 1) / TEAM;
    profile.shape.replaced = (shape->replaced + TEAM - 1) / TEAM;
    profile.shape.burst_least = (shape->burst_least + TEAM - 1) / TEAM;
    profile.shape.burst_spread = shape->burst_spread / TEAM;
    run(&profile);
}

static void tiny_alone(void)
{
    run_alone(&tiny, 7, 12, SLABS_KEPT);
}

static void tiny_together(void)
{
    run_together(&tiny, 7, 12, SLABS_KEPT);
}

static void mid_alone(void)
{
    run_alone(&mid, 7, 12, SLABS_KEPT);
}

static void mid_together(void)
{
    run_together(&mid, 7, 12, SLABS_KEPT);
}

static void wide_alone(void)
{
    run_alone(&wide, 6, 12, SLABS_KEPT);
}

static void wide_together(void)
{
    run_together(&wide, 6, 12, SLABS_TAKEN_AGAIN);
}

static void large_alone(void)
{
    run_alone(&large, 6, 12, RUNS_KEPT);
}

static void large_together(void)
{
    run_together(&large, 6, 12, RUNS_KEPT);
}

static void whale_alone(void)
{
    run_alone(&whale, 6, 12, RUNS_KEPT);
}

static void whale_together(void)
{
    run_together(&whale, 6, 12, RUNS_KEPT);
}

static void mixed_alone(void)
{
    run_alone(&mixed, 7, 12, RUNS_KEPT);
}

static void mixed_together(void)
{
    run_together(&mixed, 7, 12, RUNS_KEPT);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"slabs of several pages while long ones come and go", mid_alone},
        {"the same, handed over between threads", mid_together},
        {"tiny objects", tiny_alone},
        {"tiny objects that are handed over", tiny_together},
        {"long slabs", wide_alone},
        {"long slabs that are handed over", wide_together},
        {"large runs", large_alone},
        {"large runs that are handed over", large_together},
        {"whales", whale_alone},
        {"whales that are handed over", whale_together},
        {"all sizes", mixed_alone},
        {"all sizes, handed over", mixed_together},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
