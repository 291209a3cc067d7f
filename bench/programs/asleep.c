/* SPDX-License-Identifier: MIT */
/*
 * asleep: a thousand threads that each work as a server's do, keep little, and sleep. At rest they
 * are asleep.
 *
 *   asleep [THREADS]    (1000)
 */
#include "bench/programs/program.h"

enum { REQUESTS = 200, OBJECTS = 60, KEPT = 16, AT_ONCE = 8 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned working; /* threads; a few at once, so that what is live is little */
static unsigned asleep;
static int ended;

static size_t some_size(uint64_t *state)
{
    return program_random(state) % 16 != 0 ? program_size(state, 16, 1024)
                                           : program_size(state, 1024, 32 * PROGRAM_KIB);
}

static void work(uint64_t *state, void **kept)
{
    void *objects[OBJECTS];
    for (unsigned i = 0; i < REQUESTS; i++) {
        for (unsigned j = 0; j < OBJECTS; j++)
            objects[j] = program_make(some_size(state));
        for (unsigned j = 0; j < OBJECTS; j++)
            free(objects[j]);
    }
    for (unsigned i = 0; i < KEPT; i++)
        kept[i] = program_make(program_size(state, 16, 256));
}

static void *member(void *number)
{
    void *kept[KEPT];
    uint64_t state = program_seed((unsigned)(uintptr_t)number);
    pthread_mutex_lock(&lock);
    while (working == AT_ONCE)
        pthread_cond_wait(&changed, &lock);
    working++;
    pthread_mutex_unlock(&lock);
    work(&state, kept);
    pthread_mutex_lock(&lock);
    working--;
    asleep++;
    pthread_cond_broadcast(&changed);
    while (!ended)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    for (unsigned i = 0; i < KEPT; i++)
        free(kept[i]);
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned count = program_count(argc, argv, 1000);
    pthread_t *threads = program_table(count, sizeof *threads);
    for (unsigned i = 0; i < count; i++)
        program_start(&threads[i], member, (void *)(uintptr_t)i);
    pthread_mutex_lock(&lock);
    while (asleep != count)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    int status = program_rest();
    pthread_mutex_lock(&lock);
    ended = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    return status;
}
