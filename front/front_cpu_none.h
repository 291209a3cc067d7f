/* SPDX-License-Identifier: MIT */
/* No restartable sequences for this architecture: CPU fronts never open, because the self-test
 * fails, so callers only get the answer "no front". */
#ifndef HAK_FRONT_FRONT_CPU_NONE_H
#define HAK_FRONT_FRONT_CPU_NONE_H

#include "front/front_cpu.h"

static inline void *hak_cpu_pop(unsigned class_id, unsigned tries)
{
    (void)class_id, (void)tries;
    return NULL;
}

static inline enum hak_cpu_push hak_cpu_push(unsigned class_id, unsigned home, void *object,
                                             unsigned tries)
{
    (void)class_id, (void)home, (void)object, (void)tries;
    return HAK_CPU_FULL;
}

static inline enum hak_cpu_push hak_cpu_push_at(size_t slot, void *object, unsigned tries)
{
    (void)slot, (void)object, (void)tries;
    return HAK_CPU_FULL;
}

static inline struct hak_chain hak_cpu_take(size_t slot, struct hak_chain empty, unsigned tries)
{
    (void)slot, (void)empty, (void)tries;
    return HAK_NO_CHAIN;
}

static inline bool hak_cpu_install(size_t slot, struct hak_chain chain, unsigned tries)
{
    (void)slot, (void)chain, (void)tries;
    return false;
}

static inline bool hak_cpu_spin(const struct hak_cpu_fronts *fronts, const uint32_t *flag,
                                uint64_t *turns)
{
    (void)fronts, (void)flag;
    *turns = 0;
    return false;
}

#endif
