/* SPDX-License-Identifier: MIT */
/* The program hakmem: dispatches to the subcommand. One thread. */
#include "hakmem.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/commands.h"

static const char usage[] =
    "hakmem topo [--json|--svg] [--topology=SPEC] [--shard=MODE] [--OPTION=VALUE...]\n"
    "    shows the machine as the allocator sees it: nodes, L3s, CPUs, shards, their siblings\n"
    "hakmem run [--shard=MODE] [--front=...] [--OPTION=VALUE...] [--] COMMAND [ARGUMENT...]\n"
    "    runs a command under the library; --OPTION=VALUE sets HAKMEM_OPTION, see hakmem(7);\n"
    "    nodes and CPUs may be numactl's lists: --nodes=netdev:eth0, --shard=cpu:+0-3\n"
    "hakmem stat PID [--json|--prometheus] [--map] [--interval SECONDS]\n"
    "hakmem top PID [--once] [--interval SECONDS]\n"
    "hakmem map PID [--json]\n"
    "    show the statistics of a process that was started with HAKMEM_PUBLISH=1: all of them, a\n"
    "    view for a terminal, a picture of its slabs (SVG)\n"
    "hakmem learn LOG [--json] [--svg FILE]\n"
    "    shows the decisions in a log of HAKMEM_LEARN_LOG, and what each arm would have cost\n"
    "hakmem profile PID|FILE [--raw] [--live|--total] [--objects] [--by shard|node|heap]\n"
    "    [--top N] [--folded] [--svg FILE] [--diff FILE]\n"
    "    shows which call stacks allocated what, of a process started with HAKMEM_PROFILE=512K or "
    "of\n"
    "    a file that it wrote; a table, folded stacks, or a flame graph\n"
    "hakmem --help | --version\n";

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"topo", hak_command_topo},       {"run", hak_command_run}, {"stat", hak_command_stat},
    {"top", hak_command_top},         {"map", hak_command_map}, {"learn", hak_command_learn},
    {"profile", hak_command_profile},
};

int hak_usage(const char *what, const char *argument)
{
    fprintf(stderr, "hakmem: %s%s%s\n%s", what, argument != NULL ? ": " : "",
            argument != NULL ? argument : "", usage);
    return HAK_STATUS_USAGE;
}

int hak_set_option(const char *argument)
{
    char name[64] = "HAKMEM_";
    size_t length = strlen(name);
    const char *equals = strchr(argument, '=');
    if (strncmp(argument, "--", 2) != 0 || equals == NULL || equals == argument + 2)
        return -1;
    for (const char *at = argument + 2; at < equals; at++) {
        if (length + 1 == sizeof name || !(isalnum((unsigned char)*at) || *at == '_'))
            return -1;
        name[length++] = (char)toupper((unsigned char)*at);
    }
    char value[PATH_MAX];
    if (hak_resolve_lists(name, equals + 1, value, sizeof value) != 0)
        return -1;
    return setenv(name, value, 1);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return hak_usage("no command", NULL);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    }
    if (strcmp(argv[1], "--version") == 0)
        return printf("hakmem %s\n", hakmem_version()) < 0;
    if (strcmp(argv[1], "--help") == 0)
        return fputs(usage, stdout) < 0;
    return hak_usage("no such command", argv[1]);
}
