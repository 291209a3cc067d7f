/* SPDX-License-Identifier: MIT */
/*
 * linked.c - a program linked with -lhakmem: malloc comes from the shared library, without
 * LD_PRELOAD. secure.sh makes it setuid: with the word `effective-user` it tells who it runs as, with
 * `environment` what a program that it starts finds there, and with `third` what main does.
 */
#define _GNU_SOURCE
#include "tests/conform/linking.h"

int main(int argc, char **argv, char **environment)
{
    if (argc == 2 && strcmp(argv[1], "effective-user") == 0) {
        free(malloc(100000));
        printf("%d %d\n", (int)getuid(), (int)geteuid());
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "third") == 0) {
        for (; *environment != NULL; environment++)
            puts(*environment);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "environment") == 0) {
        execlp("env", "env", (char *)NULL);
        return 1;
    }
    return tap_run(argc, argv, TAP_LINKED, linking_cases, TAP_COUNT(linking_cases));
}
