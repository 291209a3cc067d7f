/* SPDX-License-Identifier: MIT */
/* The machine that HAKMEM_TOPOLOGY asks for: read once through hwloc and kept, or read from sysfs
 * each time it is asked for. */
#ifndef HAK_API_MACHINE_H
#define HAK_API_MACHINE_H

#include <stdbool.h>

#include "topology/topology.h"

/* Asks the kernel how many CPUs and nodes the process may use, or reads what only hwloc can tell,
 * if an option asks for that; complains on stderr in one line where
 * it cannot. By the constructor alone, while the process has one thread, for hwloc must not see
 * the environment; errno is left as it was. */
void hak_machine_start(void);

/* Whether the machine is so small that what the kernel told at start without a file suffices for
 * mode `auto`: few CPUs that may be used, on one node. False where one was named. */
bool hak_machine_is_small(void);

/* CPUs that the process could use at start; 0: they were not asked for. */
unsigned hak_machine_cpus(void);

/* The small machine, as it was at start; or NULL without memory. To be put back. Opens nothing. */
const struct hak_topology *hak_machine_get_small(void);

/* The description, or NULL without memory; to be put back. `also`: CPUs that the process may use
 * beside those of the calling thread, or NULL. Any thread, under no lock: may open files. */
const struct hak_topology *hak_machine_get(enum hak_topology_detail detail,
                                           const struct hak_cpu_set *also);
void hak_machine_put(const struct hak_topology *topology);

/* What was read of this machine through hwloc is no longer true: from here on sysfs is asked. An
 * imagined machine does not change. Any thread. */
void hak_machine_forget(void);

/* Keeps what of the machine is worth telling later. */
void hak_machine_note(const struct hak_topology *topology);

struct hak_machine_facts {
    const char *source;    /* NULL: no machine was looked at */
    unsigned cpus;         /* allowed ones */
    unsigned nodes;
    unsigned l3s;
};

struct hak_machine_facts hak_machine_facts(void);

#endif
