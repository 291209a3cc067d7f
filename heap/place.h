/* SPDX-License-Identifier: MIT */
/* Placing: which shards there are, and where. Any thread. */
#ifndef HAK_HEAP_PLACE_H
#define HAK_HEAP_PLACE_H

#include <stdbool.h>

#include "heap/heap.h"
#include "topology/topology.h"

/* Second stage of the start, and re-sharding: makes shards as the request says, for the machine
 * that the topology describes. Existing shards are used again; those that are no longer needed are
 * drained to slabs. Any thread, not from inside malloc or free. 0 or -ENOMEM (then all stays as it
 * was). */
int hak_heap_place(struct hak_heap *heap, const struct hak_topology *topology,
                   const struct hak_domain_request *request);

/* The same after the machine may have changed (CPUs plugged in, another cpuset). An earlier map is
 * used again only if it would be built like that now. If nothing changed, the shards stay as they
 * are. Objects in CPU fronts go to slabs in any case, for a CPU may have gone. Like a trim; but a
 * thread's start may call it, because it holds no lock. */
int hak_heap_refresh(struct hak_heap *heap, const struct hak_topology *topology,
                     const struct hak_domain_request *request);

/* Notes the CPU that a thread runs on, if the map does not know it. From slow paths, now and
 * then. */
void hak_heap_meet_cpu(struct hak_heap *heap, unsigned cpu);

/* Whether a thread met such a CPU since the last call; then `cpus` are those that the map knows and
 * those that were met. Each is reported once for each map: reading the machine may not find it, and
 * must not be repeated for ever. */
bool hak_heap_take_new_cpus(struct hak_heap *heap, struct hak_cpu_set *cpus);

#endif
