/* SPDX-License-Identifier: MIT */
/*
 * handover: threads that fill and empty a table of objects of 16 bytes to 8 KiB in rounds and give a
 * part of them to the next thread, which frees them: the manner of rpmalloc's benchmark.
 *
 *   handover [ROUNDS]    of each thread (60)
 */
#include "bench/programs/program.h"

enum {
    THREADS = 4,
    SLOTS = 8 * 1024,
    GIVEN_ONE_IN = 4,
    LEAST = 16,
    MOST = 8 * 1024,
};

struct given {
    struct given *next;
};

/* What each thread was given; others push, it takes all. */
static struct {
    struct given *first;
} __attribute__((aligned(128))) given[THREADS];

static unsigned rounds;

static void give(unsigned thread, void *object)
{
    struct given *link = object;
    /* relaxed: compared by the exchange */
    link->next = __atomic_load_n(&given[thread].first, __ATOMIC_RELAXED);
    /* release: pairs with the acquire in free_given */
    while (!__atomic_compare_exchange_n(&given[thread].first, &link->next, link, 1,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
}

static void free_given(unsigned thread)
{
    /* acquire: pairs with the release in give */
    struct given *object = __atomic_exchange_n(&given[thread].first, NULL, __ATOMIC_ACQUIRE);
    while (object != NULL) {
        struct given *next = object->next;
        free(object);
        object = next;
    }
}

static void *work(void *number)
{
    unsigned own = *(unsigned *)number;
    uint64_t state = program_seed(own);
    void **table = program_table(SLOTS, sizeof *table);
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < SLOTS; i++) {
            /* Half of the places change in a round, so that ages mix. */
            if (program_random(&state) % 2 == 0)
                continue;
            if (table[i] != NULL && program_random(&state) % GIVEN_ONE_IN == 0)
                give((own + 1) % THREADS, table[i]);
            else
                free(table[i]);
            table[i] = program_make(program_size(&state, LEAST, MOST));
        }
        free_given(own);
    }
    for (unsigned i = 0; i < SLOTS; i++)
        free(table[i]);
    munmap(table, SLOTS * sizeof *table);
    return NULL;
}

int main(int argc, char **argv)
{
    rounds = program_count(argc, argv, 60);
    program_run(THREADS, work);
    for (unsigned i = 0; i < THREADS; i++)
        free_given(i);
    return program_rest();
}
