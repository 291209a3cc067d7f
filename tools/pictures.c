/* SPDX-License-Identifier: MIT */
/* Runs the scripts that draw and report, tools/NAME.py: from beside this program in a build tree, else
 * from where they were installed. One thread. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/commands.h"

enum { ARGUMENTS_MAX = 64 };

int hak_own_path(char path[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (length < 0)
        return -1;
    path[length] = '\0';
    return 0;
}

/* In a build tree the program is in the build folder or in its .libs. */
static int find_script(const char *script_name, char path[PATH_MAX])
{
    static const char *const places[] = {"", "../"};
    char own[PATH_MAX];
    char *slash = hak_own_path(own) == 0 ? strrchr(own, '/') : NULL;
    for (size_t i = 0; slash != NULL && i < sizeof places / sizeof places[0]; i++) {
        int length =
            snprintf(path, PATH_MAX, "%.*s/%s%s", (int)(slash - own), own, places[i], script_name);
        if (length < PATH_MAX && access(path, R_OK) == 0)
            return 0;
    }
    snprintf(path, PATH_MAX, "%s/%s", HAK_SCRIPT_FOLDER, script_name);
    return access(path, R_OK);
}

int hak_run_script(const char *name, char **arguments)
{
    char script[PATH_MAX];
    char *all[ARGUMENTS_MAX + 3] = {(char[]){"python3"}, script};
    size_t count = 0;
    if (find_script(name, script) != 0) {
        fprintf(stderr, "hakmem: no script at %s\n", script);
        return HAK_STATUS_FAILED;
    }
    for (; arguments[count] != NULL; count++) {
        if (count == ARGUMENTS_MAX)
            return hak_usage("too many arguments", NULL);
        all[count + 2] = arguments[count];
    }
    execvp(all[0], all);
    fprintf(stderr, "hakmem: %s needs python3: %s\n", name, strerror(errno));
    return HAK_STATUS_FAILED;
}
