/* SPDX-License-Identifier: MIT */
/*
 * What the programs share: random numbers, tables that are none of the allocator's, and how a
 * program tells the runner that its work is done.
 *
 * A program works, says `rest` and waits until its input ends. The runner (bench/programs/run)
 * takes its figures when it has said so, and once more when it has rested.
 */
#ifndef HAK_BENCH_PROGRAM_H
#define HAK_BENCH_PROGRAM_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    PROGRAM_KIB = 1024,
    PROGRAM_MIB = 1024 * 1024,
};

/* Marsaglia's xorshift; the state is not 0. */
static inline uint64_t program_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

static inline uint64_t program_seed(unsigned index)
{
    return (index + 1) * 0x9e3779b97f4a7c15u;
}

/* least..most, in which each power of two is as frequent as the others. */
static inline size_t program_size(uint64_t *state, size_t least, size_t most)
{
    unsigned powers = 0;
    while (least << (powers + 1) <= most)
        powers++;
    size_t from = least << program_random(state) % (powers + 1);
    size_t end = from * 2 < most ? from * 2 : most + 1;
    return from + program_random(state) % (end - from);
}

static inline void *program_table(size_t count, size_t size)
{
    void *table = mmap(NULL, count * size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (table == MAP_FAILED)
        abort();
    return table;
}

/* An object whose first and last bytes are written, as one that is used. */
static inline char *program_make(size_t size)
{
    char *object = malloc(size);
    if (object == NULL)
        abort();
    object[0] = 1;
    object[size - 1] = 1;
    return object;
}

static inline void program_start(pthread_t *thread, void *(*work)(void *), void *argument)
{
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 128 * PROGRAM_KIB);
    if (pthread_create(thread, &small, work, argument) != 0)
        abort();
    pthread_attr_destroy(&small);
}

/* `count` threads that each get their number's address, until all have ended. */
static inline void program_run(unsigned count, void *(*work)(void *))
{
    pthread_t threads[64];
    unsigned numbers[64];
    for (unsigned i = 0; i < count; i++) {
        numbers[i] = i;
        program_start(&threads[i], work, &numbers[i]);
    }
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

/* The number that was given as the program's argument, for shorter or longer runs. */
static inline unsigned program_count(int argc, char **argv, unsigned usual)
{
    return argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : usual;
}

/* Says that the work is done. */
static inline void program_say_rest(void)
{
    char line[32];
    int length = snprintf(line, sizeof line, "rest %d\n", (int)getpid());
    if (write(STDOUT_FILENO, line, (size_t)length) != length)
        _exit(EXIT_FAILURE);
}

/* Says so, and waits until the input ends. */
static inline int program_rest(void)
{
    char byte;
    program_say_rest();
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    return EXIT_SUCCESS;
}

#endif
