/* SPDX-License-Identifier: MIT */
/* Builds the map from CPUs to shards, and lists each shard's neighbours. One thread builds; any
 * thread asks.
 *
 *   order:  cpu cpu cpu cpu | cpu cpu cpu cpu      allowed CPUs in topology order
 *   shard:  0------ 1------ | 2------ 3------      each a slice of it
 *   ranges: l3 0----------- | l3 1-----------      each a slice of the shards */
#include "topology/domains.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "os/bits.h"
#include "os/memory.h"

static const char mode_names[][8] = {
    [HAK_DOMAIN_AUTO] = "auto",   [HAK_DOMAIN_SINGLE] = "single",   [HAK_DOMAIN_NODE] = "node",
    [HAK_DOMAIN_L3] = "l3",       [HAK_DOMAIN_PACKAGE] = "package", [HAK_DOMAIN_CPU] = "cpu",
    [HAK_DOMAIN_COUNT] = "count",
};

const char *hak_domains_mode_name(enum hak_domain_mode mode)
{
    return mode_names[mode];
}

/* Parses a mode without a list. */
static int parse_mode(const char *text, struct hak_domain_request *request)
{
    for (unsigned mode = 0; mode < HAK_DOMAIN_COUNT; mode++) {
        if (strcmp(text, mode_names[mode]) == 0) {
            *request = (struct hak_domain_request){.mode = (enum hak_domain_mode)mode};
            return 0;
        }
    }
    if (strcmp(text, "one") == 0) {
        *request = (struct hak_domain_request){.mode = HAK_DOMAIN_SINGLE};
        return 0;
    }
    unsigned count = 0;
    for (; *text >= '0' && *text <= '9' && count <= HAK_DOMAINS_MAX_SHARDS; text++)
        count = count * 10 + (unsigned)(*text - '0');
    if (*text != '\0' || count == 0 || count > HAK_DOMAINS_MAX_SHARDS)
        return -EINVAL;
    *request = (struct hak_domain_request){.mode = HAK_DOMAIN_COUNT, .count = count};
    return 0;
}

int hak_domains_parse(const char *text, struct hak_domain_request *request)
{
    char word[16] = ""; /* longer than any mode */
    size_t length = 0;
    while (text[length] != '\0' && text[length] != ':')
        length++;
    if (length >= sizeof word)
        return -EINVAL;
    memcpy(word, text, length);
    struct hak_cpu_set cpus = {0};
    if (text[length] == ':' &&
        (hak_cpu_set_parse(&cpus, text + length + 1) != 0 || hak_cpu_set_count(&cpus) == 0))
        return -EINVAL;
    int refused = parse_mode(word, request);
    if (refused == 0)
        request->cpus = cpus;
    return refused;
}

int hak_domains_requests_are_equal(const struct hak_domain_request *a,
                                   const struct hak_domain_request *b)
{
    return a->mode == b->mode && a->count == b->count &&
           memcmp(&a->cpus, &b->cpus, sizeof a->cpus) == 0 &&
           memcmp(&a->nodes, &b->nodes, sizeof a->nodes) == 0;
}

enum hak_topology_detail hak_domains_detail(const struct hak_domain_request *request)
{
    /* only COUNT splits the CPUs of one L3, and it should not split a core */
    return request->mode == HAK_DOMAIN_COUNT ? HAK_DETAIL_CORES : HAK_DETAIL_DOMAINS;
}

/* The sort key of topology order. Package before L3: an L3 lies within one. */
static uint64_t place_key(const struct hak_topology *topology, unsigned cpu)
{
    const struct hak_topology_cpu *at = &topology->cpu[cpu];
    uint64_t key = at->node;
    key = key << 12 | (at->package & 0xfff);
    key = key << 12 | (at->l3 & 0xfff);
    key = key << 12 | (at->core & 0xfff);
    return key << 12 | cpu;
}

/* Shellsort: no memory, no recursion, and fast on nearly sorted input. */
static void sort_order(struct hak_domains *domains, const struct hak_topology *topology)
{
    static const unsigned gaps[] = {1750, 701, 301, 132, 57, 23, 10, 4, 1};
    for (unsigned g = 0; g < HAK_ARRAY_LENGTH(gaps); g++) {
        unsigned gap = gaps[g];
        for (unsigned i = gap; i < domains->cpus; i++) {
            uint16_t cpu = domains->order[i];
            uint64_t key = place_key(topology, cpu);
            unsigned to = i;
            for (; to >= gap && place_key(topology, domains->order[to - gap]) > key; to -= gap)
                domains->order[to] = domains->order[to - gap];
            domains->order[to] = cpu;
        }
    }
}

static int is_wanted(const struct hak_topology *topology, const struct hak_domain_request *request,
                     unsigned cpu)
{
    unsigned node = topology->node[topology->cpu[cpu].node].id;
    return (hak_cpu_set_count(&request->cpus) == 0 || hak_cpu_set_has(&request->cpus, cpu)) &&
           (hak_cpu_set_count(&request->nodes) == 0 || hak_cpu_set_has(&request->nodes, node));
}

/* The CPUs that the request wants, or all without a request. */
static void list_allowed(struct hak_domains *domains, const struct hak_topology *topology,
                         const struct hak_domain_request *request)
{
    for (unsigned cpu = 0; cpu < topology->cpu_ids; cpu++) {
        if ((topology->cpu[cpu].state & HAK_CPU_ALLOWED) != 0 &&
            (request == NULL || is_wanted(topology, request, cpu)))
            domains->order[domains->cpus++] = (uint16_t)cpu;
    }
    sort_order(domains, topology);
}

/* Whether two CPUs, neighbours in the order, belong to one shard. Not used for COUNT. */
static int same_domain(enum hak_domain_mode mode, const struct hak_topology_cpu *a,
                       const struct hak_topology_cpu *b)
{
    switch (mode) {
    case HAK_DOMAIN_NODE:
        return a->node == b->node;
    case HAK_DOMAIN_PACKAGE:
        return a->package == b->package;
    case HAK_DOMAIN_L3:
        return a->l3 == b->l3;
    case HAK_DOMAIN_CPU:
        return 0;
    default:
        return 1;
    }
}

/* AUTO: on a small machine each CPU has a shard, so that threads share no slab and no cache lines
 * in it. On a larger machine so many shards would each hold partly used slabs. Objects move fast
 * between CPUs that share an L3, so there is a shard for each L3; with one L3 a node, or none, that
 * is a shard for each node. (docs/decisions/006-auto.md) */
static enum hak_domain_mode choose_mode(const struct hak_domains *domains,
                                        const struct hak_topology *topology,
                                        enum hak_domain_mode wish)
{
    if (wish != HAK_DOMAIN_AUTO)
        return wish;
    if (domains->cpus <= HAK_DOMAINS_AUTO_CPUS)
        return HAK_DOMAIN_CPU;
    for (unsigned i = 1; i < domains->cpus; i++) {
        if (topology->cpu[domains->order[i]].l3 != topology->cpu[domains->order[0]].l3)
            return HAK_DOMAIN_L3;
    }
    return HAK_DOMAIN_NODE;
}

static void cut_by_place(struct hak_domains *domains, const struct hak_topology *topology)
{
    for (unsigned i = 0; i < domains->cpus; i++) {
        unsigned cpu = domains->order[i];
        if (i == 0 ||
            !same_domain(domains->mode, &topology->cpu[domains->order[i - 1]], &topology->cpu[cpu]))
            domains->shard[domains->shards++].first_cpu = (uint16_t)i;
        struct hak_domain_shard *shard = &domains->shard[domains->shards - 1];
        domains->cpu[cpu] = (struct hak_domain_cpu){
            .shard = (uint16_t)(domains->shards - 1), .share = 1, .place = shard->cpus++};
    }
}

/* As many shards as asked for: groups whose sizes differ by at most one. */
static void cut_by_count(struct hak_domains *domains, unsigned count)
{
    unsigned cpus = domains->cpus;
    domains->shards = count;
    for (unsigned i = 0; i < count; i++) {
        unsigned first = i * cpus / count;
        unsigned end = (i + 1) * cpus / count;
        domains->shard[i].first_cpu = (uint16_t)first;
        domains->shard[i].cpus = (uint16_t)(end > first ? end - first : 1);
    }
    if (count <= cpus) {
        for (unsigned i = 0; i < count; i++) {
            for (unsigned k = 0; k < domains->shard[i].cpus; k++)
                domains->cpu[domains->order[domains->shard[i].first_cpu + k]] =
                    (struct hak_domain_cpu){.shard = (uint16_t)i, .share = 1, .place = (uint16_t)k};
        }
        return;
    }
    domains->threads_share = count;
    for (unsigned i = 0; i < cpus; i++) {
        /* the shards whose slice begins in this CPU's: from the ceiling of i * count / cpus */
        unsigned first = (i * count + cpus - 1) / cpus;
        unsigned end = ((i + 1) * count + cpus - 1) / cpus;
        domains->cpu[domains->order[i]] =
            (struct hak_domain_cpu){.shard = (uint16_t)first, .share = (uint16_t)(end - first)};
    }
}

static int spans_nodes(const struct hak_domains *domains, const struct hak_topology *topology,
                       const struct hak_domain_shard *shard)
{
    for (unsigned i = 1; i < shard->cpus; i++) {
        unsigned cpu = domains->order[shard->first_cpu + i];
        if (topology->cpu[cpu].node != shard->node)
            return 1;
    }
    return 0;
}

/* A shard takes the place of its first CPU; each place records its range of shards. */
static void place_shards(struct hak_domains *domains, const struct hak_topology *topology)
{
    for (unsigned i = 0; i < domains->shards; i++) {
        struct hak_domain_shard *shard = &domains->shard[i];
        const struct hak_topology_cpu *at = &topology->cpu[domains->order[shard->first_cpu]];
        shard->node = at->node;
        shard->l3 = at->l3;
        shard->spans = (uint16_t)spans_nodes(domains, topology, shard);
        shard->node_id = topology->node[at->node].id;
        shard->memory_id = topology->node[hak_topology_memory_node(topology, at->node)].id;
        struct hak_domain_range *l3 = &domains->l3_range[at->l3];
        struct hak_domain_range *node = &domains->node_range[at->node];
        if (l3->count++ == 0)
            l3->first = (uint16_t)i;
        if (node->count++ == 0)
            node->first = (uint16_t)i;
    }
}

/* The other nodes by distance. Among equally near ones, the next in number after the node is
 * first. */
static void order_nodes(struct hak_domains *domains, const struct hak_topology *topology)
{
    domains->nodes = topology->nodes;
    for (unsigned node = 0; node < topology->nodes && topology->nodes > 1; node++) {
        uint16_t *others = domains->other_node[node];
        unsigned count = 0;
        for (unsigned step = 1; step < topology->nodes; step++) {
            unsigned other = (node + step) % topology->nodes;
            if (domains->node_range[other].count == 0)
                continue;
            unsigned distance = hak_topology_distance(topology, node, other);
            unsigned to = count++;
            for (; to > 0 && hak_topology_distance(topology, node, others[to - 1]) > distance; to--)
                others[to] = others[to - 1];
            others[to] = (uint16_t)other;
        }
    }
}

/* An allowed CPU that stands in for one that is not allowed: from its L3, else its node, else any.
 * The remainder of the id selects it, so that new CPUs spread. */
static unsigned stand_in(const struct hak_domains *domains, const struct hak_topology *topology,
                         unsigned cpu)
{
    const struct hak_topology_cpu *new_cpu = &topology->cpu[cpu];
    unsigned l3_first = 0, l3_count = 0;
    unsigned node_first = 0, node_count = 0;
    for (unsigned i = 0; i < domains->cpus && (new_cpu->state & HAK_CPU_ONLINE) != 0; i++) {
        const struct hak_topology_cpu *at = &topology->cpu[domains->order[i]];
        if (at->l3 == new_cpu->l3 && l3_count++ == 0)
            l3_first = i;
        if (at->node == new_cpu->node && node_count++ == 0)
            node_first = i;
    }
    if (l3_count != 0)
        return domains->order[l3_first + cpu % l3_count];
    if (node_count != 0)
        return domains->order[node_first + cpu % node_count];
    return domains->order[cpu % domains->cpus];
}

static void map_new_cpus(struct hak_domains *domains, const struct hak_topology *topology)
{
    domains->cpu_ids = topology->cpu_ids;
    for (unsigned cpu = 0; cpu < topology->cpu_ids; cpu++) {
        if (domains->cpu[cpu].share == 0)
            domains->cpu[cpu] = domains->cpu[stand_in(domains, topology, cpu)];
    }
    for (unsigned cpu = 0; cpu < topology->cpu_ids; cpu++)
        domains->cpu[cpu].known = (topology->cpu[cpu].state & HAK_CPU_ALLOWED) != 0;
}

static size_t mapped_size(void)
{
    return hak_align_up(sizeof(struct hak_domains), hak_os_page_size());
}

const struct hak_domains *hak_domains_build(const struct hak_topology *topology,
                                            const struct hak_domain_request *request)
{
    struct hak_domains *domains = hak_os_map(mapped_size(), hak_os_page_size());
    if (domains == NULL)
        return NULL;
    domains->imagined = topology->imagined;
    list_allowed(domains, topology, request);
    if (domains->cpus == 0) /* none of the wanted CPUs is allowed */
        list_allowed(domains, topology, NULL);
    domains->mode = choose_mode(domains, topology, request->mode);
    if (domains->mode == HAK_DOMAIN_COUNT)
        cut_by_count(domains, request->count);
    else
        cut_by_place(domains, topology);
    place_shards(domains, topology);
    order_nodes(domains, topology);
    map_new_cpus(domains, topology);
    return domains;
}

void hak_domains_free(const struct hak_domains *domains)
{
    if (domains != NULL)
        hak_os_unmap((void *)domains, mapped_size());
}

/* Compares bytes: both were mapped as zeroes, and their entries have no padding. */
int hak_domains_are_equal(const struct hak_domains *a, const struct hak_domains *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

unsigned hak_domains_l3_siblings(const struct hak_domains *domains, unsigned shard)
{
    return domains->l3_range[domains->shard[shard].l3].count - 1u;
}

unsigned hak_domains_node_siblings(const struct hak_domains *domains, unsigned shard)
{
    return domains->node_range[domains->shard[shard].node].count - 1u;
}

unsigned hak_domains_sibling(const struct hak_domains *domains, unsigned shard, unsigned rank)
{
    if (rank + 1 >= domains->shards)
        return shard;
    struct hak_domain_range l3 = domains->l3_range[domains->shard[shard].l3];
    unsigned in_l3 = shard - l3.first;
    if (rank < l3.count - 1u)
        return l3.first + (in_l3 + 1 + rank) % l3.count;
    rank -= l3.count - 1u;

    /* The node's other shards form a circle that begins after the L3; each of the L3's shards
     * starts at another point. */
    unsigned own_node = domains->shard[shard].node;
    struct hak_domain_range node = domains->node_range[own_node];
    unsigned outside = (unsigned)node.count - l3.count;
    if (rank < outside) {
        unsigned behind = l3.first + l3.count - node.first;
        return node.first + (behind + (in_l3 + rank) % outside) % node.count;
    }
    rank -= outside;

    unsigned in_node = shard - node.first;
    for (unsigned i = 0; i + 1 < domains->nodes; i++) {
        struct hak_domain_range far = domains->node_range[domains->other_node[own_node][i]];
        if (rank < far.count)
            return far.first + (in_node + rank) % far.count;
        rank -= far.count;
    }
    return shard; /* not reached: the ranges hold each shard once */
}

void hak_domains_put_cpus(struct hak_writer *writer, const struct hak_domains *domains,
                          unsigned shard)
{
    struct hak_cpu_set set = {0};
    for (unsigned i = 0; i < domains->shard[shard].cpus; i++)
        hak_cpu_set_add(&set, domains->order[domains->shard[shard].first_cpu + i]);
    hak_cpu_set_put(writer, &set);
}
