/* SPDX-License-Identifier: MIT */
/* Small files read into the caller's memory, by raw system calls, relative to a folder so that a
 * recorded machine can stand in for /. Any thread. */
#ifndef HAK_OS_FILE_H
#define HAK_OS_FILE_H

#include <stddef.h>

/* Opens a folder for hak_os_read_file, close-on-exec. Descriptor or -errno. */
int hak_os_open_folder(const char *path);
void hak_os_close(int descriptor);

/* Reads at most capacity - 1 bytes of a file named relative to `folder` (AT_FDCWD allowed) and ends
 * them by NUL. Bytes read or -errno. */
long hak_os_read_file(int folder, const char *path, char *buffer, size_t capacity);

#endif
