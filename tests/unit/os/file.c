/* SPDX-License-Identifier: MIT */
/* os/file.c: files are read relative to a folder, whole or cut, always ended. */
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* Writes by the descriptor, and closes it. */
static void write_text(int descriptor, const char *text)
{
    if (!EXPECT(descriptor >= 0))
        return;
    EXPECT(fcntl(descriptor, F_GETFD) & FD_CLOEXEC);
    EXPECT_EQ(fcntl(descriptor, F_GETFL) & O_ACCMODE, O_WRONLY);
    EXPECT_EQ(write(descriptor, text, strlen(text)), strlen(text));
    hak_os_close(descriptor);
}

static int file_is(const char *path, const char *right)
{
    char text[64];
    long length = hak_os_read_file(HAK_OS_HERE, path, text, sizeof(text));
    return length == (long)strlen(right) && strcmp(text, right) == 0;
}

static void writes(void)
{
    char folder[] = "/tmp/hakmem-file-XXXXXX";
    char path[64];
    struct stat status;
    REQUIRE(mkdtemp(folder) != NULL);
    snprintf(path, sizeof(path), "%s/file", folder);
    mode_t mask = umask(0);
    write_text(hak_os_open_to_write(path, HAK_WRITE_APPEND), "made");
    umask(mask);
    EXPECT(stat(path, &status) == 0 && (status.st_mode & 0777) == 0600);
    EXPECT(file_is(path, "made"));
    write_text(hak_os_open_to_write(path, HAK_WRITE_APPEND), " and more");
    EXPECT(file_is(path, "made and more"));
    write_text(hak_os_open_to_write(path, HAK_WRITE_ANEW), "anew");
    EXPECT(file_is(path, "anew"));
    errno = 77;
    EXPECT_EQ(hak_os_open_to_write(folder, HAK_WRITE_ANEW), -EMEDIUMTYPE);
    EXPECT_EQ(hak_os_open_to_write("/nowhere/file", HAK_WRITE_ANEW), -ENOENT);
    EXPECT_EQ(errno, 77);
    unlink(path);
    rmdir(folder);
}

/* A link, a pipe and a device, for each of the ways to open. */
static void regular_alone(void)
{
    char folder[] = "/tmp/hakmem-file-XXXXXX";
    char path[3][64], text[8];
    struct hak_os_beside beside;
    REQUIRE(mkdtemp(folder) != NULL);
    snprintf(path[0], sizeof(path[0]), "%s/link", folder);
    snprintf(path[1], sizeof(path[1]), "%s/pipe", folder);
    snprintf(path[2], sizeof(path[2]), "/dev/zero");
    EXPECT(symlink("/dev/null", path[0]) == 0 && mkfifo(path[1], 0600) == 0);
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_EQ(hak_os_open_to_write(path[i], HAK_WRITE_ANEW), -EMEDIUMTYPE);
        EXPECT_EQ(hak_os_open_to_write(path[i], HAK_WRITE_APPEND), -EMEDIUMTYPE);
        EXPECT_EQ(hak_os_open_beside(&beside, path[i]), -EMEDIUMTYPE);
        EXPECT_EQ(hak_os_read_regular(path[i], text, sizeof(text)), -EMEDIUMTYPE);
        EXPECT_EQ(text[0], 0);
    }
    EXPECT_EQ(hak_os_read_regular("/nowhere/file", text, sizeof(text)), -ENOENT);
    unlink(path[0]);
    unlink(path[1]);
    EXPECT_EQ(rmdir(folder), 0);
}

static void replaced(void)
{
    char folder[] = "/tmp/hakmem-file-XXXXXX";
    char path[64];
    struct stat status;
    struct hak_os_beside beside, again;
    REQUIRE(mkdtemp(folder) != NULL);
    snprintf(path, sizeof(path), "%s/file", folder);
    write_text(hak_os_open_to_write(path, HAK_WRITE_ANEW), "old");
    int descriptor = hak_os_open_beside(&beside, path);
    REQUIRE(descriptor >= 0);
    EXPECT_EQ(write(descriptor, "new", 3), 3);
    EXPECT(file_is(path, "old"));
    EXPECT_EQ(hak_os_close_beside(&beside, descriptor, -ENOSPC), -ENOSPC);
    EXPECT(file_is(path, "old"));
    descriptor = hak_os_open_beside(&again, path);
    int second = hak_os_open_beside(&beside, path); /* a leftover of a process that was killed */
    REQUIRE(descriptor >= 0 && second >= 0);
    EXPECT_EQ(write(second, "new", 3), 3);
    EXPECT_EQ(hak_os_close_beside(&beside, second, 0), 0);
    EXPECT(file_is(path, "new"));
    EXPECT(stat(path, &status) == 0 && (status.st_mode & 0777) == 0600);
    hak_os_close(descriptor);
    unlink(path);
    EXPECT_EQ(rmdir(folder), 0);
}

static void process_id(void)
{
    EXPECT_EQ(hak_os_process_id(), getpid());
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a file of a folder is read", reads},
        {"a file longer than a read is read whole", long_file},
        {"a file is written from its start, or at its end", writes},
        {"no link is followed, no pipe or device opened", regular_alone},
        {"a file is replaced when it is whole, or not at all", replaced},
        {"the process knows its id", process_id},
        {"a missing file is -errno", refused},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
