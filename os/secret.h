/* SPDX-License-Identifier: MIT */
/* A number that differs from process to process and that nobody outside knows. */
#ifndef HAK_OS_SECRET_H
#define HAK_OS_SECRET_H

#include <stdint.h>

/* Always the same within a process and its children of fork, never 0. Costs no system call. */
uint64_t hak_os_secret(void);

#endif
