/* SPDX-License-Identifier: MIT */
/* What the public queries and glibc's share. Any thread. */
#ifndef HAK_API_CONTROL_H
#define HAK_API_CONTROL_H

#include <stddef.h>

#include "hakmem.h"

/* Flushes the calling thread's front and gives back what lies free. Bytes given back. */
size_t hak_trim(void);

/* As hakmem_stats_print; also at exit. */
void hak_print_stats(int fd, enum hakmem_format format);

#endif
