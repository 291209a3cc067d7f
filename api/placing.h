/* SPDX-License-Identifier: MIT */
/* Placing: which shards serve, and whether fronts are kept per CPU. Any thread. */
#ifndef HAK_API_PLACING_H
#define HAK_API_PLACING_H

#include <stdbool.h>

#include "topology/domains.h"

/* The options are known: shards may be placed. By the starting thread. */
void hak_placing_allow(void);

/* Whether the shards may wait until the process has a second thread. */
bool hak_placing_may_wait(void);

/* Whether CPUs have the fronts. */
bool hak_fronts_are_per_cpu(void);

/* Builds the shards that the options ask for, if that has been put off until now: then the machine
 * is small, and nothing is read. Under no lock. True: that opened CPU fronts, so the caller's own
 * is to be given up. */
bool hak_place_shards(void);

/* The same, and waits where another thread is about it: for what tells or changes the shards. */
bool hak_place_shards_and_wait(void);

/* The child of a fork: nobody else is placing shards. */
void hak_placing_after_fork(void);

/* Whether the machine is known and the heap's shards placed on it. */
int hak_machine_was_placed(void);

/* Places the default heap's shards as the request says; 0 or -ENOMEM. Opens files. */
int hak_place(const struct hak_domain_request *request);

/* The same within the nodes that HAKMEM_NODES names. */
int hak_place_by_options(struct hak_domain_request request);

/* Looks at the machine again and places the shards as they were asked for last. Likewise. */
int hak_place_anew(void);

/* The same if a thread was met on a CPU that the shards were not placed for: it was plugged in, or
 * a cpuset was widened. Costs one load if not. Opens files: by the background thread alone, which
 * somebody asked for. Without it such a CPU is served by the shard of another until
 * hakmem_topology_refresh. */
void hak_place_new_cpus(void);

/* Why fronts are not what was asked for, in a few words; NULL if they are. */
const char *hak_fronts_why(void);

/* The request behind the shards that serve now. */
struct hak_domain_request hak_request_in_force(void);

#endif
