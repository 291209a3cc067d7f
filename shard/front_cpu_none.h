/* SPDX-License-Identifier: MIT */
/* No restartable sequences for this architecture: CPU fronts never open (the self-test
 * fails), so none of these is reached but as the answer "no front". */
#ifndef HAK_SHARD_FRONT_CPU_NONE_H
#define HAK_SHARD_FRONT_CPU_NONE_H

#include "shard/front_cpu.h"

static inline void *hak_cpu_pop(unsigned class_id)
{
    (void)class_id;
    return NULL;
}

static inline enum hak_cpu_push hak_cpu_push(unsigned class_id, unsigned home, void *object)
{
    (void)class_id, (void)home, (void)object;
    return HAK_CPU_FULL;
}

static inline enum hak_cpu_push hak_cpu_push_at(size_t slot, void *object)
{
    (void)slot, (void)object;
    return HAK_CPU_FULL;
}

static inline uint64_t hak_cpu_take(size_t slot, uint64_t empty)
{
    (void)slot, (void)empty;
    return 0;
}

static inline int hak_cpu_install(size_t slot, uint64_t word)
{
    (void)slot, (void)word;
    return 0;
}

static inline int hak_cpu_spin(const struct hak_cpu_fronts *fronts, const uint32_t *flag,
                               uint64_t turns)
{
    (void)fronts, (void)flag, (void)turns;
    return 0;
}

#endif
