/* SPDX-License-Identifier: MIT */
/* habits.c - a program with a habit of large memory, which learning.sh runs under the learner's
 * options. Prints NAME=VALUE lines: resident KiB at the peak, after the memory was freed, and at
 * the end.
 *
 *   habits burst MIB     takes MIB of memory in objects of 64 KiB to 16 MiB, frees all, is idle
 *   habits churn MIB     holds MIB of memory, replaces it many times
 *   habits swing MIB     holds MIB first in small objects, then in very large ones, and so on
 *   habits waste MIB     takes and frees MIB at a time, and touches none of it again for long
 *   habits purge MIB     as burst, but keeps it in caches and gives it back by hakmem_purge */
#define _GNU_SOURCE
#include "tests/lib/prng.h"
#include "tests/lib/weak.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    KIB = 1024,
    MIB = 1024 * 1024,
    OBJECTS_MAX = 20000,
    TURNOVERS = 6,
    SWINGS = 6,
    WASTES = 20,
};

static char *objects[OBJECTS_MAX];
static size_t sizes[OBJECTS_MAX];
static unsigned count;
static struct prng prng = {7};

static __attribute__((noreturn)) void fail(const char *what)
{
    fprintf(stderr, "habits: %s\n", what);
    exit(1);
}

static size_t resident_kib(const char *name)
{
    char text[4096];
    int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (length <= 0)
        fail("/proc/self/status cannot be read");
    close(file);
    text[length] = '\0';
    const char *line = strstr(text, name);
    return line != NULL ? strtoull(line + strlen(name) + 1, NULL, 10) : 0;
}

static void tell(const char *name)
{
    printf("%s_kib=%zu\n", name, resident_kib("VmRSS:"));
}

static size_t draw_size(void)
{
    return prng_below(&prng, 16) == 0 ? 4 * MIB + prng_below(&prng, 12 * MIB)
                                      : 64 * KIB + prng_below(&prng, 1 * MIB);
}

static void take(unsigned place, size_t size)
{
    objects[place] = malloc(size);
    if (objects[place] == NULL)
        fail("no memory");
    memset(objects[place], (int)(place % 251) + 1, size);
    sizes[place] = size;
}

static void give(unsigned place)
{
    const char *object = objects[place];
    char byte = (char)(place % 251 + 1);
    if (object[0] != byte || object[sizes[place] / 2] != byte || object[sizes[place] - 1] != byte)
        fail("an object does not hold what was written");
    free(objects[place]);
}

static void fill(size_t bytes)
{
    size_t live = 0;
    for (count = 0; live < bytes && count < OBJECTS_MAX; count++) {
        take(count, draw_size());
        live += sizes[count];
    }
}

static void empty(void)
{
    while (count > 0)
        give(--count);
}

static void burst(size_t bytes)
{
    fill(bytes);
    tell("full");
    empty();
    tell("freed");
}

static void churn(size_t bytes)
{
    fill(bytes);
    for (unsigned i = 0; i < count * TURNOVERS; i++) {
        unsigned place = (unsigned)prng_below(&prng, count);
        size_t size = sizes[place];
        give(place);
        take(place, size);
    }
    tell("churned");
    empty();
}

static void swing(size_t bytes)
{
    for (unsigned i = 0; i < SWINGS; i++) {
        size_t size = i % 2 == 0 ? 256 * KIB : 40 * MIB;
        for (count = 0; count < bytes / size; count++)
            take(count, size);
        empty();
    }
}

static void waste(size_t bytes)
{
    const struct timespec pause = {0, 300 * 1000 * 1000};
    for (unsigned i = 0; i < WASTES; i++) {
        fill(bytes);
        empty();
        nanosleep(&pause, NULL);
    }
    tell("wasted");
}

static void purge(size_t bytes)
{
    if (hakmem_purge == NULL)
        fail("hakmem_purge is not there");
    burst(bytes);
    printf("some=%zu\n", hakmem_purge(HAKMEM_ALL_SHARDS, 1, 0));
    tell("some");
    printf("rest=%zu\n", hakmem_purge(HAKMEM_ALL_SHARDS, 0, 0));
    tell("rest");
    printf("nothing=%zu\n", hakmem_purge(0, 0, 1000));
    printf("no_such_shard=%zu\n", hakmem_purge(100000, 0, 0));
}

int main(int argc, char **argv)
{
    static const struct habit {
        const char *name;
        void (*run)(size_t bytes);
    } habits[] = {
        {"burst", burst}, {"churn", churn}, {"swing", swing}, {"waste", waste}, {"purge", purge}};
    for (unsigned i = 0; argc == 3 && i < sizeof habits / sizeof habits[0]; i++) {
        if (strcmp(argv[1], habits[i].name) != 0)
            continue;
        habits[i].run(strtoull(argv[2], NULL, 10) * MIB);
        printf("peak_kib=%zu\n", resident_kib("VmHWM:"));
        return 0;
    }
    fail("usage: habits burst|churn|swing|waste|purge MIB");
}
