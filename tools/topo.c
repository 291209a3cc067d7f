/* SPDX-License-Identifier: MIT */
/* hakmem topo: shows the machine as the allocator sees it. The library read its options before
 * main, so with options the program executes itself again. One thread. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hakmem.h"
#include "tools/commands.h"

static int start_again(const char *form)
{
    char name[] = "hakmem";
    char command[] = "topo";
    char last[8];
    snprintf(last, sizeof last, "%s", form);
    char *arguments[] = {name, command, last, NULL};
    execv("/proc/self/exe", arguments);
    perror("hakmem: cannot start again");
    return HAK_STATUS_FAILED;
}

/* The script runs this program for its JSON, and draws that. */
static int draw(void)
{
    char own[PATH_MAX];
    char command[] = "topo";
    char *arguments[] = {command, own, NULL};
    if (hak_own_path(own) != 0) {
        perror("hakmem: topo");
        return HAK_STATUS_FAILED;
    }
    return hak_run_script("pictures.py", arguments);
}

int hak_command_topo(int argc, char **argv)
{
    static const struct {
        const char *argument;
        enum hakmem_format format;
    } forms[] = {
        {"--text", HAKMEM_TEXT},
        {"--json", HAKMEM_JSON},
        {"--svg", HAKMEM_JSON},
    };
    enum { SVG = 2 };
    size_t form = 0;
    int options = 0;
    for (int i = 1; i < argc; i++) {
        size_t found = 0;
        while (found < 3 && strcmp(argv[i], forms[found].argument) != 0)
            found++;
        if (found < 3)
            form = found;
        else if (hak_set_option(argv[i]) == 0)
            options++;
        else
            return hak_usage("topo takes no such argument", argv[i]);
    }
    if (options > 0)
        return start_again(forms[form].argument);
    if (form == SVG)
        return draw();
    if (hakmem_topology_print(STDOUT_FILENO, forms[form].format) == 0)
        return 0;
    perror("hakmem: topo");
    return HAK_STATUS_FAILED;
}
