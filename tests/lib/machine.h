/* SPDX-License-Identifier: MIT */
/*
 * machine.h - a machine's sysfs out of one text file, unpacked into a folder that stands in for /.
 *
 * tests/topologies/NAME.sysfs has lines "path = content", the path below sys/devices/system; one
 * list in braces stands for its numbers: "cpu/cpu{0-3,8}/topology/physical_package_id = 0". Lines
 * that begin with # are comments. One file a machine, since a folder would be hundreds of them.
 *
 * For the main thread. Uses the C library freely: the code under test is below malloc.
 */
#ifndef HAK_TESTS_MACHINE_H
#define HAK_TESTS_MACHINE_H

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ftw.h>

#include "tests/lib/tap.h"

/* The folder of the recorded machines. */
static inline const char *machine_folder(void)
{
    static char path[PATH_MAX];
    const char *source = getenv("srcdir"); /* set by `make check` */
    snprintf(path, sizeof(path), "%s/tests/topologies", source != NULL ? source : ".");
    return path;
}

/* Writes root/sys/devices/system/path, making the folders on the way. */
static inline void machine_write(const char *root, const char *path, const char *content)
{
    char full[PATH_MAX];
    snprintf(full, sizeof(full), "%s/sys/devices/system/%s", root, path);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        mkdir(full, 0777);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    if (!EXPECT(file != NULL))
        return;
    fprintf(file, "%s\n", content);
    fclose(file);
}

/* Writes the file once for each number of the list in braces, if there is one. */
static inline void machine_expand(const char *root, const char *path, const char *content)
{
    const char *open = strchr(path, '{');
    if (open == NULL) {
        machine_write(root, path, content);
        return;
    }
    const char *close = strchr(open, '}');
    for (const char *at = open + 1; at < close;) {
        char *end;
        unsigned long first = strtoul(at, &end, 10);
        unsigned long last = first;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        for (unsigned long number = first; number <= last; number++) {
            char one[1024];
            snprintf(one, sizeof(one), "%.*s%lu%s", (int)(open - path), path, number, close + 1);
            machine_write(root, one, content);
        }
        at = end + 1;
    }
}

/* Unpacks a machine into a new folder; its path is for machine_close. NULL when that failed. */
static inline char *machine_open(const char *name)
{
    static char root[64];
    char path[PATH_MAX + 256];
    snprintf(path, sizeof(path), "%s/%s.sysfs", machine_folder(), name);
    FILE *file = fopen(path, "r");
    strcpy(root, "/tmp/machine-XXXXXX");
    if (!EXPECT(file != NULL) || !EXPECT(mkdtemp(root) != NULL))
        return NULL;
    char line[512];
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *equals = strstr(line, " =");
        if (line[0] == '#' || equals == NULL)
            continue;
        *equals = '\0';
        machine_expand(root, line, equals[2] == ' ' ? equals + 3 : equals + 2);
    }
    fclose(file);
    return root;
}

static inline int machine_remove(const char *path, const struct stat *status, int kind,
                                 struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static inline void machine_close(const char *root)
{
    nftw(root, machine_remove, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
