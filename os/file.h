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
    HAK_OS_HERE = -100, /* as a folder: where the process is (AT_FDCWD) */
};

/* Reads at most capacity - 1 bytes of a file named relative to `folder` (perhaps HAK_OS_HERE), and
 * ends them by NUL. Bytes read or -errno. */
long hak_os_read_file(int folder, const char *path, char *buffer, size_t capacity);

/* Reads on from an open file: bytes read, 0 at its end, or -errno. */
long hak_os_read_on(int descriptor, char *buffer, size_t capacity);

/* Opens a file to read, close-on-exec. Descriptor or -errno. */
int hak_os_open_to_read(const char *path);

/* ---- files that an option names: another user may have put something there. Only regular files
 * are read and written; for a link, a pipe or a device the answer is -EMEDIUMTYPE. */

/* As hak_os_read_file. */
long hak_os_read_regular(const char *path, char *buffer, size_t capacity);

/* How a file is opened for writing, close-on-exec, made for this user alone if there is none. */
enum hak_os_write { HAK_WRITE_ANEW, HAK_WRITE_APPEND };

/* Descriptor or -errno. */
int hak_os_open_to_write(const char *path, enum hak_os_write how);

/* A new file beside the one that it will replace. */
struct hak_os_beside {
    const char *path; /* the caller's */
    char name[1056];
};

/* Opens it, made for this user alone. Descriptor or -errno. */
int hak_os_open_beside(struct hak_os_beside *beside, const char *path);

/* Closes it and gives it its name, or removes it if writing was `refused` (-errno). 0 or -errno:
 * then the name still belongs to what had it before. */
int hak_os_close_beside(const struct hak_os_beside *beside, int descriptor, int refused);

/* The process's id. */
unsigned hak_os_process_id(void);

#endif
