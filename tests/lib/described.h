/* SPDX-License-Identifier: MIT */
/*
 * described.h - a topology as text, with the shards that each mode cuts from it and whom they ask;
 * and the comparison of that text with tests/topologies/NAME.expect. With HAKMEM_TEST_RECORD=1 the
 * .expect files are written again, for review.
 *
 * For the main thread. Uses the C library freely: the code under test is below malloc.
 */
#ifndef HAK_TESTS_DESCRIBED_H
#define HAK_TESTS_DESCRIBED_H

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/print.h"
#include "tests/lib/machine.h"
#include "tests/lib/tap.h"
#include "topology/domains.h"
#include "topology/topology.h"

enum {
    DESCRIBED_BYTES = 64 * 1024,
    DESCRIBED_SHARDS = 16 /* of more than this many only some tell whom they ask */
};

static inline void described_put_topology(struct hak_writer *out,
                                          const struct hak_topology *topology)
{
    hak_put(out, "%u CPU ids, %u possible, %u online, %u allowed; %u nodes, %u packages, %u L3s\n",
            topology->cpu_ids, topology->possible, topology->online, topology->allowed,
            topology->nodes, topology->packages, topology->l3s);
    for (unsigned node = 0; node < topology->nodes; node++) {
        const struct hak_topology_node *entry = &topology->node[node];
        hak_put(out, "node %u: id %u, %u CPUs, %s, memory from %u, distances", node, entry->id,
                entry->cpus, entry->has_memory ? "memory" : "no memory",
                hak_topology_memory_node(topology, node));
        for (unsigned other = 0; other < topology->nodes; other++)
            hak_put(out, " %u", hak_topology_distance(topology, node, other));
        hak_put(out, "\n");
    }
    for (unsigned cpu = 0; cpu < topology->cpu_ids; cpu++) {
        const struct hak_topology_cpu *entry = &topology->cpu[cpu];
        if ((entry->state & HAK_CPU_ONLINE) != 0)
            hak_put(out, "cpu %u: node %u, package %u, L3 %u, core %u%s\n", cpu, entry->node,
                    entry->package, entry->l3, entry->core,
                    (entry->state & HAK_CPU_ALLOWED) != 0 ? "" : ", not allowed");
    }
}

/* The shard of each CPU id, including ids that do not exist. */
static inline void described_put_map(struct hak_writer *out, const struct hak_domains *domains)
{
    hak_put(out, "  map");
    for (unsigned cpu = 0; cpu < domains->cpu_ids; cpu++)
        hak_put(out, " %u", hak_domains_shard_of(domains, cpu, 0));
    hak_put(out, "\n");
}

static inline void described_put_asked(struct hak_writer *out, const struct hak_domains *domains)
{
    unsigned step = domains->shards > DESCRIBED_SHARDS ? domains->shards / 3 : 1;
    for (unsigned shard = 0; shard < domains->shards; shard += step) {
        hak_put(out, "  %u asks", shard);
        for (unsigned rank = 0; rank + 1 < domains->shards; rank++)
            hak_put(out, " %u", hak_domains_sibling(domains, shard, rank));
        hak_put(out, "\n");
    }
}

static inline void described_put_domains(struct hak_writer *out,
                                         const struct hak_topology *topology, const char *wish)
{
    struct hak_domain_request request;
    if (!EXPECT_EQ(hak_domains_parse(wish, &request), 0))
        return;
    const struct hak_domains *domains = hak_domains_build(topology, &request);
    if (!EXPECT(domains != NULL))
        return;
    hak_put(out, "shards %s -> %s:", wish, hak_domains_mode_name(domains->mode));
    for (unsigned shard = 0; shard < domains->shards; shard++) {
        hak_put(out, " [");
        hak_domains_put_cpus(out, domains, shard);
        hak_put(out, "]");
    }
    hak_put(out, "\n");
    if (domains->mode == HAK_DOMAIN_L3 || domains->mode == HAK_DOMAIN_CPU)
        described_put_map(out, domains);
    if (domains->shards > 1)
        described_put_asked(out, domains);
    hak_domains_free(domains);
}

/* Compares our description of the machine with the expected one. */
static inline void described_compare(const char *name, const struct hak_topology *topology)
{
    static const char *const wishes[] = {"auto", "single", "node", "l3", "package", "cpu", "3"};
    static char text[DESCRIBED_BYTES];
    static char wanted[DESCRIBED_BYTES];
    char path[PATH_MAX + 256];
    struct hak_writer out = hak_writer_to_buffer(text, sizeof(text));
    described_put_topology(&out, topology);
    for (unsigned i = 0; i < TAP_COUNT(wishes); i++)
        described_put_domains(&out, topology, wishes[i]);
    hak_writer_flush(&out);
    EXPECT_LE(out.total, sizeof(text) - 1);

    snprintf(path, sizeof(path), "%s/%s.expect", machine_folder(), name);
    int record = getenv("HAKMEM_TEST_RECORD") != NULL;
    FILE *file = fopen(path, record ? "w" : "r");
    if (!EXPECT(file != NULL)) {
        tap_note("%s cannot be opened", path);
        return;
    }
    if (record) {
        fputs(text, file);
    } else {
        wanted[fread(wanted, 1, sizeof(wanted) - 1, file)] = '\0';
        if (!EXPECT(strcmp(text, wanted) == 0))
            tap_note("%s is understood as\n%s", name, text);
    }
    fclose(file);
}

/* Calls `compare` for each file NAME.suffix of tests/topologies; how many there are. */
static inline unsigned described_for_each(const char *suffix, void (*compare)(const char *name))
{
    unsigned machines = 0;
    DIR *folder = opendir(machine_folder());
    if (!EXPECT(folder != NULL))
        return 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char *dot = strrchr(entry->d_name, '.');
        if (dot == NULL || strcmp(dot, suffix) != 0)
            continue;
        *dot = '\0';
        compare(entry->d_name);
        machines++;
    }
    closedir(folder);
    return machines;
}

#endif
