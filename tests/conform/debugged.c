/* SPDX-License-Identifier: MIT */
/* debugged.c - holds memory of each kind, for tests/conform/gdb.sh, which stops it in stop_here. */
#include <stdlib.h>
#include <string.h>

struct held {
    char *live;  /* of 200 bytes */
    char *freed; /* the same */
    char *run;   /* of 100,000 */
    char *whale; /* of 64 MiB */
};

__attribute__((noinline)) void stop_here(const struct held *held)
{
    __asm__ volatile("" : : "r"(held) : "memory");
}

int main(void)
{
    struct held held = {malloc(200), malloc(200), malloc(100000), malloc((size_t)64 << 20)};
    if (held.live == NULL || held.freed == NULL || held.run == NULL || held.whale == NULL)
        return 1;
    memset(held.live, 1, 200);
    free(held.freed);
    stop_here(&held);
    free(malloc((size_t)64 << 20)); /* maps, since the other lives */
    free(held.live);
    free(held.run);
    free(held.whale);
    return 0;
}
