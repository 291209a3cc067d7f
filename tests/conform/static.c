/* SPDX-License-Identifier: MIT */
/*
 * static.c - a program linked with libhakmem.a: malloc is in the program itself. Linked twice: with
 * a shared libc, and (wholly_static.sh) wholly statically.
 */
#define _GNU_SOURCE
#include "tests/conform/linking.h"

int main(int argc, char **argv)
{
    return tap_run(argc, argv, TAP_STATIC, linking_cases, TAP_COUNT(linking_cases));
}
