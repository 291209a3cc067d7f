/* SPDX-License-Identifier: MIT */
/* Which of the machine's CPUs this process may run on: affinity (taskset), within its cpuset
 * (containers). Called while a description is built; one thread. */
#ifndef HAK_TOPOLOGY_ALLOWED_H
#define HAK_TOPOLOGY_ALLOWED_H

#include "topology/topology.h"

/* What the kernel allows the calling thread or the process's first one. 0 or -errno (the set is
 * then empty). */
int hak_allowed_read(struct hak_cpu_set *set);

/* Leaves HAK_CPU_ALLOWED on the online CPUs of the set alone; where that would leave none (the set
 * is of another machine), on all online ones as before. */
void hak_allowed_restrict(struct hak_topology *topology, const struct hak_cpu_set *set);

#endif
