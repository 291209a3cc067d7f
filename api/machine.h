/* SPDX-License-Identifier: MIT */
/* The machine that HAKMEM_TOPOLOGY selects: read once through hwloc and kept, or read from sysfs
 * each time. */
#ifndef HAK_API_MACHINE_H
#define HAK_API_MACHINE_H

#include <stdbool.h>

#include "topology/topology.h"

/* Asks the kernel which CPUs and nodes the process may use, or reads the machine through hwloc if
 * an option says so; a failure is one line on stderr. Only the constructor calls this, while the
 * process has one thread, since it hides the environment from hwloc. Does not change errno. */
void hak_machine_start(void);

/* Whether the machine is small: the process may use few CPUs, all on one node. For mode `auto` the
 * facts from start then suffice, and no file is read. False if HAKMEM_TOPOLOGY selects a
 * machine. */
bool hak_machine_is_small(void);

/* CPUs that the process could use at start; 0 if the kernel was not asked. */
unsigned hak_machine_cpus(void);

/* The small machine as it was at start, or NULL without memory. The caller puts it back. Opens no
 * file. */
const struct hak_topology *hak_machine_get_small(void);

/* The description of the machine, or NULL without memory; the caller puts it back. `also`: CPUs
 * that the process may use in addition to the calling thread's, or NULL. Any thread, without a
 * lock: may open files. */
const struct hak_topology *hak_machine_get(enum hak_topology_detail detail,
                                           const struct hak_cpu_set *also);
void hak_machine_put(const struct hak_topology *topology);

/* Discards what hwloc told of this machine: from now on sysfs is read. An imagined machine stays.
 * Any thread. */
void hak_machine_forget(void);

/* Keeps some facts of the machine for reports. */
void hak_machine_note(const struct hak_topology *topology);

struct hak_machine_facts {
    const char *source; /* NULL: no machine was read */
    unsigned cpus;      /* allowed ones */
    unsigned nodes;
    unsigned l3s;
};

struct hak_machine_facts hak_machine_facts(void);

#endif
