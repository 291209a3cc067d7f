/* SPDX-License-Identifier: MIT */
/* The subcommands of the program hakmem. Each receives its own name as argv[0] and returns the
 * program's status: 0, 1 for a failure, 2 for wrong usage. */
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
int hak_command_profile(int argc, char **argv);
int hak_command_stat(int argc, char **argv);
int hak_command_top(int argc, char **argv);
int hak_command_map(int argc, char **argv);

/* Executes a script of tools/ with a NULL-terminated list of arguments. Returns only if that fails,
 * after a message. */
int hak_run_script(const char *name, char **arguments);

/* The path of this program's file. 0 or -1. */
int hak_own_path(char path[PATH_MAX]);

/* Prints the error and the usage on stderr; returns HAK_STATUS_USAGE. */
int hak_usage(const char *what, const char *argument);

/* Resolves a variable's value: numactl's lists of nodes and CPUs become plain lists, other values
 * stay. 0, or -1: not valid on this machine, or too long. */
int hak_resolve_lists(const char *name, const char *value, char *resolved, size_t room);

/* Sets HAKMEM_NAME for the option "--name=value", for any name: the library reports unknown ones.
 * 0, or -1: wrong form, or an invalid list. */
int hak_set_option(const char *argument);

#endif
