/* SPDX-License-Identifier: MIT */
/* Heaps that the program made, as the malloc family meets them. Any thread. */
#ifndef HAK_API_HEAPS_H
#define HAK_API_HEAPS_H

#include <stddef.h>

#include "os/compiler.h"

/* realloc of an object within its heap; `usable`: what it has, not 0. NULL: refused, errno is set;
 * or size is 0. */
HAK_COLD void *hak_heaps_resize(void *object, size_t usable, size_t size);

#endif
