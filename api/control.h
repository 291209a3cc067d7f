/* SPDX-License-Identifier: MIT */
/* What the public queries and glibc's share. Any thread. */
#ifndef HAK_API_CONTROL_H
#define HAK_API_CONTROL_H

#include <stddef.h>

#include "hakmem.h"

/* Flushes the calling thread's front and gives back what lies free. Bytes given back. */
size_t hak_trim(void);

/* As hakmem_stats_print, on standard error; also at exit. */
void hak_print_stats_to_stderr(enum hakmem_format format);

#endif
