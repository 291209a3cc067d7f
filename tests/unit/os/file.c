/* SPDX-License-Identifier: MIT */
/* os/file.c: files are read relative to a folder, whole or cut, always ended. */
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "tests/lib/tap.h"

static void reads(void)
{
    char text[64];
    int folder = hak_os_open_folder("/proc/self");
    REQUIRE(folder >= 0);
    EXPECT(fcntl(folder, F_GETFD) & FD_CLOEXEC);
    long length = hak_os_read_file(folder, "comm", text, sizeof(text));
    EXPECT_GE(length, 2);
    EXPECT_EQ(strlen(text), length);
    EXPECT_EQ(text[length - 1], '\n');
    char start[3];
    EXPECT_EQ(hak_os_read_file(folder, "comm", start, sizeof(start)), 2);
    EXPECT_EQ(memcmp(start, text, 2), 0);
    EXPECT_EQ(start[2], 0);
    hak_os_close(folder);
    EXPECT_EQ(fcntl(folder, F_GETFD), -1);
}

static void long_file(void)
{
    static char text[1 << 20];
    long length = hak_os_read_file(AT_FDCWD, "/proc/self/smaps", text, sizeof(text));
    EXPECT_GE(length, 4097); /* more than one read gives */
    EXPECT_EQ(strlen(text), length);
}

static void refused(void)
{
    char text[8] = "before";
    errno = 77;
    EXPECT_EQ(hak_os_read_file(AT_FDCWD, "/nowhere/nothing", text, sizeof(text)), -ENOENT);
    EXPECT_EQ(text[0], 0);
    EXPECT_EQ(hak_os_read_file(AT_FDCWD, "/", text, sizeof(text)), -EISDIR);
    EXPECT_EQ(hak_os_open_folder("/nowhere"), -ENOENT);
    EXPECT_EQ(hak_os_open_folder("/proc/self/comm"), -ENOTDIR);
    hak_os_close(-ENOENT);
    EXPECT_EQ(errno, 77);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a file of a folder is read", reads},
        {"a file longer than a read is read whole", long_file},
        {"what is not there is told by -errno", refused},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
