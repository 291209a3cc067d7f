/* SPDX-License-Identifier: MIT */
/* The topology from hwloc: of this machine, of one made up from a line of text, or of one recorded
 * in a file. hwloc is loaded for the question and unloaded after it, so no other process pays for
 * it.
 *
 * hwloc calls malloc, opens files, loads its plugins and obeys HWLOC_ variables: call this from one
 * thread, under no lock, with the environment that hwloc is meant to see. */
#ifndef HAK_TOPOLOGY_FROM_HWLOC_H
#define HAK_TOPOLOGY_FROM_HWLOC_H

#include "topology/topology.h"
#include "topology/wish.h"

/* Fills a fresh description, with cores; sets `imagined` if hwloc says that it is not of this
 * machine. 0; -ENOENT: no hwloc 2 can be loaded here; -EINVAL: hwloc does not understand the
 * request; -E2BIG: the request exceeds the bounds (hwloc_text.h), and hwloc was not asked. After an
 * error the description is no longer fresh. */
int hak_topology_from_hwloc(struct hak_topology *topology, const struct hak_wish *wish);

#endif
