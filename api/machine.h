/* SPDX-License-Identifier: MIT */
/* The machine that HAKMEM_TOPOLOGY asks for: read once through hwloc and kept, or read from sysfs
 * each time it is asked for. */
#ifndef HAK_API_MACHINE_H
#define HAK_API_MACHINE_H

#include "topology/topology.h"

/* Reads what only hwloc can tell, if an option asks for that; complains on stderr in one line where
 * it cannot. By the constructor alone, while the process has one thread, for hwloc must not see
 * the environment; errno is left as it was. */
void hak_machine_start(void);

/* Whether a machine was read by hak_machine_start, so that placing shards costs nothing more. */
int hak_machine_is_kept(void);

/* The description, or NULL without memory; to be put back. `also`: CPUs that the process may use
 * beside those of the calling thread, or NULL. Any thread, under no lock: may open files. */
const struct hak_topology *hak_machine_get(enum hak_topology_detail detail,
                                           const struct hak_cpu_set *also);
void hak_machine_put(const struct hak_topology *topology);

/* What was read of this machine through hwloc is no longer true: from here on sysfs is asked. An
 * imagined machine does not change. Any thread. */
void hak_machine_forget(void);

#endif
