/* SPDX-License-Identifier: MIT */
/* The subcommands of the program hakmem. Each gets its own name as argv[0] and returns the
 * program's status: 0, 1 where something failed, 2 where it was called wrongly. */
#ifndef HAK_TOOLS_COMMANDS_H
#define HAK_TOOLS_COMMANDS_H

#include <limits.h>
#include <stddef.h>

enum {
    HAK_STATUS_FAILED = 1,
    HAK_STATUS_USAGE = 2,
};

int hak_command_topo(int argc, char **argv);
int hak_command_run(int argc, char **argv);
int hak_command_learn(int argc, char **argv);

/* Becomes the script that draws and reports, with a list of arguments that NULL ends; the first is
 * the script's command. Returns only where that cannot be, having said why. */
int hak_run_pictures(char **arguments);

/* The file of this program. 0 or -1. */
int hak_own_path(char path[PATH_MAX]);

/* Says on stderr what was wrong with the call, and how it is done; HAK_STATUS_USAGE. */
int hak_usage(const char *what, const char *argument);

/* What stands for the value of a variable: lists of nodes and CPUs as numactl takes them become plain
 * ones, everything else stays. 0, or -1: not to be understood on this machine, or too long. */
int hak_resolve_lists(const char *name, const char *value, char *resolved, size_t room);

/* Sets HAKMEM_NAME for the option "--name=value", whatever the name: the library says what it does
 * not know. 0, or -1: no such form, or a list that is none. */
int hak_set_option(const char *argument);

#endif
