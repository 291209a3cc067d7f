/* SPDX-License-Identifier: MIT */
/* Placing: which shards serve, and whether fronts are kept per CPU. Any thread. */
#ifndef HAK_API_PLACING_H
#define HAK_API_PLACING_H

#include <stdbool.h>

#include "topology/domains.h"

/* Allows to place shards, after the options were read. Called by the starting thread. */
void hak_placing_allow(void);

/* Whether the shards may wait until the process has a second thread. */
bool hak_placing_may_wait(void);

/* Whether there are fronts per CPU instead of fronts per thread. */
bool hak_fronts_are_per_cpu(void);

/* Builds the shards that the options ask for, if that has waited until now. (Then the machine is
 * small, and no file is read.) The caller holds no lock. Returns true if this opened the fronts of
 * CPUs: the caller then gives up its own. */
bool hak_place_shards(void);

/* The same, but waits if another thread is placing: for calls that report or change the shards. */
bool hak_place_shards_and_wait(void);

/* In the child of a fork, where no other thread is placing shards. */
void hak_placing_after_fork(void);

/* Whether the machine is known and the heap's shards placed on it. */
bool hak_machine_was_placed(void);

/* Places the default heap's shards by the request. Returns 0 or -ENOMEM. Opens files. */
int hak_place(const struct hak_domain_request *request);

/* The same, on the nodes of HAKMEM_NODES only. */
int hak_place_by_options(struct hak_domain_request request);

/* Reads the machine again, and places the shards by the last request. Returns 0 or -ENOMEM. */
int hak_place_anew(void);

/* The same if a thread ran on a new CPU: one that was plugged in, or that a cpuset got later. Costs
 * one load if not. It opens files, so only the background thread calls it, which an option asked
 * for. Without that thread the shard of another CPU serves a new one until
 * hakmem_topology_refresh. */
void hak_place_new_cpus(void);

/* Why fronts are not what was asked for, in a few words; NULL if they are. */
const char *hak_fronts_why(void);

/* The request behind the shards that serve now. */
struct hak_domain_request hak_request_in_force(void);

#endif
