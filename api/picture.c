/* SPDX-License-Identifier: MIT */
/* The machine as the allocator sees it: hakmem_topology_print, in text and JSON. */
#include "config.h"

#include <errno.h>
#include <stddef.h>

#include "api/machine.h"
#include "api/malloc_slow.h"
#include "api/placing.h"
#include "api/threads.h"
#include "api/wake.h"
#include "hakmem.h"
#include "os/print.h"
#include "topology/domains.h"
#include "topology/topology.h"

struct picture {
    const struct hak_topology *topology;
    const struct hak_domains *domains;
};

/* ---- text ----------------------------------------------------------------------------------- */

static void put_run(struct hak_writer *writer, const char *before, unsigned first, unsigned last)
{
    hak_put(writer, "%s%u", before, first);
    if (last == first + 1)
        hak_put(writer, " %u", last);
    else if (last != first)
        hak_put(writer, "-%u", last);
}

/* The shards that a shard asks, in order: "1 2-3 | 4-7 | 8-15". Bars separate those of its L3, of
 * its node and of other nodes. Writes nothing if there is only one shard. */
static void put_asked(const struct picture *picture, unsigned shard, struct hak_writer *writer)
{
    const struct hak_domains *domains = picture->domains;
    unsigned in_l3 = hak_domains_l3_siblings(domains, shard);
    unsigned in_node = hak_domains_node_siblings(domains, shard);
    const char *before = "";
    for (unsigned rank = 0; rank + 1 < domains->shards;) {
        unsigned first = hak_domains_sibling(domains, shard, rank);
        unsigned last = first;
        if (rank != 0)
            before = rank == in_l3 || rank == in_node ? " | " : " ";
        for (rank++; rank + 1 < domains->shards && rank != in_l3 && rank != in_node; rank++) {
            if (hak_domains_sibling(domains, shard, rank) != last + 1)
                break;
            last++;
        }
        put_run(writer, before, first, last);
    }
}

static void put_l3_cpus(const struct hak_topology *topology, unsigned l3, struct hak_writer *writer)
{
    struct hak_cpu_set set = {0};
    for (unsigned cpu = 0; cpu < topology->cpu_ids; cpu++) {
        if ((topology->cpu[cpu].state & HAK_CPU_ONLINE) != 0 && topology->cpu[cpu].l3 == l3)
            hak_cpu_set_add(&set, cpu);
    }
    hak_cpu_set_put(writer, &set);
}

/* The lowest CPU of an L3, whose node and package are the L3's. */
static const struct hak_topology_cpu *place_of_l3(const struct hak_topology *topology, unsigned l3)
{
    unsigned cpu = 0;
    while (cpu + 1 < topology->cpu_ids &&
           ((topology->cpu[cpu].state & HAK_CPU_ONLINE) == 0 || topology->cpu[cpu].l3 != l3))
        cpu++;
    return &topology->cpu[cpu];
}

static void put_node_text(const struct hak_topology *topology, unsigned node,
                          struct hak_writer *writer)
{
    const struct hak_topology_node *entry = &topology->node[node];
    hak_put(writer, "node %u: %u CPUs", entry->id, entry->cpus);
    if (!entry->has_memory)
        hak_put(writer, ", no memory (node %u's is used)",
                topology->node[hak_topology_memory_node(topology, node)].id);
    hak_put(writer, "; distances");
    for (unsigned other = 0; other < topology->nodes; other++)
        hak_put(writer, " %u", hak_topology_distance(topology, node, other));
    hak_put(writer, "\n");
    for (unsigned l3 = 0; l3 < topology->l3s; l3++) {
        const struct hak_topology_cpu *place = place_of_l3(topology, l3);
        if (place->node != node)
            continue;
        hak_put(writer, "  L3 %u (package %u): CPUs ", l3, place->package);
        put_l3_cpus(topology, l3, writer);
        hak_put(writer, "\n");
    }
}

static void put_text(const struct picture *picture, struct hak_writer *writer)
{
    const struct hak_topology *topology = picture->topology;
    const struct hak_domains *domains = picture->domains;
    hak_put(writer, "machine from %s%s: ", topology->source,
            topology->imagined ? " (not this one)" : "");
    hak_put(writer, "%u nodes, %u packages, %u L3s, %u CPUs online, %u allowed\n", topology->nodes,
            topology->packages, topology->l3s, topology->online, topology->allowed);
    for (unsigned node = 0; node < topology->nodes; node++)
        put_node_text(topology, node, writer);
    hak_put(writer, "%u shards by %s; each asks those of its L3 | of its node | of other nodes\n",
            domains->shards, hak_domains_mode_name(domains->mode));
    for (unsigned shard = 0; shard < domains->shards; shard++) {
        hak_put(writer, "  shard %u: node %u, L3 %u, CPUs ", shard, domains->shard[shard].node_id,
                domains->shard[shard].l3);
        hak_domains_put_cpus(writer, domains, shard);
        if (domains->shards > 1)
            hak_put(writer, "; asks ");
        put_asked(picture, shard, writer);
        hak_put(writer, "\n");
    }
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static void put_nodes_json(const struct hak_topology *topology, struct hak_writer *writer)
{
    hak_put(writer, ",\"nodes\":[");
    for (unsigned node = 0; node < topology->nodes; node++) {
        const struct hak_topology_node *entry = &topology->node[node];
        hak_put(writer, "%s{\"id\":%u,\"cpus\":%u,\"has_memory\":%s,\"distances\":[",
                node == 0 ? "" : ",", entry->id, entry->cpus, entry->has_memory ? "true" : "false");
        for (unsigned other = 0; other < topology->nodes; other++)
            hak_put(writer, "%s%u", other == 0 ? "" : ",",
                    hak_topology_distance(topology, node, other));
        hak_put(writer, "]}");
    }
    hak_put(writer, "]");
}

static void put_cpus_json(const struct picture *picture, struct hak_writer *writer)
{
    const struct hak_topology *topology = picture->topology;
    const char *comma = "";
    hak_put(writer, ",\"cpus\":[");
    for (unsigned cpu = 0; cpu < topology->cpu_ids; cpu++) {
        const struct hak_topology_cpu *entry = &topology->cpu[cpu];
        if ((entry->state & HAK_CPU_ONLINE) == 0)
            continue;
        hak_put(writer,
                "%s{\"id\":%u,\"node\":%u,\"package\":%u,\"l3\":%u,\"allowed\":%s,\"shard\":%u}",
                comma, cpu, topology->node[entry->node].id, entry->package, entry->l3,
                (entry->state & HAK_CPU_ALLOWED) != 0 ? "true" : "false",
                hak_domains_shard_of(picture->domains, cpu, 0));
        comma = ",";
    }
    hak_put(writer, "]");
}

static void put_json(const struct picture *picture, struct hak_writer *writer)
{
    const struct hak_topology *topology = picture->topology;
    const struct hak_domains *domains = picture->domains;
    hak_put(writer, "{\"version\":\"%s\",\"source\":\"%s\",\"imagined\":%s,\"by\":\"%s\"",
            PACKAGE_VERSION, topology->source, topology->imagined ? "true" : "false",
            hak_domains_mode_name(domains->mode));
    put_nodes_json(topology, writer);
    put_cpus_json(picture, writer);
    hak_put(writer, ",\"shards\":[");
    for (unsigned shard = 0; shard < domains->shards; shard++) {
        hak_put(writer, "%s{\"shard\":%u,\"node\":%u,\"memory_node\":%u,\"l3\":%u,\"cpus\":\"",
                shard == 0 ? "" : ",", shard, domains->shard[shard].node_id,
                domains->shard[shard].memory_id, domains->shard[shard].l3);
        hak_domains_put_cpus(writer, domains, shard);
        hak_put(writer, "\",\"asks\":[");
        for (unsigned rank = 0; rank + 1 < domains->shards; rank++)
            hak_put(writer, "%s%u", rank == 0 ? "" : ",",
                    hak_domains_sibling(domains, shard, rank));
        hak_put(writer, "]}");
    }
    hak_put(writer, "]}\n");
}

/* ---- the call ------------------------------------------------------------------------------- */

int hakmem_topology_print(int fd, enum hakmem_format format)
{
    hak_start();
    hak_thread_place_shards_and_wait();
    struct hak_domain_request request = hak_request_in_force();
    const struct hak_topology *topology = hak_machine_get(HAK_DETAIL_CORES, NULL);
    const struct hak_domains *domains =
        topology != NULL ? hak_domains_build(topology, &request) : NULL;
    if (domains != NULL) {
        char buffer[4096];
        struct hak_writer writer = hak_writer_to_fd(fd, buffer, sizeof buffer);
        const struct picture picture = {topology, domains};
        if (format == HAKMEM_JSON)
            put_json(&picture, &writer);
        else
            put_text(&picture, &writer);
        hak_writer_flush(&writer);
    }
    bool is_printed = domains != NULL;
    hak_domains_free(domains);
    hak_machine_put(topology);
    if (is_printed)
        return 0;
    errno = ENOMEM;
    return -1;
}
