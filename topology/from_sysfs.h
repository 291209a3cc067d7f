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

/* The kernel's id of the only node that is online; 0 where sysfs knows of none; -1 where there are
 * several, or that cannot be told. One file. */
int hak_topology_only_node_of_sysfs(int root);

#endif
