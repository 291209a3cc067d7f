/* SPDX-License-Identifier: MIT */
/* Fills the gaps of a description that a way of discovery began, and answers questions about a
 * finished one. One thread builds; any thread asks. */
#include "topology/topology.h"

#include <errno.h>
#include <stddef.h>

#include "os/bits.h"
#include "os/memory.h"

static size_t mapped_size(void)
{
    return hak_align_up(sizeof(struct hak_topology), hak_os_page_size());
}

struct hak_topology *hak_topology_map(void)
{
    return hak_os_map(mapped_size(), hak_os_page_size());
}

void hak_topology_unmap(const struct hak_topology *topology)
{
    if (topology != NULL)
        hak_os_unmap((void *)topology, mapped_size());
}

static int is_online(const struct hak_topology *topology, unsigned cpu)
{
    return (topology->cpu[cpu].state & HAK_CPU_ONLINE) != 0;
}

void hak_topology_begin(struct hak_topology *topology, const struct hak_cpu_set *possible,
                        const struct hak_cpu_set *online)
{
    topology->cpu_ids = 1;
    for (unsigned cpu = 0; cpu < HAK_TOPOLOGY_MAX_CPUS; cpu++) {
        unsigned next_possible = hak_cpu_set_next(possible, cpu);
        unsigned next_online = hak_cpu_set_next(online, cpu);
        cpu = next_possible < next_online ? next_possible : next_online;
        if (cpu == HAK_TOPOLOGY_MAX_CPUS)
            return;
        struct hak_topology_cpu *entry = &topology->cpu[cpu];
        *entry = (struct hak_topology_cpu){HAK_TOPOLOGY_UNKNOWN, HAK_TOPOLOGY_UNKNOWN,
                                           HAK_TOPOLOGY_UNKNOWN, (uint16_t)cpu, HAK_CPU_POSSIBLE};
        topology->cpu_ids = cpu + 1;
        topology->possible++;
        if (cpu != next_online)
            continue;
        entry->state |= HAK_CPU_ONLINE | HAK_CPU_ALLOWED;
        topology->online++;
        topology->allowed++;
    }
}

/* A CPU without a package joins that of its L3's other CPUs, else a package of its node. */
static void fill_packages(struct hak_topology *topology)
{
    for (unsigned cpu = 0; cpu < topology->cpu_ids; cpu++) {
        struct hak_topology_cpu *entry = &topology->cpu[cpu];
        if (!is_online(topology, cpu) || entry->package != HAK_TOPOLOGY_UNKNOWN)
            continue;
        for (unsigned other = 0; other < topology->cpu_ids; other++) {
            const struct hak_topology_cpu *near = &topology->cpu[other];
            int same = entry->l3 != HAK_TOPOLOGY_UNKNOWN ? near->l3 == entry->l3
                                                         : near->node == entry->node;
            if (is_online(topology, other) && same && near->package != HAK_TOPOLOGY_UNKNOWN) {
                entry->package = near->package;
                break;
            }
        }
        if (entry->package == HAK_TOPOLOGY_UNKNOWN) /* a new label, above all CPU ids */
            entry->package = HAK_TOPOLOGY_MAX_CPUS + (entry->node & 0xff);
    }
}

/* A CPU without a node joins that of its L3's or package's other CPUs, else the first. */
static void fill_nodes(struct hak_topology *topology)
{
    for (unsigned cpu = 0; cpu < topology->cpu_ids; cpu++) {
        struct hak_topology_cpu *entry = &topology->cpu[cpu];
        if (!is_online(topology, cpu) || entry->node < topology->nodes)
            continue;
        unsigned by_package = HAK_TOPOLOGY_UNKNOWN;
        unsigned by_l3 = HAK_TOPOLOGY_UNKNOWN;
        for (unsigned other = 0; other < topology->cpu_ids; other++) {
            const struct hak_topology_cpu *near = &topology->cpu[other];
            if (!is_online(topology, other) || near->node >= topology->nodes)
                continue;
            if (by_l3 == HAK_TOPOLOGY_UNKNOWN && entry->l3 != HAK_TOPOLOGY_UNKNOWN &&
                near->l3 == entry->l3)
                by_l3 = near->node;
            if (by_package == HAK_TOPOLOGY_UNKNOWN && near->package == entry->package)
                by_package = near->node;
        }
        entry->node = 0;
        if (by_package != HAK_TOPOLOGY_UNKNOWN)
            entry->node = (uint16_t)by_package;
        if (by_l3 != HAK_TOPOLOGY_UNKNOWN)
            entry->node = (uint16_t)by_l3;
    }
}

/* A CPU without an L3 (a small core, or a guest without cache information) joins the L3 of its
 * package on its node; a package without an L3 forms one domain on each node. */
static void fill_l3s(struct hak_topology *topology)
{
    for (unsigned cpu = 0; cpu < topology->cpu_ids; cpu++) {
        struct hak_topology_cpu *entry = &topology->cpu[cpu];
        if (!is_online(topology, cpu) || entry->l3 != HAK_TOPOLOGY_UNKNOWN)
            continue;
        for (unsigned other = 0; other < topology->cpu_ids; other++) {
            const struct hak_topology_cpu *near = &topology->cpu[other];
            if (is_online(topology, other) && near->l3 != HAK_TOPOLOGY_UNKNOWN &&
                near->package == entry->package && near->node == entry->node) {
                entry->l3 = near->l3;
                break;
            }
        }
        /* labels are ids of CPUs that have an L3, so this CPU's id is a new label */
        if (entry->l3 == HAK_TOPOLOGY_UNKNOWN)
            entry->l3 = (uint16_t)cpu;
    }
}

/* Renumbers L3s in order of appearance, split at the borders of nodes. first[index] is the lowest
 * CPU; all its CPUs get its package (a contradiction would break the order of shards). */
static void number_l3s(struct hak_topology *topology, uint16_t *first, uint16_t *label)
{
    unsigned recent = 0;
    for (unsigned cpu = 0; cpu < topology->cpu_ids; cpu++) {
        struct hak_topology_cpu *entry = &topology->cpu[cpu];
        if (!is_online(topology, cpu))
            continue;
        unsigned index = recent; /* neighbours mostly share an L3 */
        if (index >= topology->l3s || label[index] != entry->l3 ||
            topology->cpu[first[index]].node != entry->node) {
            for (index = 0; index < topology->l3s; index++) {
                if (label[index] == entry->l3 && topology->cpu[first[index]].node == entry->node)
                    break;
            }
        }
        if (index == topology->l3s) {
            label[index] = entry->l3;
            first[index] = (uint16_t)cpu;
            topology->l3s++;
        }
        entry->l3 = (uint16_t)index;
        entry->package = topology->cpu[first[index]].package;
        recent = index;
    }
}

/* Renumbers packages in order of appearance. map, zero at first: label -> index + 1. */
static void number_packages(struct hak_topology *topology, uint16_t *map)
{
    for (unsigned cpu = 0; cpu < topology->cpu_ids; cpu++) {
        struct hak_topology_cpu *entry = &topology->cpu[cpu];
        if (!is_online(topology, cpu))
            continue;
        uint16_t *index = &map[entry->package];
        if (*index == 0)
            *index = (uint16_t)++topology->packages;
        entry->package = (uint16_t)(*index - 1);
    }
}

static int number_all(struct hak_topology *topology)
{
    struct scratch {
        uint16_t first[HAK_TOPOLOGY_MAX_CPUS];
        uint16_t label[HAK_TOPOLOGY_MAX_CPUS];
        uint16_t package[0x10000]; /* every possible label */
    };
    size_t size = hak_align_up(sizeof(struct scratch), hak_os_page_size());
    struct scratch *scratch = hak_os_map(size, hak_os_page_size());
    if (scratch == NULL)
        return -ENOMEM;
    number_l3s(topology, scratch->first, scratch->label);
    number_packages(topology, scratch->package);
    hak_os_unmap(scratch, size);
    return 0;
}

/* Counts each node's CPUs. If no node claims memory, all have it. */
static void finish_nodes(struct hak_topology *topology)
{
    unsigned with_memory = 0;
    for (unsigned node = 0; node < topology->nodes; node++)
        with_memory += topology->node[node].has_memory;
    for (unsigned node = 0; node < topology->nodes && with_memory == 0; node++)
        topology->node[node].has_memory = 1;
    for (unsigned cpu = 0; cpu < topology->cpu_ids; cpu++) {
        if (is_online(topology, cpu))
            topology->node[topology->cpu[cpu].node].cpus++;
    }
}

int hak_topology_finish(struct hak_topology *topology)
{
    if (topology->online == 0)
        return -EINVAL;
    if (topology->nodes == 0)
        topology->nodes = 1;
    fill_packages(topology);
    fill_nodes(topology);
    fill_l3s(topology);
    int error = number_all(topology);
    if (error != 0)
        return error;
    finish_nodes(topology);
    return 0;
}

unsigned hak_topology_distance(const struct hak_topology *topology, unsigned from, unsigned to)
{
    unsigned told = topology->distance[from][to];
    if (told != 0)
        return told;
    return from == to ? HAK_TOPOLOGY_LOCAL_DISTANCE : HAK_TOPOLOGY_REMOTE_DISTANCE;
}

unsigned hak_topology_memory_node(const struct hak_topology *topology, unsigned node)
{
    if (topology->node[node].has_memory)
        return node;
    unsigned best = node;
    unsigned least = 0;
    for (unsigned other = 0; other < topology->nodes; other++) {
        unsigned distance = hak_topology_distance(topology, node, other);
        if (!topology->node[other].has_memory || (best != node && distance >= least))
            continue;
        best = other;
        least = distance;
    }
    return best;
}
