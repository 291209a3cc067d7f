/* SPDX-License-Identifier: MIT */
/* A set of CPU ids (or node ids) as bits, and the kernel's notation for it: "0-3,8,10-11". A set
 * belongs to one thread. Ids from HAK_CPU_SET_MAX on are silently left out. */
#ifndef HAK_TOPOLOGY_CPU_SET_H
#define HAK_TOPOLOGY_CPU_SET_H

#include <stdint.h>

#include "os/print.h"

enum { HAK_CPU_SET_MAX = 4096, HAK_CPU_SET_WORDS = HAK_CPU_SET_MAX / 64 };

struct hak_cpu_set {
    uint64_t words[HAK_CPU_SET_WORDS];
};

static inline int hak_cpu_set_has(const struct hak_cpu_set *set, unsigned id)
{
    return id < HAK_CPU_SET_MAX && (set->words[id / 64] >> (id % 64) & 1) != 0;
}

static inline void hak_cpu_set_add(struct hak_cpu_set *set, unsigned id)
{
    if (id < HAK_CPU_SET_MAX)
        set->words[id / 64] |= (uint64_t)1 << (id % 64);
}

static inline void hak_cpu_set_add_all(struct hak_cpu_set *set, const struct hak_cpu_set *others)
{
    for (unsigned word = 0; word < HAK_CPU_SET_WORDS; word++)
        set->words[word] |= others->words[word];
}

/* The lowest id >= from, or HAK_CPU_SET_MAX. */
unsigned hak_cpu_set_next(const struct hak_cpu_set *set, unsigned from);

unsigned hak_cpu_set_count(const struct hak_cpu_set *set);

/* Reads a list; an empty list (or a line end alone) is the empty set. 0, or -EINVAL if it is no
 * list: the set then holds what preceded the error. */
int hak_cpu_set_parse(struct hak_cpu_set *set, const char *list);

/* Writes the set as a list. */
void hak_cpu_set_put(struct hak_writer *writer, const struct hak_cpu_set *set);

#endif
