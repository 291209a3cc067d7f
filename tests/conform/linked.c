/* SPDX-License-Identifier: MIT */
/*
 * linked.c - a program linked with -lhakmem: malloc comes from the shared library, without
 * LD_PRELOAD. With the word `effective-user` it tells who it runs as: secure.sh makes it setuid.
 */
#define _GNU_SOURCE
#include "tests/conform/linking.h"

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "effective-user") == 0) {
        free(malloc(100000));
        printf("%d %d\n", (int)getuid(), (int)geteuid());
        return 0;
    }
    return tap_run(argc, argv, TAP_LINKED, linking_cases, TAP_COUNT(linking_cases));
}
