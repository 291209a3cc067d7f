/* SPDX-License-Identifier: MIT */
/* Which CPUs share a shard: from a topology and a request, the number of shards, the shard of each
 * CPU, the node of each shard, and the order in which it asks others for memory. One thread builds
 * it; then it is immutable and any thread reads it.
 *
 * Allowed CPUs are sorted in topology order: by node, package, L3, core, id. Shards are numbered in
 * that order too, so the shards of one L3, and of one node, are consecutive. The order of siblings
 * is arithmetic on ranges, and no table grows with the square of the shards. */
#ifndef HAK_TOPOLOGY_DOMAINS_H
#define HAK_TOPOLOGY_DOMAINS_H

#include <stdint.h>

#include "topology/topology.h"

enum {
    HAK_DOMAINS_MAX_SHARDS = 4096,
    HAK_DOMAINS_AUTO_CPUS = 8, /* up to this many CPUs `auto` means one shard for each */
};

enum hak_domain_mode {
    HAK_DOMAIN_AUTO,   /* CPU up to HAK_DOMAINS_AUTO_CPUS, else L3 if several, else NODE */
    HAK_DOMAIN_SINGLE, /* one */
    HAK_DOMAIN_NODE,   /* one for each node with allowed CPUs; the same below */
    HAK_DOMAIN_L3,
    HAK_DOMAIN_PACKAGE,
    HAK_DOMAIN_CPU,   /* one for each allowed CPU */
    HAK_DOMAIN_COUNT, /* a given number, each of neighbouring CPUs */
};

struct hak_domain_request {
    enum hak_domain_mode mode;
    unsigned count;           /* for COUNT: 1 to HAK_DOMAINS_MAX_SHARDS */
    struct hak_cpu_set cpus;  /* CPUs that get shards, others use these; empty: all allowed */
    struct hak_cpu_set nodes; /* the same, by the kernel's ids of their nodes */
};

/* Reads "auto", "single" or "one", "node", "l3", "package", "cpu", or a number; a colon and a
 * non-empty list of CPUs may follow: "cpu:0-15,32-47". 0, or -EINVAL with the request untouched. */
int hak_domains_parse(const char *text, struct hak_domain_request *request);

/* 1: both ask for the same. */
int hak_domains_requests_are_equal(const struct hak_domain_request *a,
                                   const struct hak_domain_request *b);

/* The name of a mode; "count" for COUNT. */
const char *hak_domains_mode_name(enum hak_domain_mode mode);

/* The detail of the topology that the request needs. */
enum hak_topology_detail hak_domains_detail(const struct hak_domain_request *request);

struct hak_domain_cpu {
    uint16_t shard; /* the first (mostly the only) shard of the CPU */
    uint16_t share; /* number of its shards: 1, or more if COUNT exceeds the CPUs */
    uint16_t known; /* 1: the process could use it when the topology was read */
    uint16_t place; /* index among the CPUs of its shard */
};

struct hak_domain_shard {
    uint16_t node;      /* index in the topology of its first CPU's node */
    uint16_t l3;        /* the same for its L3 */
    uint16_t node_id;   /* the kernel's id of that node */
    uint16_t memory_id; /* id of the nearest node with memory, mostly the same: bind to it */
    uint16_t first_cpu; /* place of its first CPU in `order` */
    uint16_t cpus;      /* number of its CPUs there; shared if `threads_share` */
    uint16_t spans;     /* 1: its CPUs are on several nodes, so it has no node of its own */
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
    unsigned threads_share;    /* 0; or the count if it exceeds the allowed CPUs: the threads of a
                                  CPU then spread over its shards by their ordinals */
    unsigned nodes;
    unsigned imagined;                                /* as in the topology */
    unsigned cpus;                                    /* entries of `order` */
    struct hak_domain_cpu cpu[HAK_TOPOLOGY_MAX_CPUS]; /* by id, unknown ones too */
    struct hak_domain_shard shard[HAK_DOMAINS_MAX_SHARDS];
    uint16_t order[HAK_TOPOLOGY_MAX_CPUS];                   /* allowed CPUs */
    struct hak_domain_range l3_range[HAK_TOPOLOGY_MAX_CPUS]; /* by L3: its shards */
    struct hak_domain_range node_range[HAK_TOPOLOGY_MAX_NODES];
    /* by node: the other nodes with shards, nearest first, ties starting after the node itself */
    uint16_t other_node[HAK_TOPOLOGY_MAX_NODES][HAK_TOPOLOGY_MAX_NODES];
};

/* Returns mapped memory; NULL without memory. The topology may be freed afterwards. */
const struct hak_domains *hak_domains_build(const struct hak_topology *topology,
                                            const struct hak_domain_request *request);
void hak_domains_free(const struct hak_domains *domains);

/* 1: all CPUs, shards and distances are the same in both. */
int hak_domains_are_equal(const struct hak_domains *a, const struct hak_domains *b);

/* The shard for a thread that runs on `cpu` and is the process's thread number `sequence`. Any
 * `cpu` is valid, even one that came later or an id that was misread. */
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

/* The index of a CPU (any number) among those of its shard. */
static inline unsigned hak_domains_place_of(const struct hak_domains *domains, unsigned cpu)
{
    return domains->cpu[hak_likely(cpu < domains->cpu_ids) ? cpu : cpu % domains->cpu_ids].place;
}

/* 1: a thread runs on a CPU that the process could not use when the topology was read: it was
 * plugged in since, or the cpuset grew. An imagined machine has no new CPUs. */
static inline int hak_domains_is_new_cpu(const struct hak_domains *domains, unsigned cpu)
{
    if (domains->imagined || cpu >= HAK_TOPOLOGY_MAX_CPUS)
        return 0;
    return cpu >= domains->cpu_ids || !domains->cpu[cpu].known;
}

/* The shard that a shard without memory asks `rank`-th (0 .. shards - 2): first those of its L3,
 * then of its node, then of other nodes by distance. Among equals the next in number is first, so
 * that not all shards ask shard 0. Returns the shard itself for a rank beyond the last. */
unsigned hak_domains_sibling(const struct hak_domains *domains, unsigned shard, unsigned rank);

/* How many ranks are on the same L3, and how many on the same node (including the L3). */
unsigned hak_domains_l3_siblings(const struct hak_domains *domains, unsigned shard);
unsigned hak_domains_node_siblings(const struct hak_domains *domains, unsigned shard);

/* Writes a shard's CPUs as a list. */
void hak_domains_put_cpus(struct hak_writer *writer, const struct hak_domains *domains,
                          unsigned shard);

#endif
