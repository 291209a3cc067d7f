/* SPDX-License-Identifier: MIT */
/* Values of /proc/self/smaps for the mapping in which an address lies. Any thread. */
#ifndef HAK_TESTS_LIB_SMAPS_H
#define HAK_TESTS_LIB_SMAPS_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The line of the mapping that begins with `name`, less that, in `rest`; 0: it is not told. */
static inline int smaps_find(const void *address, const char *name, char *rest, int room)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    char line[512];
    int inside = 0;
    int found = 0;
    while (maps != NULL && !found && fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            inside = (uintptr_t)address >= from && (uintptr_t)address < to;
        else if (inside && strncmp(line, name, strlen(name)) == 0)
            found = snprintf(rest, (size_t)room, "%s", line + strlen(name)) > 0;
    }
    if (maps != NULL)
        fclose(maps);
    return found;
}

/* Whether it has a flag, as in " hg"; -1: unknown. */
static inline int smaps_has_flag(const void *address, const char *flag)
{
    char flags[256];
    return smaps_find(address, "VmFlags:", flags, sizeof flags) ? strstr(flags, flag) != NULL : -1;
}

/* A figure, as of "Rss:", in KiB; -1: unknown. */
static inline long smaps_kib(const void *address, const char *name)
{
    char text[64];
    long kib;
    return smaps_find(address, name, text, sizeof text) && sscanf(text, "%ld", &kib) == 1 ? kib
                                                                                          : -1;
}

#endif
