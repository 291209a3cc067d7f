/* SPDX-License-Identifier: MIT */
/* Memory that others may read: see the header. One thread at a time. */
#define _GNU_SOURCE
#include "os/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "os/file.h"
#include "os/memory.h"
#include "os/syscall.h"

enum {
    FOR_THIS_USER = 0600,
};

static void *map_file(int descriptor, size_t size)
{
    if (hak_syscall2(SYS_ftruncate, (uintptr_t)descriptor, size) != 0)
        return NULL;
    hak_syscall2(SYS_fchmod, (uintptr_t)descriptor, FOR_THIS_USER);
    long result = hak_syscall6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED,
                               (uintptr_t)descriptor, 0);
    if (hak_syscall_failed(result))
        return NULL;
    /* A child that wrote here would write into its parent's figures. */
    hak_syscall3(SYS_madvise, (uintptr_t)result, size, MADV_DONTFORK);
    hak_syscall3(SYS_madvise, (uintptr_t)result, size, MADV_DONTDUMP);
    return (void *)result;
}

void *hak_os_map_shared(const char *name, size_t size, int *descriptor)
{
    *descriptor = (int)hak_syscall2(SYS_memfd_create, (uintptr_t)name, MFD_CLOEXEC);
    if (*descriptor >= 0) {
        void *memory = map_file(*descriptor, size);
        if (memory != NULL)
            return memory;
        hak_os_close(*descriptor);
        *descriptor = -ENOMEM;
    }
    void *memory = hak_os_map(size, hak_os_page_size());
    if (memory != NULL)
        hak_syscall3(SYS_madvise, (uintptr_t)memory, size, MADV_DONTFORK);
    return memory;
}

void hak_os_forget_shared(int descriptor, size_t size)
{
    struct stat status;
    if (descriptor < 0 ||
        hak_syscall2(SYS_fstat, (uintptr_t)descriptor, (uintptr_t)&status) != 0)
        return;
    if (S_ISREG(status.st_mode) && status.st_nlink == 0 && (size_t)status.st_size == size)
        hak_os_close(descriptor);
}
