/* SPDX-License-Identifier: MIT */
/*
 * replace: threads that each replace objects of less than 1 KiB in an array, at random: the manner
 * of glibc's own benchmark of threads.
 *
 *   replace [REPLACEMENTS]    of each thread, in thousands (4000)
 */
#include "bench/programs/program.h"

enum { THREADS = 2, SLOTS = 4096, SIZES = 4096 };

static unsigned thousands;

static void *work(void *number)
{
    uint64_t state = program_seed(*(unsigned *)number);
    void **table = program_table(SLOTS, sizeof *table);
    uint16_t *sizes = program_table(SIZES, sizeof *sizes);
    for (unsigned i = 0; i < SIZES; i++)
        sizes[i] = (uint16_t)program_size(&state, 8, 1023);
    for (uint64_t i = 0; i < thousands * UINT64_C(1000); i++) {
        void **place = &table[program_random(&state) % SLOTS];
        free(*place);
        *place = program_make(sizes[i % SIZES]);
    }
    for (unsigned i = 0; i < SLOTS; i++)
        free(table[i]);
    return NULL;
}

int main(int argc, char **argv)
{
    thousands = program_count(argc, argv, 4000);
    program_run(THREADS, work);
    return program_rest();
}
