/* SPDX-License-Identifier: MIT */
/* The topology from /sys, or from a folder that holds a copy of another machine's /sys. One thread
 * a description. */
#ifndef HAK_TOPOLOGY_FROM_SYSFS_H
#define HAK_TOPOLOGY_FROM_SYSFS_H

#include "topology/topology.h"

/* Fills a fresh description. `root` is a descriptor of the folder that holds "sys". Opens only the
 * files that are needed: five where one node and one L3 hold all CPUs. 0 or -errno (-ENOENT: no
 * sysfs here); after an error the description is not fresh. */
int hak_topology_from_sysfs(struct hak_topology *topology, int root,
                            enum hak_topology_detail detail);

/* The kernel's id of the only online node; 0 if sysfs has no nodes; -1 if there are several or they
 * are unknown. Opens one file. */
int hak_topology_only_node_of_sysfs(int root);

#endif
