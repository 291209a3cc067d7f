/* SPDX-License-Identifier: MIT */
/* figures.c - the statistics agree with the shadow model.
 *
 * At rest `live` is exact. While threads run, the reported value lies between the model's values
 * before and after the report, except for objects that moved meanwhile: an object that moves from
 * one place to another while they are read one after the other is counted twice or not at all.
 * BOUND is half of what may be live here: some bundles of 64 KiB and some of the objects of up to 8
 * MiB of each thread that are on their way. A report that was interrupted for long may be farther
 * off; one of the next is not. */
#define _GNU_SOURCE
#include "tests/stress/engine.h"

#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    THREADS = 4,
    REPORTS = 60,
    JSON = 1,
    TEXT_BYTES = 4 << 20,
    OBJECTS = 4000,
    KIB = 1024,
    REST_BOUND = 16 * KIB, /* bytes that libc keeps for threads */
    TRIES = 16,
    BOUND = 32 * 1024 * KIB,
};

static void (*print_stats)(int fd, int format);
static int file = -1;
static char text[TEXT_BYTES];

static const char *report(void)
{
    if (print_stats == NULL) {
        *(void **)&print_stats = dlsym(RTLD_DEFAULT, "hakmem_stats_print");
        file = memfd_create("report", MFD_CLOEXEC);
    }
    if (!EXPECT(print_stats != NULL && file >= 0 && ftruncate(file, 0) == 0))
        return "";
    lseek(file, 0, SEEK_SET);
    print_stats(file, JSON);
    ssize_t length = pread(file, text, sizeof text - 1, 0);
    EXPECT_GE(length, 1000);
    text[length > 0 ? length : 0] = '\0';
    return text;
}

/* The first number of the name behind `section`. */
static long long number_of(const char *where, const char *section, const char *name)
{
    const char *at = strstr(where, section);
    at = at != NULL ? strstr(at, name) : NULL;
    if (!EXPECT(at != NULL))
        return -1;
    return strtoll(at + strlen(name), NULL, 10);
}

static long long live_of(const char *where)
{
    return number_of(where, "\"process\":{", "\"live\":");
}

/* ---- at rest --------------------------------------------------------------------------------- */

static char *objects[THREADS][OBJECTS];

static void *make(void *argument)
{
    unsigned thread = *(unsigned *)argument;
    for (unsigned i = 0; i < OBJECTS; i++) {
        size_t size = (size_t)(i * 37 + thread) % 5000 + (i % 100 == 0 ? 200 * KIB : 0);
        objects[thread][i] = malloc(size + 1);
    }
    return NULL;
}

/* Frees two of three objects of another thread. */
static void *drop(void *argument)
{
    unsigned thread = (*(unsigned *)argument + 1) % THREADS;
    for (unsigned i = 0; i < OBJECTS; i++) {
        if (i % 3 == 0)
            continue;
        free(objects[thread][i]);
        objects[thread][i] = NULL;
    }
    return NULL;
}

static size_t held(void)
{
    size_t bytes = 0;
    for (unsigned thread = 0; thread < THREADS; thread++)
        for (unsigned i = 0; i < OBJECTS; i++)
            bytes += malloc_usable_size(objects[thread][i]);
    return bytes;
}

static void exact_at_rest(void)
{
    unsigned numbers[THREADS] = {0, 1, 2, 3};
    if (tap_is_reference()) {
        tap_skip("glibc tells of itself");
        return;
    }
    threads_run(THREADS, make, numbers, sizeof numbers[0]); /* so that libc has its memory
                                                               already */
    threads_run(THREADS, drop, numbers, sizeof numbers[0]);
    long long before = live_of(report()) - (long long)held();
    for (unsigned thread = 0; thread < THREADS; thread++)
        for (unsigned i = 0; i < OBJECTS; i++)
            free(objects[thread][i]);
    for (unsigned round = 0; round < 3; round++) {
        threads_run(THREADS, make, numbers, sizeof numbers[0]);
        threads_run(THREADS, drop, numbers, sizeof numbers[0]);
        long long live = live_of(report()) - before;
        long long model = (long long)held();
        tap_note("model %lld, told %lld bytes", model, live);
        EXPECT_LE(llabs(live - model), REST_BOUND);
        for (unsigned thread = 0; thread < THREADS; thread++)
            for (unsigned i = 0; i < OBJECTS; i++)
                free(objects[thread][i]);
    }
    EXPECT_LE(llabs(live_of(report()) - before), REST_BOUND);
}

/* ---- under way ------------------------------------------------------------------------------- */

static unsigned reports;
static long long live_before;
static long long farthest;
static long long counted;

/* The distance of the reported value from the model's values before and after. */
static long long distance(void)
{
    long long low = (long long)engine_live_bytes();
    const char *told = report();
    long long high = (long long)engine_live_bytes();
    long long live = live_of(told) - live_before;
    if (low > high) {
        long long swap = low;
        low = high;
        high = swap;
    }
    long long refilled = number_of(told, "\"total\":{", "\"refill_objects\":");
    EXPECT_GE(refilled, counted);
    counted = refilled;
    return live < low ? low - live : live > high ? live - high : 0;
}

static int busy(void)
{
    long long off = distance();
    for (unsigned i = 1; i < TRIES && off > BOUND; i++)
        off = distance();
    farthest = off > farthest ? off : farthest;
    return ++reports < REPORTS;
}

static void bounded_under_way(void)
{
    struct engine engine = {.seconds = 0, .budget = 64u << 20};
    if (tap_is_reference()) {
        tap_skip("glibc tells of itself");
        return;
    }
    REQUIRE(engine_start(&engine) == 0);
    live_before = live_of(report());
    engine_run(&engine, THREADS, busy);
    tap_note("%u reports, at most %lld KiB off", reports, farthest / KIB);
    EXPECT_LE(farthest, BOUND);
    EXPECT_EQ(engine_live_bytes(), 0);
    EXPECT_LE(llabs(live_of(report()) - live_before), REST_BOUND);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"at rest the statistics agree with the model", exact_at_rest},
        {"while threads run they agree within a bound", bounded_under_way},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
