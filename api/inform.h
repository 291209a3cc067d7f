/* SPDX-License-Identifier: MIT */
/* What is told of ourselves: statistics at exit, the mode in force. */
#ifndef HAK_API_INFORM_H
#define HAK_API_INFORM_H

#include <stddef.h>

#include "topology/topology.h"

/* Keeps what of the machine is worth telling later. */
void hak_inform_topology(const struct hak_topology *topology);

/* HAKMEM_VERBOSE: tells on stderr what is in force. */
void hak_inform_start(void);

/* HAKMEM_STATS: the report on stderr. */
void hak_inform_exit(void);

#endif
