/* SPDX-License-Identifier: MIT */
/* experimental.utilization.*: how full the slabs around objects are. The caller writes addresses
 * and reads the figures of each, in arrays of jemalloc's form; parameters and result as for
 * mallctl. */
#ifndef HAK_COMPAT_UTILIZATION_H
#define HAK_COMPAT_UTILIZATION_H

#include <stddef.h>

int hak_utilization_query(void *old, size_t *old_size, const void *fresh, size_t fresh_size);
int hak_utilization_batch_query(void *old, size_t *old_size, const void *fresh, size_t fresh_size);

#endif
