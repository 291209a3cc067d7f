/* SPDX-License-Identifier: MIT */
/* Memory that another process of the same user may read while this one runs: a file without a name
 * in any folder (memfd), found as an open descriptor in /proc/PID/fd. Asked of the kernel only
 * where an option wants something published. */
#ifndef HAK_OS_SHARED_H
#define HAK_OS_SHARED_H

#include <stddef.h>

/* Zero memory under that name, close-on-exec, not there in children of fork. Where the kernel
 * refuses the file, memory that nobody else can read: *descriptor is -errno then. NULL: none. */
void *hak_os_map_shared(const char *name, size_t size, int *descriptor);

/* In the child of a fork: closes the parent's descriptor, if its number still belongs to the file
 * of that size, and not to one that the program opened since. */
void hak_os_forget_shared(int descriptor, size_t size);

#endif
