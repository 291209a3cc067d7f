/* SPDX-License-Identifier: MIT */
/* Prints the mode in force and all that malloc_stats_print tells; with an argument, writes a
 * profile to that file first. */
#include <stdio.h>

#include "compat/jemalloc.h"
#include "hakmem.h"

static void print(void *opaque, const char *text)
{
    fputs(text, opaque);
}

int main(int argc, char **argv)
{
    char mode[256];
    hakmem_mode(mode, sizeof mode);
    printf("%s\n", mode);
    if (argc > 1) {
        const char *name = argv[1];
        printf("prof.dump=%d\n", mallctl("prof.dump", NULL, NULL, &name, sizeof name));
    }
    malloc_stats_print(print, stdout, NULL);
    return 0;
}
