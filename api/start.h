/* SPDX-License-Identifier: MIT */
/* Waking up: the process, and each thread in it. Any thread. */
#ifndef HAK_API_START_H
#define HAK_API_START_H

#include "api/malloc.h"
#include "api/vfork.h"
#include "front/front_cpu.h"
#include "os/compiler.h"
#include "topology/domains.h"

enum hak_thread_state {
    HAK_THREAD_NEW,         /* never called us */
    HAK_THREAD_STARTING,    /* its front is being made, which may call us again */
    HAK_THREAD_UNBOUND,     /* it has one, but there was no key yet to give it back at its end */
    HAK_THREAD_RUNNING,
    HAK_THREAD_ENDING,      /* its destructors run; one more round of them is to come */
    HAK_THREAD_ENDED,       /* its front has been given back: no new one */
};

extern HAK_HIDDEN HAK_TLS unsigned char hak_thread_state;

/* Makes the calling thread's front, if that may be done now, or sees to it that it is given back;
 * where fronts are kept per CPU, makes the thread known to RCU, and returns NULL. */
HAK_COLD struct hak_front *hak_thread_start(void);

/* The calling thread's front, made now if need be; NULL where none may be used. */
static inline struct hak_front *hak_thread_front(void)
{
    unsigned char state = hak_thread_state;
    if (hak_unlikely(hak_front_mine == &hak_front_apart))
        return NULL;
    if (hak_unlikely(state == HAK_THREAD_NEW || state == HAK_THREAD_UNBOUND))
        return hak_thread_start();
    return hak_front_of_thread();
}

/* The same also where fronts are kept per CPU: the thread is then served by its own from now
 * on; and back to the CPU's, where there are such. */
struct hak_front *hak_thread_own_front(void);
void hak_thread_drop_own_front(void);

/* Builds the shards that the options ask for, if that has been put off until now: then the machine
 * is small, and nothing is read. Under no lock. */
void hak_place_shards(void);

/* The same, and waits where another thread is about it: for what tells or changes the shards. */
void hak_place_shards_and_wait(void);

/* The child of a fork: nobody else is placing shards. */
void hak_start_after_fork(void);

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

/* Whether the slow halves of the CPU's front may be entered by this thread: not while it is being
 * made known, since that may call malloc from within, nor while it has a child by vfork. */
static inline int hak_thread_may_use_cpu_front(void)
{
    return hak_cpu_fronts_open() && hak_thread_state != HAK_THREAD_STARTING &&
           hak_front_mine != &hak_front_apart;
}

#endif
