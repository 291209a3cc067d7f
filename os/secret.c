/* SPDX-License-Identifier: MIT */
/* The kernel gives every program 16 random bytes when it starts it (AT_RANDOM). libc makes its own
 * secrets of them, the stack's among others, so we hand out neither half, but mixtures of both,
 * from which neither can be computed. Any thread. */
#include "os/secret.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>

static const uint64_t GOLDEN = UINT64_C(0x9E3779B97F4A7C15);

uint64_t hak_os_stir(uint64_t word)
{
    word = (word ^ word >> 32) * GOLDEN;
    word = (word ^ word >> 29) * GOLDEN;
    return word ^ word >> 32;
}

uint64_t hak_os_secret(enum hak_secret purpose)
{
    int saved = errno; /* getauxval() tells a missing entry by it */
    const void *given = (const void *)getauxval(AT_RANDOM);
    errno = saved;
    /* Without them, addresses serve: where the kernel put the program is random, too. */
    uint64_t halves[2] = {(uintptr_t)&GOLDEN, (uintptr_t)&errno};
    if (given != NULL)
        memcpy(halves, given, sizeof halves);
    return hak_os_stir(hak_os_stir(halves[0] + purpose * GOLDEN) + halves[1]) | 1;
}
