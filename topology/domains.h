/* SPDX-License-Identifier: MIT */
/* Which CPUs share a shard: from a topology and a wish, how many shards there are, which one a CPU
 * uses, on which node each lives, and whom it asks for help in which order. Built once by one
 * thread, immutable and read by any thread thereafter.
 *
 * Allowed CPUs are put in topology order: by node, package, L3, core, id. Shards are numbered in
 * that order too, so those of one L3, and those of one node, are neighbours in number: the order of
 * siblings is arithmetic on ranges, and no table grows with the square of the shards. */
#ifndef HAK_TOPOLOGY_DOMAINS_H
#define HAK_TOPOLOGY_DOMAINS_H

#include <stdint.h>

#include "topology/topology.h"

enum {
    HAK_DOMAINS_MAX_SHARDS = 4096,
    HAK_DOMAINS_AUTO_CPUS = 8, /* to so many CPUs `auto` means one shard each */
};

enum hak_domain_mode {
    HAK_DOMAIN_AUTO,   /* CPU up to so many CPUs, else L3 if there are several, else NODE */
    HAK_DOMAIN_SINGLE, /* one */
    HAK_DOMAIN_NODE,   /* one for each node that has allowed CPUs; likewise below */
    HAK_DOMAIN_L3,
    HAK_DOMAIN_PACKAGE,
    HAK_DOMAIN_CPU,   /* one for each allowed CPU */
    HAK_DOMAIN_COUNT, /* so many, of neighbouring CPUs */
};

struct hak_domain_request {
    enum hak_domain_mode mode;
    unsigned count;           /* for COUNT: 1 to HAK_DOMAINS_MAX_SHARDS */
    struct hak_cpu_set cpus;  /* that get shards, others use theirs; empty: all allowed ones */
    struct hak_cpu_set nodes; /* likewise: CPUs of these, by the kernel's ids */
};

/* Reads "auto", "single" or "one", "node", "l3", "package", "cpu", or a number; each may be
 * followed by a colon and a list of CPUs, not an empty one: "cpu:0-15,32-47". 0 or -EINVAL (the
 * request is then untouched). */
int hak_domains_parse(const char *text, struct hak_domain_request *request);

/* 1: the same is asked for. */
int hak_domains_requests_are_equal(const struct hak_domain_request *a,
                                   const struct hak_domain_request *b);

/* The word for a mode; "count" for COUNT. */
const char *hak_domains_mode_name(enum hak_domain_mode mode);

/* What must be known of the machine to serve the request. */
enum hak_topology_detail hak_domains_detail(const struct hak_domain_request *request);

struct hak_domain_cpu {
    uint16_t shard; /* the first (mostly the only) shard of the CPU */
    uint16_t share; /* how many shards it has: 1, more if COUNT asked for more than CPUs */
    uint16_t known; /* 1: the process might use it when the machine was looked at */
    uint16_t place; /* among the CPUs of its shard, from 0 on */
};

struct hak_domain_shard {
    uint16_t node;      /* index in the topology: of its first CPU */
    uint16_t l3;        /* likewise */
    uint16_t node_id;   /* the kernel's id of that node */
    uint16_t memory_id; /* that of the nearest node with memory, mostly the same: to be bound to */
    uint16_t first_cpu; /* place of its first CPU in `order` */
    uint16_t cpus;      /* how many follow one another there; shared if `threads_share` */
    uint16_t spans;     /* 1: its CPUs are of several nodes, so that none is its own */
};

/* Shards first, first + 1, ... first + count - 1. */
struct hak_domain_range {
    uint16_t first;
    uint16_t count;
};

struct hak_domains {
    enum hak_domain_mode mode; /* in force: never AUTO */
    unsigned shards;           /* at least 1 */
    unsigned cpu_ids;          /* entries of `cpu` */
    unsigned threads_share;    /* 0; or the count, if it is more than CPUs are allowed: then the
                                  threads of a CPU spread over its shards by their numbers */
    unsigned nodes;
    unsigned imagined;         /* as in the topology */
    unsigned cpus;                                    /* entries of `order` */
    struct hak_domain_cpu cpu[HAK_TOPOLOGY_MAX_CPUS]; /* by id, unknown ones too */
    struct hak_domain_shard shard[HAK_DOMAINS_MAX_SHARDS];
    uint16_t order[HAK_TOPOLOGY_MAX_CPUS];                   /* allowed CPUs */
    struct hak_domain_range l3_range[HAK_TOPOLOGY_MAX_CPUS]; /* by L3: its shards */
    struct hak_domain_range node_range[HAK_TOPOLOGY_MAX_NODES];
    /* by node: the others that have shards, nearest first, ties beginning after the node itself */
    uint16_t other_node[HAK_TOPOLOGY_MAX_NODES][HAK_TOPOLOGY_MAX_NODES];
};

/* In mapped memory; NULL without memory. The topology may go afterwards. */
const struct hak_domains *hak_domains_build(const struct hak_topology *topology,
                                            const struct hak_domain_request *request);
void hak_domains_free(const struct hak_domains *domains);

/* 1: each CPU, shard and distance is the same in both. */
int hak_domains_are_equal(const struct hak_domains *a, const struct hak_domains *b);

/* The shard for a thread that runs on `cpu` (any number: a CPU that came later, or an id that was
 * misread, gets one too) and is the process' thread number `sequence`. */
static inline unsigned hak_domains_shard_of(const struct hak_domains *domains, unsigned cpu,
                                            unsigned sequence)
{
    if (hak_unlikely(cpu >= domains->cpu_ids))
        cpu %= domains->cpu_ids;
    const struct hak_domain_cpu *entry = &domains->cpu[cpu];
    if (hak_likely(domains->threads_share == 0))
        return entry->shard;
    return entry->shard + sequence % entry->share;
}

/* Where a CPU (any number) stands among those of its shard. */
static inline unsigned hak_domains_place_of(const struct hak_domains *domains, unsigned cpu)
{
    return domains->cpu[hak_likely(cpu < domains->cpu_ids) ? cpu : cpu % domains->cpu_ids].place;
}

/* 1: a CPU that a thread runs on, but that could not be used when the machine was looked at: it was
 * plugged in since, or the process was let onto it. An imagined machine has no news. */
static inline int hak_domains_is_new_cpu(const struct hak_domains *domains, unsigned cpu)
{
    if (domains->imagined || cpu >= HAK_TOPOLOGY_MAX_CPUS)
        return 0;
    return cpu >= domains->cpu_ids || !domains->cpu[cpu].known;
}

/* The shard to be asked `rank`-th (0 .. shards - 2) by a shard that is out of memory: those of its
 * L3, then those of its node, then of other nodes by distance. Equals are asked beginning with the
 * next in number, so that not all press upon shard 0. Itself for a rank beyond the last. */
unsigned hak_domains_sibling(const struct hak_domains *domains, unsigned shard, unsigned rank);

/* How many ranks lie on the same L3, and how many on the same node (those included). */
unsigned hak_domains_l3_siblings(const struct hak_domains *domains, unsigned shard);
unsigned hak_domains_node_siblings(const struct hak_domains *domains, unsigned shard);

/* Writes a shard's CPUs as a list. */
void hak_domains_put_cpus(struct hak_writer *writer, const struct hak_domains *domains,
                          unsigned shard);

#endif
