/* SPDX-License-Identifier: MIT */
/* Memory that other processes may read: a memfd, a file without a name in any folder. It is mapped
 * here, and others find it through /proc/PID/fd: only those who may debug the process, and its mode
 * is 0600. One thread at a time. */
#ifndef HAK_OS_MEMFD_H
#define HAK_OS_MEMFD_H

#include <stddef.h>
#include <stdint.h>

struct hak_os_memfd {
    void *memory;
    size_t size;
    int descriptor;  /* close-on-exec; the program may have closed it and opened another under its
                        number */
    uint64_t device; /* identify the file */
    uint64_t inode;
};

/* Makes zero memory of `bytes`, a multiple of the page size; the kernel backs only touched pages.
 * The size is sealed. 0 or -errno: ENOSYS, EPERM (a filter), EMFILE, ENOMEM; EFBIG where a file may
 * not be that large (RLIMIT_FSIZE). */
int hak_os_memfd_make(struct hak_os_memfd *shared, const char *name, size_t size);

/* Unmaps it here, and closes the descriptor if it still belongs to this file: for the child of a
 * fork, whose parent goes on. */
void hak_os_memfd_leave(struct hak_os_memfd *shared);

#endif
