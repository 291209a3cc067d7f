/* SPDX-License-Identifier: MIT */
/* process.h - questions of a test about its own process: memory in use, the result of a child.
 *
 * Nothing in here allocates. */
#ifndef HAK_TESTS_PROCESS_H
#define HAK_TESTS_PROCESS_H

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Bytes resident now; 0 when /proc cannot be read. */
static inline size_t process_resident(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    const char *second = strchr(text, ' ');
    return second ? strtoull(second + 1, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

/* Bytes of address space that the process may have (ulimit -v); all bits set: no limit. */
static inline size_t process_address_space(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return (size_t)-1;
    return limit.rlim_cur;
}

/* fork, but the child dies with its parent: a child that hangs would keep the test's output open. */
static inline pid_t process_fork(void)
{
    pid_t child = fork();
    if (child == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return child;
}

/* Waits for a child at most `seconds`, then kills it. Its exit status; 128 + signal if a signal
 * killed it; 124 if it had to be killed because it was late (a child that hangs in malloc after
 * fork). */
static inline int process_wait(pid_t child, int seconds)
{
    const struct timespec pause = {0, 1000000};
    int status;
    for (long waited = 0; waited < seconds * 1000L; waited++) {
        pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended == child)
            return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        if (ended < 0)
            return 125;
        nanosleep(&pause, NULL);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return 124;
}

#endif
