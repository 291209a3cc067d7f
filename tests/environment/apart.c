/* SPDX-License-Identifier: MIT */
/* apart.c - the memory behind an object: it holds no data that steers malloc, and differs from run
 * to run.
 *
 * The library chooses places at its start, so the program executes itself again. */
#define _GNU_SOURCE
#include "tests/conform/sizes.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <unistd.h>

enum {
    SMALL = 64,
    MEDIUM = 8192,
    LARGE = 100000,
    WHALE = 40 * MIB,
    STARTS = 20,
    OBJECTS = 100,
    BEYOND = 256 * 1024,
};

static const char *self;

static int is_ours(void)
{
    return strcmp(getenv("HAKMEM_TEST_MODE"), "reference") != 0;
}

/* ---- distances --------------------------------------------------------------------------------- */

struct distances {
    long large; /* from a small object */
    long whale;
    long medium;
};

/* As a program of its own. */
static int tell_distances(void)
{
    char *volatile small = malloc(SMALL);
    struct distances found = {(char *)malloc(LARGE) - small, (char *)malloc(WHALE) - small,
                              (char *)malloc(MEDIUM) - small};
    return write(STDOUT_FILENO, &found, sizeof found) == sizeof found ? 0 : 1;
}

static struct distances start(const char *option)
{
    struct distances found = {0};
    int ends[2];
    if (pipe(ends) != 0)
        return found;
    pid_t child = process_fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        if (option != NULL) {
            personality(ADDR_NO_RANDOMIZE);
            setenv("HAKMEM_ASLR", option, 1);
        }
        execl(self, self, "distances", (char *)NULL);
        _exit(1);
    }
    close(ends[1]);
    EXPECT_EQ(process_wait(child, 20), 0);
    EXPECT_EQ(read(ends[0], &found, sizeof found), sizeof found);
    close(ends[0]);
    return found;
}

/* Among this many starts few have the same distance: 1 in 2048, if all places are equally
 * likely. */
static unsigned most_alike(const long *distances, size_t stride)
{
    unsigned most = 0;
    for (unsigned one = 0; one < STARTS; one++) {
        unsigned alike = 0;
        for (unsigned other = 0; other < STARTS; other++)
            alike += distances[other * stride] == distances[one * stride];
        most = alike > most ? alike : most;
    }
    return most;
}

static void distances_differ(void)
{
    static struct distances found[STARTS];
    for (unsigned i = 0; i < STARTS; i++)
        found[i] = start(NULL);
    if (!is_ours())
        return;
    EXPECT_LE(most_alike(&found[0].large, sizeof found[0] / sizeof(long)), 4);
    EXPECT_LE(most_alike(&found[0].whale, sizeof found[0] / sizeof(long)), 4);
}

static void and_do_not_if_asked(void)
{
    struct distances first = start("0");
    if (personality(0xffffffff) == -1) {
        tap_skip("personality is refused");
        return;
    }
    for (unsigned i = 0; i < 4; i++) {
        struct distances next = start("0");
        EXPECT_EQ(next.large, first.large);
        EXPECT_EQ(next.whale, first.whale);
        EXPECT_EQ(next.medium, first.medium);
    }
    /* The kernel's choices alone are the same each time; ours are not. */
    if (is_ours()) {
        struct distances one = start("1");
        struct distances two = start("1");
        struct distances three = start("1");
        EXPECT(one.large != two.large || one.large != three.large);
    }
}

/* ---- what an overflow meets ---------------------------------------------------------------------- */

static char *attackers;
static volatile sig_atomic_t is_overflowing;

/* No memory there: the best answer. Later malloc has followed the overwritten data. */
static void met_nothing(int number)
{
    (void)number;
    _exit(is_overflowing ? 0 : 4);
}

/* Writes the attacker's address over the memory behind the end; a signal may end it. */
static void overflow(char *object, size_t size)
{
    uint64_t word = (uint64_t)(uintptr_t)(attackers + 4096);
    __asm__("" : "+r"(object));
    is_overflowing = 1;
    for (size_t at = (size + 4095) & ~(size_t)4095; at < size + BEYOND; at += sizeof word)
        memcpy(object + at, &word, sizeof word);
    is_overflowing = 0;
}

static int is_attackers(const void *object)
{
    uintptr_t at = (uintptr_t)object - (uintptr_t)attackers;
    return at < BEYOND || (uintptr_t)object % 16 != 0;
}

/* 3: malloc was steered. 0: it had no effect, or there was no memory. */
static int overflow_from(size_t size, unsigned which)
{
    static char *objects[OBJECTS];
    static const size_t sizes[] = {SMALL, MEDIUM, LARGE, 300000, WHALE};
    unsigned count = size >= WHALE ? 4 : OBJECTS;
    signal(SIGSEGV, met_nothing);
    signal(SIGBUS, met_nothing);
    attackers = mmap(NULL, BEYOND, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (unsigned i = 0; i < count; i++) {
        objects[i] = malloc(size);
        for (unsigned j = 0; j < TAP_COUNT(sizes) - 1; j++)
            if (malloc(sizes[j]) == NULL) /* something of each kind, all over */
                return 1;
    }
    overflow(objects[which % count], size);
    for (unsigned i = 0; i < OBJECTS; i++)
        for (unsigned j = 0; j < TAP_COUNT(sizes) - 1; j++) {
            char *object = malloc(sizes[j]);
            if (is_attackers(object))
                return 3;
            memset(object, 0, sizes[j]);
            if (i % 2 == 0)
                free(object);
        }
    for (unsigned i = 0; i < count; i++)
        if (i != which % count)
            free(objects[i]);
    return 0;
}

static void overflow_meets_nothing_of_ours(void)
{
    static const size_t sizes[] = {LARGE, 28 * 1024, WHALE};
    for (unsigned i = 0; i < TAP_COUNT(sizes); i++)
        for (unsigned which = 0; which < OBJECTS; which += sizes[i] >= WHALE ? 25 : 7) {
            pid_t child = process_fork();
            if (child == 0) {
                int nowhere = open("/dev/null", O_WRONLY);
                dup2(nowhere, STDERR_FILENO);
                _exit(overflow_from(sizes[i], which));
            }
            int status = process_wait(child, 20);
            if (is_ours() && status != 128 + SIGABRT) /* that is misuse that was told */
                EXPECT_EQ(status, 0);
        }
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"distances differ from start to start", distances_differ},
        {"with HAKMEM_ASLR=0 they are the same", and_do_not_if_asked},
        {"an overflow meets no data that steers malloc", overflow_meets_nothing_of_ours},
    };
    if (argc == 2 && strcmp(argv[1], "distances") == 0)
        return tell_distances();
    self = argv[0];
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
