/* SPDX-License-Identifier: MIT */
/* The CPUs that this process may run on: its affinity (taskset), within its cpuset (containers).
 * One thread, while a description is built. */
#ifndef HAK_TOPOLOGY_ALLOWED_H
#define HAK_TOPOLOGY_ALLOWED_H

#include "topology/topology.h"

/* Reads what the kernel allows the calling thread or the process's first one. 0 or -errno (the set
 * is then empty). */
int hak_allowed_read(struct hak_cpu_set *set);

/* Keeps HAK_CPU_ALLOWED only on online CPUs of the set. If none would remain (the set is of another
 * machine), changes nothing. */
void hak_allowed_restrict(struct hak_topology *topology, const struct hak_cpu_set *set);

#endif
