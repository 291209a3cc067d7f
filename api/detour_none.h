/* SPDX-License-Identifier: MIT */
/* No detour for this architecture: counted mallocs take the slow path. */
#ifndef HAK_API_DETOUR_NONE_H
#define HAK_API_DETOUR_NONE_H

#include <stddef.h>

#include "os/compiler.h"

#define HAK_BEHIND_DETOUR __attribute__((aligned(HAK_CACHE_LINE)))
#define HAK_DETOUR_PAGE   NULL

#endif
