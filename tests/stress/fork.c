/* SPDX-License-Identifier: MIT */
/*
 * fork.c - a process whose threads never stop allocating forks hundreds of times, at any moment.
 *
 *   fork [CASE]        HAKMEM_STRESS_FORKS: how many forks (300)
 *
 * Children check what they inherited, allocate, start threads, free the parent's objects, and exit;
 * one that hangs is killed and counted. Threads come and go in the parent all the while, so that a
 * fork also meets thread start and thread exit.
 */
#define _GNU_SOURCE
#include "tests/lib/prng.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 6, OBJECTS = 128, INHERITED = 256, CHILD_SECONDS = 20, AT_ONCE = 3 };

static unsigned stop;                       /* set by main */
static unsigned char *inherited[INHERITED]; /* made before the first fork; children free them */

static size_t inherited_size(unsigned i)
{
    return i % 16 == 15 ? 40000 * (i / 16 + 1) : 1 + i * 37;
}

/* `steps` random calls over a few objects; bytes at both ends tell of a clash. Whether all held. */
static int use_memory(struct prng *prng, unsigned steps)
{
    unsigned char *objects[OBJECTS] = {0};
    size_t sizes[OBJECTS];
    int good = 1;
    for (unsigned i = 0; i < steps && good; i++) {
        unsigned n = (unsigned)prng_below(prng, OBJECTS);
        if (objects[n]) {
            good =
                objects[n][0] == (unsigned char)n && objects[n][sizes[n] - 1] == (unsigned char)n;
            free(objects[n]);
            objects[n] = NULL;
            continue;
        }
        sizes[n] = prng_size(prng, i % 32 ? 13 : 20);
        objects[n] = i % 5 ? malloc(sizes[n]) : calloc(1, sizes[n]);
        if (!objects[n])
            return 0;
        objects[n][0] = objects[n][sizes[n] - 1] = (unsigned char)n;
    }
    for (unsigned n = 0; n < OBJECTS; n++)
        free(objects[n]);
    return good;
}

static void *use_briefly(void *argument)
{
    struct prng prng = {(uint64_t)(uintptr_t)argument};
    return use_memory(&prng, 300) ? NULL : (void *)1;
}

/* A thread of the parent: allocates, and now and then starts and joins a short-lived one. */
static void *stay_busy(void *argument)
{
    struct prng prng = {(uint64_t)(uintptr_t)argument};
    /* relaxed: only the wish to stop */
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        pthread_t brief;
        void *wrong = NULL;
        EXPECT(use_memory(&prng, 500));
        if (pthread_create(&brief, NULL, use_briefly, (void *)(uintptr_t)prng_next(&prng)) == 0)
            pthread_join(brief, &wrong);
        EXPECT(wrong == NULL);
    }
    return NULL;
}

static void live_as_child(uint64_t seed)
{
    struct prng prng = {seed};
    for (unsigned i = 0; i < INHERITED; i++) {
        for (size_t j = 0; j < inherited_size(i); j += 509) {
            if (inherited[i][j] != (unsigned char)i)
                _exit(1);
        }
        if (i % 2)
            free(inherited[i]);
    }
    if (!use_memory(&prng, 1000))
        _exit(2);
    pthread_t threads[2];
    for (unsigned i = 0; i < TAP_COUNT(threads); i++) {
        if (pthread_create(&threads[i], NULL, use_briefly, (void *)(uintptr_t)(seed + i)) != 0)
            _exit(3);
    }
    for (unsigned i = 0; i < TAP_COUNT(threads); i++) {
        void *wrong = NULL;
        pthread_join(threads[i], &wrong);
        if (wrong)
            _exit(4);
    }
    if (seed % 4 == 0)
        exit(0); /* by way of atexit handlers and destructors */
    _exit(0);
}

/* Forks `count` children, at most AT_ONCE alive, and returns how many ended badly. */
static unsigned fork_children(unsigned count, struct prng *prng)
{
    pid_t alive[AT_ONCE] = {0};
    unsigned bad = 0;
    for (unsigned i = 0; i < count + AT_ONCE; i++) {
        pid_t *place = &alive[i % AT_ONCE];
        if (*place > 0) {
            int status = process_wait(*place, CHILD_SECONDS);
            bad += status != 0;
            if (status != 0 && bad < 5)
                tap_note("child %u ended with %d%s", i - AT_ONCE, status,
                         status == 124 ? ": it hung" : "");
            *place = 0;
        }
        if (i >= count || bad > 3)
            continue;
        const struct timespec pause = {0, (long)prng_below(prng, 3000000)};
        uint64_t seed = prng_next(prng);
        nanosleep(&pause, NULL);
        *place = process_fork();
        if (*place == 0)
            live_as_child(seed);
        bad += *place < 0;
    }
    return bad;
}

static void test_forks(void)
{
    const char *asked = getenv("HAKMEM_STRESS_FORKS");
    unsigned count = asked ? (unsigned)strtoul(asked, NULL, 10) : 300;
    struct prng prng = {(uint64_t)getpid()};
    pthread_t threads[THREADS];
    alarm(300);
    tap_note("seed %d, %u forks beside %d busy threads", getpid(), count, THREADS);
    for (unsigned i = 0; i < INHERITED; i++) {
        inherited[i] = malloc(inherited_size(i));
        REQUIRE(inherited[i] != NULL);
        memset(inherited[i], (int)i, inherited_size(i));
    }
    for (unsigned i = 0; i < THREADS; i++) {
        void *seed = (void *)(uintptr_t)prng_next(&prng);
        REQUIRE(pthread_create(&threads[i], NULL, stay_busy, seed) == 0);
    }
    EXPECT_EQ(fork_children(count, &prng), 0);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED); /* relaxed: as in stay_busy */
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"hundreds of forks beside busy threads, every child allocates and ends", test_forks},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
