/* SPDX-License-Identifier: MIT */
/*
 * large: twenty buffers of 5 to 25 MiB of which one at random is replaced by one of another size,
 * cleared as a vector of zeroes is: malloc-large of mimalloc-bench.
 *
 *   large [REPLACEMENTS]    (2000)
 */
#include "bench/programs/program.h"

enum { BUFFERS = 20, LEAST = 5 * PROGRAM_MIB, MOST = 25 * PROGRAM_MIB };

int main(int argc, char **argv)
{
    static void *buffers[BUFFERS];
    uint64_t state = program_seed(0);
    for (unsigned i = program_count(argc, argv, 2000); i != 0; i--) {
        void **place = &buffers[program_random(&state) % BUFFERS];
        size_t size = LEAST + program_random(&state) % (MOST - LEAST);
        void *fresh = program_make(size);
        memset(fresh, 0, size);
        free(*place);
        *place = fresh;
    }
    for (unsigned i = 0; i < BUFFERS; i++)
        free(buffers[i]);
    return program_rest();
}
