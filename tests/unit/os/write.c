/* SPDX-License-Identifier: MIT */
/* os/write.c: all bytes are written, or the reason is returned; signals that a write raises are
 * taken back, and no others; a full descriptor is given up, once after a while and then at once. */
#define _GNU_SOURCE
#include "os/write.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "os/signals.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"

static volatile sig_atomic_t raised;

static void note_signal(int number)
{
    raised = number;
}

static void whole(void)
{
    static char bytes[40000], got[sizeof bytes];
    int ends[2];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)i;
    for (int patience = HAK_WRITE_BOUNDED; patience <= HAK_WRITE_WAITS; patience++) {
        REQUIRE(pipe(ends) == 0);
        errno = 77;
        EXPECT_EQ(hak_os_write(ends[1], bytes, sizeof bytes, (enum hak_os_patience)patience), 0);
        EXPECT_EQ(errno, 77);
        close(ends[1]);
        EXPECT_EQ(read(ends[0], got, sizeof got), sizeof got);
        EXPECT_EQ(memcmp(bytes, got, sizeof got), 0);
        close(ends[0]);
    }
    EXPECT_EQ(hak_os_write(999, bytes, 1, HAK_WRITE_BOUNDED), -EBADF);
    EXPECT_EQ(hak_os_write(999, bytes, 0, HAK_WRITE_BOUNDED), 0);
}

static void no_reader(void)
{
    int ends[2];
    sigset_t waiting;
    REQUIRE(pipe(ends) == 0);
    close(ends[0]);
    signal(SIGPIPE, note_signal);
    uint64_t before = hak_os_signals();
    EXPECT_EQ(hak_os_write(ends[1], "x", 1, HAK_WRITE_BOUNDED), -EPIPE);
    EXPECT_EQ(hak_os_write(ends[1], "x", 1, HAK_WRITE_WAITS), -EPIPE);
    EXPECT_EQ(raised, 0);
    EXPECT_EQ(hak_os_signals(), before);
    /* a pending signal that the program raised itself stays */
    sigset_t pipe_alone;
    sigemptyset(&pipe_alone);
    sigaddset(&pipe_alone, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_alone, NULL);
    raise(SIGPIPE);
    EXPECT_EQ(hak_os_write(ends[1], "x", 1, HAK_WRITE_BOUNDED), -EPIPE);
    sigpending(&waiting);
    EXPECT_EQ(sigismember(&waiting, SIGPIPE), 1);
    EXPECT_EQ(raised, 0);
    hak_os_set_signals(before);
    EXPECT_EQ(raised, SIGPIPE);
    signal(SIGPIPE, SIG_DFL);
    close(ends[1]);
}

static void too_long(void)
{
    char path[] = "/tmp/hakmem-write-XXXXXX";
    int file = mkstemp(path);
    REQUIRE(file >= 0);
    unlink(path);
    pid_t child = process_fork();
    if (child == 0) {
        const struct rlimit limit = {3, 3};
        setrlimit(RLIMIT_FSIZE, &limit);
        int refused = hak_os_write(file, "12345", 5, HAK_WRITE_WAITS);
        _exit(refused == -EFBIG && lseek(file, 0, SEEK_END) == 3 ? 0 : 1);
    }
    EXPECT_EQ(process_wait(child, 20), 0);
    close(file);
}

/* The second write would wait as long as the first, and so would each of a thousand. */
static void full(void)
{
    char bytes[4096] = "";
    int ends[2];
    REQUIRE(pipe2(ends, O_NONBLOCK) == 0);
    while (write(ends[1], bytes, sizeof bytes) > 0)
        continue;
    REQUIRE(fcntl(ends[1], F_SETFL, 0) == 0);
    pid_t child = process_fork();
    if (child == 0) {
        int refused = 0;
        for (unsigned i = 0; i < 1000; i++)
            refused |= hak_os_write(ends[1], "x", 1, HAK_WRITE_BOUNDED) != -EAGAIN;
        _exit(refused);
    }
    EXPECT_EQ(process_wait(child, 100), 0);
    EXPECT_EQ(read(ends[0], bytes, sizeof bytes), sizeof bytes);
    EXPECT_EQ(hak_os_write(ends[1], "x", 1, HAK_WRITE_BOUNDED), 0);
    close(ends[0]);
    close(ends[1]);
}

static void standard_error(void)
{
    EXPECT_EQ(hak_os_stderr(), 2);
    pid_t child = process_fork();
    if (child == 0) {
        close(2);
        int known = hak_os_stderr(); /* the finding from the start holds */
        hak_os_look_for_stderr();
        _exit(known == 2 && hak_os_stderr() == -1 ? 0 : 1);
    }
    EXPECT_EQ(process_wait(child, 20), 0);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"all bytes are written", whole},
        {"a pipe without a reader is an error, and no signal", no_reader},
        {"a file that grows too long is an error, and no signal", too_long},
        {"only the first write waits for a full pipe", full},
        {"a missing standard error is noticed", standard_error},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
