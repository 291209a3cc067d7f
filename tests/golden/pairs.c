/* SPDX-License-Identifier: MIT */
/* pairs.c - a number of pairs of malloc and free of one size, for tests/golden/check.sh, which
 * counts instructions.
 *
 *   pairs COUNT [BYTES]
 *
 * One thread. Each turn makes two calls through the procedure linkage table, and nothing else. */
#include <stdlib.h>

int main(int argc, char **argv)
{
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    size_t size = argc > 2 ? strtoul(argv[2], NULL, 10) : 32;
    for (unsigned long i = 0; i < count; i++)
        free(malloc(size));
    return 0;
}
