/* SPDX-License-Identifier: MIT */
/* The topology as hwloc tells it: of this machine, of one made up from a line of text, or of one
 * recorded in a file. hwloc is loaded when this is asked and unloaded after: no process pays for it
 * that did not ask.
 *
 * hwloc calls malloc, opens files, loads its plugins and is steered by HWLOC_ variables: call this
 * from one thread, under no lock, with the environment that hwloc is meant to see. */
#ifndef HAK_TOPOLOGY_FROM_HWLOC_H
#define HAK_TOPOLOGY_FROM_HWLOC_H

#include "topology/topology.h"
#include "topology/wish.h"

/* Fills a fresh description, cores too; `imagined` is set if hwloc says that it is not of this
 * machine. 0; -ENOENT: no hwloc 2 can be loaded here; -EINVAL: it does not understand what was
 * wished for; -E2BIG: that is beyond bounds (hwloc_text.h), and hwloc was not asked; the
 * description is then fresh no more. */
int hak_topology_from_hwloc(struct hak_topology *topology, const struct hak_wish *wish);

#endif
