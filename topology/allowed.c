/* SPDX-License-Identifier: MIT */
/* Cuts a description down to what the process may use. One thread, while it is built. */
#include "topology/allowed.h"

#include <errno.h>
#include <string.h>

#include "os/bits.h"
#include "os/cpu.h"
#include "os/memory.h"

/* The kernel refuses masks shorter than its own idea of the most CPUs there can be: ask with more
 * room until it takes it, and keep the ids that we can describe. */
static int read_into_larger(struct hak_cpu_set *set)
{
    enum {
        FIRST_SIZE = 2 * sizeof(set->words),
        LAST_SIZE = 64 * sizeof(set->words)
    };
    for (size_t size = FIRST_SIZE; size <= LAST_SIZE; size *= 2) {
        size_t room = hak_align_up(size, hak_os_page_size());
        uint64_t *mask = hak_os_map(room, hak_os_page_size());
        if (mask == NULL)
            return -ENOMEM;
        int error = hak_os_affinity(mask, size);
        if (error == 0)
            memcpy(set->words, mask, sizeof(set->words));
        hak_os_unmap(mask, room);
        if (error != -EINVAL)
            return error;
    }
    return -EINVAL;
}

int hak_allowed_read(struct hak_cpu_set *set)
{
    int error = hak_os_affinity(set->words, sizeof(set->words));
    if (error == -EINVAL)
        error = read_into_larger(set);
    if (error != 0)
        memset(set, 0, sizeof(*set));
    return error;
}

void hak_allowed_restrict(struct hak_topology *topology, const struct hak_cpu_set *set)
{
    unsigned allowed = 0;
    for (unsigned cpu = 0; cpu < topology->cpu_ids; cpu++) {
        if ((topology->cpu[cpu].state & HAK_CPU_ONLINE) != 0)
            allowed += hak_cpu_set_has(set, cpu);
    }
    if (allowed == 0)
        return;
    for (unsigned cpu = 0; cpu < topology->cpu_ids; cpu++) {
        if (!hak_cpu_set_has(set, cpu))
            topology->cpu[cpu].state &= (uint16_t)~HAK_CPU_ALLOWED;
    }
    topology->allowed = allowed;
}
