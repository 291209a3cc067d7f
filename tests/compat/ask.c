/* SPDX-License-Identifier: MIT */
/* Prints the mode in force and the whole text of malloc_stats_print with the options of the second
 * argument; before that writes a profile to the file of the first, unless that is empty. */
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
    if (argc > 1 && *argv[1] != '\0') {
        const char *name = argv[1];
        printf("prof.dump=%d\n", mallctl("prof.dump", NULL, NULL, &name, sizeof name));
    }
    malloc_stats_print(print, stdout, argc > 2 ? argv[2] : NULL);
    return 0;
}
