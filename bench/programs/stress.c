/* SPDX-License-Identifier: MIT */
/*
 * stress: threads that come and go, a mix of sizes that is small for the most part, objects kept for
 * a round or two, and a table through which objects go to whoever comes by: mimalloc's mstress.
 *
 *   stress [ROUNDS]    after each of which all threads end (40)
 */
#include "bench/programs/program.h"

enum {
    THREADS = 8,
    OBJECTS = 25 * 1000, /* of each thread in a round */
    SHARED = 1000,
    KEPT_ONE_IN = 8, /* until the thread ends */
};

static void *shared[SHARED];
static unsigned current_round;

static size_t some_size(uint64_t *state)
{
    uint64_t draw = program_random(state) % 1000;
    if (draw == 0)
        return program_size(state, 32 * PROGRAM_KIB, 1 * PROGRAM_MIB);
    if (draw < 20)
        return program_size(state, 1 * PROGRAM_KIB, 32 * PROGRAM_KIB);
    return program_size(state, 16, 512);
}

static void exchange_some(uint64_t *state, void **object)
{
    /* acq_rel: what its maker wrote is seen by who gets it */
    *object =
        __atomic_exchange_n(&shared[program_random(state) % SHARED], *object, __ATOMIC_ACQ_REL);
}

static void *work(void *number)
{
    uint64_t state = program_seed(*(unsigned *)number + THREADS * current_round);
    void **kept = calloc(OBJECTS / KEPT_ONE_IN + 1, sizeof *kept);
    unsigned count = 0;
    for (unsigned i = 0; i < OBJECTS; i++) {
        void *object = program_make(some_size(&state));
        if (i % KEPT_ONE_IN == 0) {
            kept[count++] = object;
            continue;
        }
        if (program_random(&state) % 4 == 0)
            exchange_some(&state, &object);
        free(object);
    }
    for (unsigned i = 0; i < count; i++) {
        if (program_random(&state) % 4 == 0)
            exchange_some(&state, &kept[i]);
        free(kept[i]);
    }
    free(kept);
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned rounds = program_count(argc, argv, 40);
    for (current_round = 0; current_round < rounds; current_round++)
        program_run(THREADS, work);
    for (unsigned i = 0; i < SHARED; i++)
        free(shared[i]);
    return program_rest();
}
