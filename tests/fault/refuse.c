/* SPDX-License-Identifier: MIT */
/* refuse.c - `refuse ERROR CALL... -- PROGRAM ARG...` runs a program whose kernel refuses some
 * calls, as the filters of containers do.
 *
 * ERROR is EPERM, ENOSYS or ENOMEM; a CALL one of the table below, or `all`, which are those above
 * the line: the others are refused only by name. Status 77: no filter may be set here. One thread;
 * the filter outlives exec and is inherited. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_rseq
#define SYS_rseq __NR_rseq
#endif

static const struct call {
    const char *name;
    unsigned number;
} calls[] = {
    {"mbind", SYS_mbind},
    {"get_mempolicy", SYS_get_mempolicy},
    {"set_mempolicy", SYS_set_mempolicy},
    {"move_pages", SYS_move_pages},
    {"membarrier", SYS_membarrier},
    {"rseq", SYS_rseq},
    {"sched_setaffinity", SYS_sched_setaffinity},
    {"sched_getaffinity", SYS_sched_getaffinity},
    /* ---- calls that give memory back, as at the limit of mappings ---- */
    {"munmap", SYS_munmap},
    {"madvise", SYS_madvise},
    {"mremap", SYS_mremap},
};

enum { CALLS = sizeof calls / sizeof calls[0], OF_ALL = CALLS - 3, PROGRAM_ROOM = 2 * CALLS + 2 };

static struct sock_filter steps[PROGRAM_ROOM];
static unsigned short used;

static void add(struct sock_filter step)
{
    steps[used++] = step;
}

/* Is it this call? Then the next step is what it gets. */
static void add_refusal(unsigned number, unsigned error)
{
    add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
    add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error));
}

static int install(void)
{
    add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    struct sock_fprog program = {used, steps};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    unsigned error = strcmp(argv[1], "ENOSYS") == 0   ? ENOSYS
                     : strcmp(argv[1], "ENOMEM") == 0 ? ENOMEM
                                                      : EPERM;
    add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    int at = 2;
    for (; at < argc && strcmp(argv[at], "--") != 0; at++)
        for (unsigned i = 0; i < CALLS; i++)
            if (strcmp(argv[at], calls[i].name) == 0 ||
                (i < OF_ALL && strcmp(argv[at], "all") == 0))
                add_refusal(calls[i].number, error);
    if (at + 1 >= argc)
        return 2;
    if (install() != 0) {
        perror("refuse: seccomp");
        return 77;
    }
    execvp(argv[at + 1], argv + at + 1);
    perror(argv[at + 1]);
    return 127;
}
