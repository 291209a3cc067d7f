/* SPDX-License-Identifier: MIT */
/* Formatted text without malloc, stdio, locale or errno: into a buffer that is written to a file
 * descriptor when it is full. One thread a writer. */
#ifndef HAK_OS_PRINT_H
#define HAK_OS_PRINT_H

#include <stddef.h>

#include "os/compiler.h"
#include "os/write.h"

struct hak_writer {
    int fd;       /* -1: the buffer alone; what does not fit is counted but cut */
    char *buffer; /* the caller's */
    size_t capacity;
    size_t length; /* bytes in the buffer not yet written out */
    size_t total;  /* bytes ever put */
    enum hak_os_patience patience;
    int refused; /* 0, or -errno: why the descriptor took not all */
};

struct hak_writer hak_writer_to_fd(int fd, char *buffer, size_t capacity);
/* To standard error, if there was one at start; what it does not take within a second is lost. */
struct hak_writer hak_writer_to_stderr(char *buffer, size_t capacity);
struct hak_writer hak_writer_to_buffer(char *buffer, size_t capacity);

void hak_put_text(struct hak_writer *writer, const char *text);
void hak_put_bytes(struct hak_writer *writer, const char *bytes, size_t count);

/* Knows %s %c %% %d %u %x %p with l, ll, z and field widths with - and 0; nothing else. */
void hak_put(struct hak_writer *writer, const char *format, ...) HAK_PRINTF(2, 3);

/* Writes out what the buffer holds (fd >= 0). In a buffer: ends the text by NUL (cut if full). */
void hak_writer_flush(struct hak_writer *writer);

#endif
