/* SPDX-License-Identifier: MIT */
/* hakmem run: runs a command under the library. Options become HAKMEM_ variables, the library goes
 * to the front of LD_PRELOAD, and the command replaces this process, so signals and status are its
 * own. One thread. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hakmem.h"
#include "tools/commands.h"

enum {
    STATUS_CANNOT_RUN = 126, /* as in a shell */
    STATUS_NOT_FOUND = 127
};

/* The library file that serves this program: in the build tree, beside it, or installed. If the
 * program is linked statically, the installed file. */
static int find_library(char path[PATH_MAX])
{
    Dl_info info;
    if (dladdr((const void *)&hakmem_version, &info) != 0 && info.dli_fname != NULL &&
        strstr(info.dli_fname, ".so") != NULL && realpath(info.dli_fname, path) != NULL)
        return 0;
    snprintf(path, PATH_MAX, "%s/libhakmem.so", HAK_LIBRARY_FOLDER);
    return access(path, R_OK);
}

static int preload(const char *library)
{
    const char *others = getenv("LD_PRELOAD");
    char *list;
    if (strpbrk(library, " :") != NULL) {
        fprintf(stderr, "hakmem: LD_PRELOAD cannot name %s: it has a blank or colon\n", library);
        return -1;
    }
    if (others == NULL || *others == '\0')
        return setenv("LD_PRELOAD", library, 1);
    if (asprintf(&list, "%s:%s", library, others) < 0)
        return -1;
    int refused = setenv("LD_PRELOAD", list, 1);
    free(list);
    return refused;
}

int hak_command_run(int argc, char **argv)
{
    char library[PATH_MAX];
    int at = 1;
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (strcmp(argv[at], "--") == 0) {
            at++;
            break;
        }
        if (hak_set_option(argv[at]) != 0)
            return hak_usage("run takes no such argument", argv[at]);
    }
    if (at >= argc)
        return hak_usage("run: no command to run", NULL);
    if (find_library(library) != 0) {
        fprintf(stderr, "hakmem: no library at %s\n", library);
        return HAK_STATUS_FAILED;
    }
    if (preload(library) != 0)
        return HAK_STATUS_FAILED;
    execvp(argv[at], argv + at);
    int status = errno == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
    fprintf(stderr, "hakmem: %s: %s\n", argv[at], strerror(errno));
    return status;
}
