/* SPDX-License-Identifier: MIT */
/* Small files read into the caller's memory, by raw system calls, relative to a folder so that a
 * recorded machine can stand in for /. Any thread. */
#ifndef HAK_OS_FILE_H
#define HAK_OS_FILE_H

#include <stddef.h>

/* Opens a folder for hak_os_read_file, close-on-exec. Descriptor or -errno. */
int hak_os_open_folder(const char *path);
void hak_os_close(int descriptor);

enum {
    HAK_OS_HERE = -100,    /* as a folder: where the process is (AT_FDCWD) */
};

/* Reads at most capacity - 1 bytes of a file named relative to `folder` (perhaps HAK_OS_HERE), and
 * ends them by NUL. Bytes read or -errno. */
long hak_os_read_file(int folder, const char *path, char *buffer, size_t capacity);

/* How a file is opened for writing, close-on-exec, made if there is none. */
enum hak_os_write { HAK_WRITE_ANEW, HAK_WRITE_APPEND };

/* Descriptor or -errno. */
int hak_os_open_to_write(const char *path, enum hak_os_write how);

/* The process's id. */
unsigned hak_os_process_id(void);

#endif
