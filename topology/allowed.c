/* SPDX-License-Identifier: MIT */
/* Restricts a description to the CPUs that the process may use. One thread, while it is built. */
#include "topology/allowed.h"

#include <errno.h>
#include <string.h>

#include "os/bits.h"
#include "os/compiler.h"
#include "os/cpu.h"
#include "os/memory.h"

typedef int hak_allowed_reader(uint64_t *mask, size_t size);

/* The kernel refuses masks shorter than its maximum number of CPUs: retry with more room until it
 * accepts, and keep the ids that fit. */
static int read_into_larger(struct hak_cpu_set *set, hak_allowed_reader *read)
{
    enum { FIRST_SIZE = 2 * sizeof(set->words), LAST_SIZE = 64 * sizeof(set->words) };
    for (size_t size = FIRST_SIZE; size <= LAST_SIZE; size *= 2) {
        size_t room = hak_align_up(size, hak_os_page_size());
        uint64_t *mask = hak_os_map(room, hak_os_page_size());
        if (mask == NULL)
            return -ENOMEM;
        int error = read(mask, size);
        if (error == 0)
            memcpy(set->words, mask, sizeof(set->words));
        hak_os_unmap(mask, room);
        if (error != -EINVAL)
            return error;
    }
    return -EINVAL;
}

static int read_affinity(struct hak_cpu_set *set, hak_allowed_reader *read)
{
    int error = read(set->words, sizeof(set->words));
    if (error == -EINVAL)
        error = read_into_larger(set, read);
    if (error != 0)
        memset(set, 0, sizeof(*set));
    return error;
}

/* If a thread was bound before it asked for memory, its affinity says little about the process. */
int hak_allowed_read(struct hak_cpu_set *set)
{
    struct hak_cpu_set first;
    int error = read_affinity(set, hak_os_affinity);
    if (error != 0 || read_affinity(&first, hak_os_first_affinity) != 0)
        return error;
    for (unsigned word = 0; word < HAK_ARRAY_LENGTH(first.words); word++)
        set->words[word] |= first.words[word];
    return 0;
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
