/* SPDX-License-Identifier: MIT */
/* Small files into the caller's memory. Any thread. */
#define _GNU_SOURCE
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "os/print.h"
#include "os/syscall.h"

enum {
    OURS_ALONE = 0600,
    /* For a file that another user may have put there: opening it follows no link, waits for no
     * pipe and makes no terminal the process's own. */
    WARILY = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
};

static long open_at(int folder, const char *path, int flags)
{
    return hak_syscall4(SYS_openat, (uintptr_t)folder, (uintptr_t)path, (uintptr_t)flags,
                        OURS_ALONE);
}

int hak_os_open_folder(const char *path)
{
    /* O_PATH: to pass through a folder needs no right to list it */
    return (int)open_at(AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

void hak_os_close(int descriptor)
{
    if (descriptor >= 0)
        hak_syscall1(SYS_close, (uintptr_t)descriptor);
}

long hak_os_read_on(int descriptor, char *buffer, size_t capacity)
{
    long got;
    do {
        got = hak_syscall3(SYS_read, (uintptr_t)descriptor, (uintptr_t)buffer, capacity);
    } while (got == -EINTR);
    return got;
}

int hak_os_open_to_read(const char *path)
{
    return (int)open_at(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
}

/* Reads to the end or to the capacity; files of sysfs come in pieces of a page. */
static long read_all(int descriptor, char *buffer, size_t capacity)
{
    size_t length = 0;
    while (length < capacity) {
        long got = hak_os_read_on(descriptor, buffer + length, capacity - length);
        if (got < 0)
            return got;
        if (got == 0)
            break;
        length += (size_t)got;
    }
    return (long)length;
}

long hak_os_read_file(int folder, const char *path, char *buffer, size_t capacity)
{
    if (capacity == 0)
        return -EINVAL;
    buffer[0] = '\0';
    long descriptor = open_at(folder, path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return descriptor;
    long length = read_all((int)descriptor, buffer, capacity - 1);
    hak_os_close((int)descriptor);
    buffer[length < 0 ? 0 : length] = '\0';
    return length;
}

/* ---- files that an option names ------------------------------------------------------------- */

/* 0, or -errno: -EMEDIUMTYPE if there is something, but no regular file. */
static int look_at(int folder, const char *path, int flags)
{
    struct stat status;
    long refused = hak_syscall4(SYS_newfstatat, (uintptr_t)folder, (uintptr_t)path,
                                (uintptr_t)&status, (uintptr_t)flags);
    if (refused != 0)
        return (int)refused;
    return S_ISREG(status.st_mode) ? 0 : -EMEDIUMTYPE;
}

/* Does not even open a device, since that may have an effect. Looks again at the opened file:
 * another user may have replaced it after the first look. */
static int open_regular(const char *path, int flags)
{
    int refused = look_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW);
    if (refused != 0 && !(refused == -ENOENT && (flags & O_CREAT)))
        return refused;
    int descriptor = (int)open_at(AT_FDCWD, path, flags | WARILY);
    if (descriptor < 0)
        return descriptor == -ELOOP || descriptor == -ENXIO ? -EMEDIUMTYPE : descriptor;
    refused = look_at(descriptor, "", AT_EMPTY_PATH);
    if (refused == 0)
        return descriptor;
    hak_os_close(descriptor);
    return refused;
}

long hak_os_read_regular(const char *path, char *buffer, size_t capacity)
{
    if (capacity == 0)
        return -EINVAL;
    buffer[0] = '\0';
    int descriptor = open_regular(path, O_RDONLY);
    if (descriptor < 0)
        return descriptor;
    long length = read_all(descriptor, buffer, capacity - 1);
    hak_os_close(descriptor);
    buffer[length < 0 ? 0 : length] = '\0';
    return length;
}

int hak_os_open_to_write(const char *path, enum hak_os_write how)
{
    int descriptor =
        open_regular(path, O_WRONLY | O_CREAT | (how == HAK_WRITE_APPEND ? O_APPEND : 0));
    if (descriptor < 0 || how == HAK_WRITE_APPEND)
        return descriptor;
    /* only now: before, it was not known to be a regular file */
    long refused = hak_syscall2(SYS_ftruncate, (uintptr_t)descriptor, 0);
    if (refused == 0)
        return descriptor;
    hak_os_close(descriptor);
    return (int)refused;
}

static long remove_file(const char *path)
{
    return hak_syscall3(SYS_unlinkat, (uintptr_t)AT_FDCWD, (uintptr_t)path, 0);
}

int hak_os_open_beside(struct hak_os_beside *beside, const char *path)
{
    beside->path = path;
    int refused = look_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW);
    if (refused != 0 && refused != -ENOENT)
        return refused;
    struct hak_writer writer = hak_writer_to_buffer(beside->name, sizeof beside->name);
    hak_put(&writer, "%s.%u.new", path, hak_os_process_id());
    hak_writer_flush(&writer);
    if (writer.total >= sizeof beside->name)
        return -ENAMETOOLONG;
    const int flags = O_WRONLY | O_CREAT | O_EXCL | WARILY;
    int descriptor = (int)open_at(AT_FDCWD, beside->name, flags);
    if (descriptor != -EEXIST)
        return descriptor;
    /* A process with our number left it and was killed */
    remove_file(beside->name);
    return (int)open_at(AT_FDCWD, beside->name, flags);
}

int hak_os_close_beside(const struct hak_os_beside *beside, int descriptor, int refused)
{
    hak_os_close(descriptor);
    if (refused == 0)
        refused = (int)hak_syscall5(SYS_renameat2, (uintptr_t)AT_FDCWD, (uintptr_t)beside->name,
                                    (uintptr_t)AT_FDCWD, (uintptr_t)beside->path, 0);
    if (refused != 0)
        remove_file(beside->name);
    return refused;
}

unsigned hak_os_process_id(void)
{
    return (unsigned)hak_syscall1(SYS_getpid, 0);
}
