/* SPDX-License-Identifier: MIT */
/* The topology as /sys tells it; or as a folder tells it that was copied from the /sys of another
 * machine, so that a folder is a machine. One thread a description. */
#ifndef HAK_TOPOLOGY_FROM_SYSFS_H
#define HAK_TOPOLOGY_FROM_SYSFS_H

#include "topology/topology.h"

/* Fills a fresh description. `root` is a descriptor of the folder that holds "sys". No more files
 * are opened than the answer needs: five where one node and one L3 hold everything. 0 or -errno
 * (-ENOENT: no sysfs here); the description is then fresh no more. */
int hak_topology_from_sysfs(struct hak_topology *topology, int root,
                            enum hak_topology_detail detail);

#endif
