/* SPDX-License-Identifier: MIT */
/* Memory that other processes may read: see the header. */
#define _GNU_SOURCE
#include "os/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "os/syscall.h"

enum {
    OURS_ALONE = 0600,
    /* Above the numbers that shells use. The first file that a program opens still gets the number
     * 3. */
    DESCRIPTOR_FROM = 200,
};

static long control(int descriptor, int command, uintptr_t argument)
{
    return hak_syscall3(SYS_fcntl, (uintptr_t)descriptor, (uintptr_t)command, argument);
}

static long look_at(int descriptor, struct stat *status)
{
    return hak_syscall2(SYS_fstat, (uintptr_t)descriptor, (uintptr_t)status);
}

static void close_it(int descriptor)
{
    hak_syscall1(SYS_close, (uintptr_t)descriptor);
}

/* A file that grows beyond the limit raises a signal, so ask first. */
static int is_allowed(size_t size)
{
    struct rlimit limit;
    long refused = hak_syscall4(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (uintptr_t)&limit);
    return refused != 0 || limit.rlim_cur == RLIM_INFINITY || size <= limit.rlim_cur;
}

/* 0 or -errno. Does without a mode and seals if an old kernel refuses them. */
static long give_size(int descriptor, size_t size)
{
    hak_syscall2(SYS_fchmod, (uintptr_t)descriptor, OURS_ALONE);
    long refused = hak_syscall2(SYS_ftruncate, (uintptr_t)descriptor, size);
    if (refused == 0)
        control(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    return refused;
}

/* Moves the descriptor out of the program's way, if there is room. */
static int moved(int descriptor)
{
    long high = control(descriptor, F_DUPFD_CLOEXEC, DESCRIPTOR_FROM);
    if (high < 0)
        return descriptor;
    close_it(descriptor);
    return (int)high;
}

int hak_os_memfd_make(struct hak_os_memfd *shared, const char *name, size_t size)
{
    struct stat status;
    if (!is_allowed(size))
        return -EFBIG;
    long made = hak_syscall2(SYS_memfd_create, (uintptr_t)name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (made < 0)
        return (int)made;
    int descriptor = (int)made;
    long memory = give_size(descriptor, size);
    if (memory == 0)
        memory = look_at(descriptor, &status);
    if (memory == 0)
        memory = hak_syscall6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED,
                              (uintptr_t)descriptor, 0);
    if (hak_syscall_failed(memory)) {
        close_it(descriptor);
        return (int)memory;
    }
    *shared = (struct hak_os_memfd){(void *)memory, size, moved(descriptor), status.st_dev,
                                    status.st_ino};
    return 0;
}

void hak_os_memfd_leave(struct hak_os_memfd *shared)
{
    struct stat status;
    hak_syscall2(SYS_munmap, (uintptr_t)shared->memory, shared->size);
    if (look_at(shared->descriptor, &status) == 0 && status.st_dev == shared->device &&
        status.st_ino == shared->inode)
        close_it(shared->descriptor);
    *shared = (struct hak_os_memfd){.descriptor = -1};
}
