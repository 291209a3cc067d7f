/* SPDX-License-Identifier: MIT */
/*
 * sparse.c - heaps that keep few of many small objects: what stays resident, and what it costs.
 *
 *   sparse CASE [SECONDS]     light work for so long at the end (12)
 *   sparse CASE rest          instead, rest as the programs beside it do
 *
 *   same     a million objects of 256 bytes, nine of ten are freed at random
 *   mixed    320,000 of 16 bytes to 1 KiB, 19 of 20 are freed at random
 *   drift    five million, whose sizes drift from 32 bytes to 3 KiB, one in twenty lives for long
 *   buffers  1.2 million zeroed buffers of 64 to 4,063 bytes pass through a map of 50,000, and another
 *            thread frees what was replaced, 64 MiB in bulk: as a runtime's collector does
 *
 * One line at the end: MiB live (as asked for), resident at its peak, when the case is over, after light
 * work (a thousand pairs of malloc and free in each ten milliseconds), and after malloc_trim; page faults
 * and CPU seconds of the case. The allocator is whatever was preloaded.
 */
#include "bench/programs/program.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    MIB = 1024 * 1024,
    MAP_SLOTS = 50 * 1000,
    BULK_BYTES = 64 * MIB,
    BULK_MOST = 128 * 1024, /* buffers; 64 MiB are 33,000 */
    RECENT = 10 * 1000,     /* objects of the drift that live shortly */
};

static uint64_t seed = 88172645463325252;

static uint64_t random_below(uint64_t end)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % end;
}

/* Tables of the program's own are none of the allocator's. */
static void *table_of(size_t count, size_t size)
{
    void *table = mmap(NULL, count * size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (table == MAP_FAILED)
        abort();
    return table;
}

static char *make(size_t size)
{
    char *object = malloc(size);
    if (object == NULL)
        abort();
    memset(object, 1, size);
    return object;
}

static size_t live_bytes;

/* ---- the cases -------------------------------------------------------------------------------- */

static void keep_one_of(unsigned part, unsigned count, size_t least, size_t most)
{
    char **objects = table_of(count, sizeof *objects);
    uint32_t *sizes = table_of(count, sizeof *sizes);
    for (unsigned i = 0; i < count; i++) {
        sizes[i] = (uint32_t)(least + random_below(most - least + 1));
        objects[i] = make(sizes[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        if (random_below(part) == 0)
            live_bytes += sizes[i];
        else
            free(objects[i]);
    }
    munmap(objects, count * sizeof *objects);
    munmap(sizes, count * sizeof *sizes);
}

static void same(void)
{
    keep_one_of(10, 1000 * 1000, 256, 256);
}

static void mixed(void)
{
    keep_one_of(20, 320 * 1000, 16, 1024);
}

static void drift(void)
{
    enum { COUNT = 5 * 1000 * 1000, LEAST = 32, MOST = 3072, SPREAD = 256 };
    char **recent = table_of(RECENT, sizeof *recent);
    for (unsigned i = 0; i < COUNT; i++) {
        size_t size =
            LEAST + (size_t)((MOST - LEAST - SPREAD) * (double)i / COUNT) + random_below(SPREAD);
        char *object = make(size);
        if (i % 20 == 0) {
            live_bytes += size;
            continue;
        }
        char **place = &recent[random_below(RECENT)];
        free(*place);
        *place = object;
    }
    for (unsigned i = 0; i < RECENT; i++)
        free(recent[i]);
    munmap(recent, RECENT * sizeof *recent);
}

/* One list is filled while the other is freed. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char **full; /* to be freed; NULL: none */
    unsigned count;
    int ended;
} bulk = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void *free_in_bulk(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&bulk.lock);
    for (;;) {
        while (bulk.full == NULL && !bulk.ended)
            pthread_cond_wait(&bulk.changed, &bulk.lock);
        if (bulk.full == NULL)
            break;
        pthread_mutex_unlock(&bulk.lock);
        for (unsigned i = 0; i < bulk.count; i++)
            free(bulk.full[i]);
        pthread_mutex_lock(&bulk.lock);
        bulk.full = NULL;
        pthread_cond_signal(&bulk.changed);
    }
    pthread_mutex_unlock(&bulk.lock);
    return NULL;
}

static void hand_over(char **list, unsigned count)
{
    pthread_mutex_lock(&bulk.lock);
    while (bulk.full != NULL)
        pthread_cond_wait(&bulk.changed, &bulk.lock);
    bulk.full = list;
    bulk.count = count;
    pthread_cond_signal(&bulk.changed);
    pthread_mutex_unlock(&bulk.lock);
}

static void end_bulk(pthread_t thread)
{
    pthread_mutex_lock(&bulk.lock);
    bulk.ended = 1;
    pthread_cond_signal(&bulk.changed);
    pthread_mutex_unlock(&bulk.lock);
    pthread_join(thread, NULL);
}

static void buffers(void)
{
    char **map = table_of(MAP_SLOTS, sizeof *map);
    uint32_t *sizes = table_of(MAP_SLOTS, sizeof *sizes);
    char **lists[2] = {table_of(BULK_MOST, sizeof **lists), table_of(BULK_MOST, sizeof **lists)};
    unsigned count = 0;
    size_t bytes = 0;
    pthread_t thread;
    pthread_create(&thread, NULL, free_in_bulk, NULL);
    for (unsigned i = 0, turn = 0; i < 1200 * 1000; i++) {
        unsigned slot = i % MAP_SLOTS; /* in turn: whole slabs fall empty */
        if (map[slot] != NULL) {
            lists[turn][count++] = map[slot];
            bytes += sizes[slot];
        }
        sizes[slot] = (uint32_t)(64 + random_below(4000));
        map[slot] = calloc(1, sizes[slot]);
        if (map[slot] == NULL)
            abort();
        memset(map[slot], 1, sizes[slot] / 2);
        if (bytes >= BULK_BYTES || count == BULK_MOST) {
            hand_over(lists[turn], count);
            turn = 1 - turn;
            count = 0;
            bytes = 0;
        }
    }
    end_bulk(thread);
    for (unsigned slot = 0; slot < MAP_SLOTS; slot++)
        live_bytes += map[slot] != NULL ? sizes[slot] : 0;
}

/* ---- figures ---------------------------------------------------------------------------------- */

static size_t resident(void)
{
    char text[256] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) <= 0)
        abort();
    close(fd);
    char *rest;
    strtoul(text, &rest, 10);
    return strtoul(rest, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static void work_lightly(double seconds)
{
    enum { PLACES = 256 };
    static char *places[PLACES];
    for (unsigned rounds = (unsigned)(seconds * 100); rounds != 0; rounds--) {
        for (unsigned i = 0; i < 1000; i++) {
            char **place = &places[random_below(PLACES)];
            free(*place);
            *place = make(16 + random_below(1000));
        }
        nanosleep(&(struct timespec){0, 10 * 1000 * 1000}, NULL);
    }
}

static double cpu_seconds(const struct rusage *usage)
{
    return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
           (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {{"same", same}, {"mixed", mixed}, {"drift", drift}, {"buffers", buffers}};
    for (unsigned i = 0; argc > 1 && i < sizeof cases / sizeof cases[0]; i++) {
        if (strcmp(argv[1], cases[i].name) != 0)
            continue;
        size_t first = resident();
        struct rusage usage;
        cases[i].run();
        if (argc > 2 && strcmp(argv[2], "rest") == 0)
            return program_rest();
        getrusage(RUSAGE_SELF, &usage);
        size_t before = resident() - first;
        work_lightly(argc > 2 ? atof(argv[2]) : 12);
        size_t rested = resident() - first;
        malloc_trim(0);
        size_t trimmed = resident() - first;
        printf("%s live %zu peak %ld before %zu rested %zu trimmed %zu faults %ld cpu %.2f\n",
               argv[1], live_bytes / MIB, usage.ru_maxrss / 1024 - (long)(first / MIB),
               before / MIB, rested / MIB, trimmed / MIB, usage.ru_minflt, cpu_seconds(&usage));
        return EXIT_SUCCESS;
    }
    fprintf(stderr, "usage: sparse same|mixed|drift|buffers [SECONDS]\n");
    return EXIT_FAILURE;
}
