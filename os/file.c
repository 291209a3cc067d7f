/* SPDX-License-Identifier: MIT */
/* Small files into the caller's memory. Any thread. */
#define _GNU_SOURCE
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>

#include "os/syscall.h"

enum {
    READABLE_BY_ALL = 0644,    /* less what the process's mask says */
};

static long open_at(int folder, const char *path, int flags)
{
    return hak_syscall4(SYS_openat, (uintptr_t)folder, (uintptr_t)path, (uintptr_t)flags,
                        READABLE_BY_ALL);
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

/* Reads to the end or to the capacity; files of sysfs come in pieces of a page. */
static long read_all(int descriptor, char *buffer, size_t capacity)
{
    size_t length = 0;
    while (length < capacity) {
        long got = hak_syscall3(SYS_read, (uintptr_t)descriptor, (uintptr_t)(buffer + length),
                                capacity - length);
        if (got == -EINTR)
            continue;
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

int hak_os_open_to_write(const char *path, enum hak_os_write how)
{
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC;
    return (int)open_at(AT_FDCWD, path, flags | (how == HAK_WRITE_ANEW ? O_TRUNC : O_APPEND));
}

unsigned hak_os_process_id(void)
{
    return (unsigned)hak_syscall1(SYS_getpid, 0);
}
