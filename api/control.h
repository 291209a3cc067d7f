/* SPDX-License-Identifier: MIT */
/* What our public queries share with glibc's. Any thread. */
#ifndef HAK_API_CONTROL_H
#define HAK_API_CONTROL_H

#include <stddef.h>

#include "hakmem.h"

/* Flushes the calling thread's front and gives all free memory back to the kernel. Returns
 * bytes. */
size_t hak_trim(void);

/* As hakmem_stats_print, to standard error; also works at exit. */
void hak_print_stats_to_stderr(enum hakmem_format format);

#endif
