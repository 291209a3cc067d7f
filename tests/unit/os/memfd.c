/* SPDX-License-Identifier: MIT */
/* os/memfd.c: written bytes are read through the descriptor; the size stays; a child leaves its
 * parent's memfd, and closes no other file that got the number. */
#define _GNU_SOURCE
#include "os/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/tap.h"

enum { SIZE = 1 << 20 };

static struct hak_os_memfd shared;

static void is_read_by_others(void)
{
    char text[6] = "";
    struct stat status;
    errno = 0;
    int refused = hak_os_memfd_make(&shared, "hakmem-test", SIZE);
    if (refused == -ENOSYS || refused == -EPERM) {
        tap_skip("no memfd here");
        return;
    }
    REQUIRE(refused == 0);
    EXPECT_EQ(errno, 0);
    memcpy((char *)shared.memory + SIZE - 6, "hello", 6);
    EXPECT_EQ(pread(shared.descriptor, text, 6, SIZE - 6), 6);
    EXPECT(strcmp(text, "hello") == 0);
    EXPECT_EQ(fstat(shared.descriptor, &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600);
    EXPECT_EQ(fcntl(shared.descriptor, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    EXPECT_GE(shared.descriptor, 3);
    EXPECT_EQ(ftruncate(shared.descriptor, 0), -1); /* or a touch would kill the process */
}

/* Runs in a child; its status is the result. */
static int leaves(int is_reused)
{
    int descriptor = shared.descriptor;
    if (is_reused) {
        int other = open("/dev/null", O_RDONLY);
        if (dup2(other, descriptor) != descriptor)
            return 1;
    }
    hak_os_memfd_leave(&shared);
    int is_open = fcntl(descriptor, F_GETFD) != -1;
    return is_open != is_reused || shared.memory != NULL;
}

static void child_leaves(void)
{
    if (shared.memory == NULL) {
        tap_skip("no memfd here");
        return;
    }
    for (int is_reused = 0; is_reused < 2; is_reused++) {
        int status = -1;
        pid_t child = fork();
        if (child == 0)
            _exit(leaves(is_reused));
        EXPECT_EQ(waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
    }
    ((volatile char *)shared.memory)[0] = 1; /* the parent's is still there */
    hak_os_memfd_leave(&shared);
}

static void is_refused_below_a_limit(void)
{
    struct rlimit limit;
    struct hak_os_memfd none = {0};
    REQUIRE(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = SIZE / 2;
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    EXPECT_EQ(hak_os_memfd_make(&none, "hakmem-test", SIZE), -EFBIG); /* and no SIGXFSZ */
    limit.rlim_cur = before;
    setrlimit(RLIMIT_FSIZE, &limit);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"others read what was written, and the size stays", is_read_by_others},
        {"a child leaves its parent's memfd, and closes no other file", child_leaves},
        {"a limit of file sizes refuses it", is_refused_below_a_limit},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
