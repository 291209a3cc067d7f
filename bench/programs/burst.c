/* SPDX-License-Identifier: MIT */
/*
 * burst: 150 MB of objects of 16 bytes to 2 KiB, freed; then light work that a few ready objects
 * serve. At rest the light work goes on: does what the burst left go back?
 *
 *   burst [OBJECTS]    in thousands (400)
 */
#include "bench/programs/program.h"

#include <poll.h>

enum { PLACES = 256, PAIRS = 1000, PAUSE_MS = 10 };

static int input_has_ended(int wait_ms)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&input, 1, wait_ms) > 0;
}

int main(int argc, char **argv)
{
    static void *places[PLACES];
    uint64_t state = program_seed(0);
    size_t count = program_count(argc, argv, 400) * (size_t)1000;
    void **objects = program_table(count, sizeof *objects);
    for (size_t i = 0; i < count; i++)
        objects[i] = program_make(program_size(&state, 16, 2048));
    for (size_t i = 0; i < count; i++)
        free(objects[i]);
    munmap(objects, count * sizeof *objects);
    program_say_rest();
    while (!input_has_ended(PAUSE_MS)) {
        for (unsigned i = 0; i < PAIRS; i++) {
            void **place = &places[program_random(&state) % PLACES];
            free(*place);
            *place = program_make(program_size(&state, 16, 1024));
        }
    }
    return EXIT_SUCCESS;
}
