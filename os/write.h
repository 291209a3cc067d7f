/* SPDX-License-Identifier: MIT */
/* Writing to descriptors that are not ours: a write must neither kill the program nor block it for
 * ever. Any thread. */
#ifndef HAK_OS_WRITE_H
#define HAK_OS_WRITE_H

#include <stddef.h>

enum hak_os_patience {
    HAK_WRITE_BOUNDED, /* gives up on a descriptor that takes nothing for a second */
    HAK_WRITE_WAITS,   /* as write(2) does: the caller knows the descriptor */
};

/* Writes all, or until the descriptor refuses more. The signals that a write raises by itself,
 * SIGPIPE and SIGXFSZ, are taken back before the program sees them; one that waited already stays.
 * 0 or -errno; -EAGAIN: full. */
int hak_os_write(int descriptor, const char *bytes, size_t count, enum hak_os_patience patience);

/* Looks whether the process has a standard error: by the constructor, before the program can open a
 * file of its own that gets the number. */
void hak_os_look_for_stderr(void);

/* The descriptor of standard error, or -1 where there was none when the library was started. */
int hak_os_stderr(void);

#endif
