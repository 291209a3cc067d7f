/* SPDX-License-Identifier: MIT */
/* Placing: which shards there are, and where. Any thread. */
#ifndef HAK_HEAP_PLACE_H
#define HAK_HEAP_PLACE_H

#include <stdbool.h>

#include "heap/heap.h"
#include "topology/topology.h"

/* Second stage, and re-sharding: shards as the request says, on a machine like the topology. Shards
 * that stood already are used again; what lies in caches of those no longer needed goes to slabs.
 * Any thread, not from inside malloc or free. 0 or -ENOMEM (then all stays as it was). */
int hak_heap_place(struct hak_heap *heap, const struct hak_topology *topology,
                   const struct hak_domain_request *request);

/* The same after the machine may have changed (CPUs plugged in, a cpuset cut anew): what was built
 * before is used again only where it would be built like that now. Where nothing changed the shards
 * stay; what lies in CPU fronts goes to slabs in any case, for a CPU may have gone. Like a trim,
 * but a thread's start may call it, too, for it holds no lock. */
int hak_heap_refresh(struct hak_heap *heap, const struct hak_topology *topology,
                     const struct hak_domain_request *request);

/* Takes note of the CPU that a thread runs on, if the map does not know it; from slow paths,
 * now and then. */
void hak_heap_meet_cpu(struct hak_heap *heap, unsigned cpu);

/* Whether such a CPU was met since the last call; then `cpus` are those that the map knows and
 * those that were met. Each is told once for each map: a look at the machine may not find it, and
 * must not be repeated for ever. */
bool hak_heap_take_new_cpus(struct hak_heap *heap, struct hak_cpu_set *cpus);

#endif
