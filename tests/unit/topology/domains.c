/* SPDX-License-Identifier: MIT */
/* topology/domains.c: every CPU id has a shard, every shard has every other as a sibling, near ones
 * first. Machines are made up here; from_sysfs.c beside this divides recorded ones. */
#include "topology/domains.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/tap.h"
#include "topology/allowed.h"

/* nodes x l3s x cpus, ids `stride` apart. */
static struct hak_topology *make_up(unsigned nodes, unsigned l3s, unsigned cpus, unsigned stride)
{
    struct hak_cpu_set set = {0};
    struct hak_topology *topology = hak_topology_map();
    if (topology == NULL)
        abort();
    unsigned count = nodes * l3s * cpus;
    for (unsigned i = 0; i < count; i++)
        hak_cpu_set_add(&set, i * stride);
    hak_topology_begin(topology, &set, &set);
    topology->nodes = nodes;
    for (unsigned i = 0; i < count; i++) {
        struct hak_topology_cpu *cpu = &topology->cpu[i * stride];
        cpu->node = (uint16_t)(i / (l3s * cpus));
        cpu->l3 = (uint16_t)(i / cpus * cpus * stride);
        cpu->package = cpu->node;
    }
    for (unsigned a = 0; a < nodes; a++) {
        topology->node[a].id = (uint16_t)(2 * a + 1);
        for (unsigned b = 0; b < nodes; b++)
            topology->distance[a][b] = (uint8_t)(10 + 10 * (a > b ? a - b : b - a));
    }
    EXPECT_EQ(hak_topology_finish(topology), 0);
    return topology;
}

/* 0 same L3, 1 same node, then more with the distance. */
static unsigned remoteness(const struct hak_topology *topology, const struct hak_domains *domains,
                           unsigned a, unsigned b)
{
    if (domains->shard[a].l3 == domains->shard[b].l3)
        return 0;
    if (domains->shard[a].node == domains->shard[b].node)
        return 1;
    return hak_topology_distance(topology, domains->shard[a].node, domains->shard[b].node);
}

/* The CPUs of a shard have places one after the other. */
static void check_places(const struct hak_domains *domains)
{
    for (unsigned shard = 0; shard < domains->shards && domains->threads_share == 0; shard++)
        for (unsigned i = 0; i < domains->shard[shard].cpus; i++) {
            unsigned cpu = domains->order[domains->shard[shard].first_cpu + i];
            EXPECT_EQ(hak_domains_place_of(domains, cpu), i);
            EXPECT_EQ(hak_domains_shard_of(domains, cpu, 0), shard);
        }
}

static void check_siblings(const struct hak_topology *topology, const struct hak_domains *domains)
{
    static unsigned char seen[HAK_DOMAINS_MAX_SHARDS];
    for (unsigned shard = 0; shard < domains->shards; shard++) {
        memset(seen, 0, sizeof(seen));
        unsigned last = 0;
        unsigned near[2] = {0, 0};
        for (unsigned rank = 0; rank + 1 < domains->shards; rank++) {
            unsigned other = hak_domains_sibling(domains, shard, rank);
            REQUIRE(other < domains->shards && other != shard && !seen[other]);
            seen[other] = 1;
            unsigned far = remoteness(topology, domains, shard, other);
            EXPECT_GE(far, last);
            last = far;
            near[0] += far == 0;
            near[1] += far <= 1;
        }
        EXPECT_EQ(hak_domains_l3_siblings(domains, shard), near[0]);
        EXPECT_EQ(hak_domains_node_siblings(domains, shard), near[1]);
    }
}

static void check_map(const struct hak_topology *topology, const struct hak_domains *domains)
{
    unsigned cpus = 0;
    for (unsigned cpu = 0; cpu < 3 * HAK_TOPOLOGY_MAX_CPUS; cpu++) {
        for (unsigned thread = 0; thread < 3; thread++)
            REQUIRE(hak_domains_shard_of(domains, cpu, thread) < domains->shards);
    }
    REQUIRE(hak_domains_shard_of(domains, UINT32_MAX, UINT32_MAX) < domains->shards);
    for (unsigned shard = 0; shard < domains->shards; shard++) {
        EXPECT_GE(domains->shard[shard].cpus, 1);
        EXPECT_EQ(domains->shard[shard].node_id, 2 * domains->shard[shard].node + 1);
        EXPECT_EQ(domains->shard[shard].memory_id, domains->shard[shard].node_id);
        cpus += domains->shard[shard].cpus;
        for (unsigned i = 0; i < domains->shard[shard].cpus && domains->threads_share == 0; i++) {
            unsigned cpu = domains->order[domains->shard[shard].first_cpu + i];
            EXPECT_EQ(hak_domains_shard_of(domains, cpu, 7), shard);
            EXPECT(topology->cpu[cpu].state & HAK_CPU_ALLOWED);
        }
    }
    EXPECT_EQ(cpus, domains->threads_share != 0 ? domains->shards : topology->allowed);
}

/* Builds, checks all that must always hold, and returns how many shards there are. */
static unsigned count_shards(const struct hak_topology *topology, const char *wish)
{
    struct hak_domain_request request;
    EXPECT_EQ(hak_domains_parse(wish, &request), 0);
    const struct hak_domains *domains = hak_domains_build(topology, &request);
    if (!EXPECT(domains != NULL))
        return 0;
    unsigned shards = domains->shards;
    check_map(topology, domains);
    check_siblings(topology, domains);
    check_places(domains);
    hak_domains_free(domains);
    return shards;
}

static void modes(void)
{
    static const unsigned strides[] = {1, 3, 8};
    for (unsigned i = 0; i < TAP_COUNT(strides); i++) {
        struct hak_topology *topology = make_up(4, 3, 5, strides[i]);
        EXPECT_EQ(count_shards(topology, "auto"), 12);
        EXPECT_EQ(count_shards(topology, "single"), 1);
        EXPECT_EQ(count_shards(topology, "one"), 1);
        EXPECT_EQ(count_shards(topology, "node"), 4);
        EXPECT_EQ(count_shards(topology, "package"), 4);
        EXPECT_EQ(count_shards(topology, "l3"), 12);
        EXPECT_EQ(count_shards(topology, "cpu"), 60);
        hak_topology_unmap(topology);
    }
}

static void counts(void)
{
    struct hak_topology *topology = make_up(2, 2, 3, 2);
    for (unsigned count = 1; count <= 40; count++) {
        char wish[8];
        struct hak_writer writer = hak_writer_to_buffer(wish, sizeof(wish));
        hak_put(&writer, "%u", count);
        hak_writer_flush(&writer);
        EXPECT_EQ(count_shards(topology, wish), count);
    }
    hak_topology_unmap(topology);
}

static void threads_share(void)
{
    struct hak_topology *topology = make_up(1, 1, 2, 1);
    struct hak_domain_request request = {.mode = HAK_DOMAIN_COUNT, .count = 5};
    const struct hak_domains *domains = hak_domains_build(topology, &request);
    REQUIRE(domains != NULL);
    EXPECT_EQ(domains->threads_share, 5);
    unsigned char used[5] = {0};
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        for (unsigned thread = 0; thread < 6; thread++)
            used[hak_domains_shard_of(domains, cpu, thread)] |= (unsigned char)(1 << cpu);
    }
    for (unsigned shard = 0; shard < 5; shard++)
        EXPECT(used[shard] == 1 || used[shard] == 2); /* of one CPU, and used */
    hak_domains_free(domains);
    hak_topology_unmap(topology);
}

static void strangers(void)
{
    struct hak_topology *topology = make_up(2, 2, 4, 1);
    struct hak_cpu_set set;
    hak_cpu_set_parse(&set, "1-2,9");
    hak_allowed_restrict(topology, &set);
    EXPECT_EQ(count_shards(topology, "node"), 2);
    EXPECT_EQ(count_shards(topology, "l3"), 2);
    EXPECT_EQ(count_shards(topology, "cpu"), 3);
    struct hak_domain_request request = {.mode = HAK_DOMAIN_CPU};
    const struct hak_domains *domains = hak_domains_build(topology, &request);
    REQUIRE(domains != NULL);
    EXPECT_LE(domains->cpu[0].shard, 1); /* same L3 as 1 and 2 */
    EXPECT_LE(domains->cpu[3].shard, 1);
    EXPECT(domains->cpu[0].shard != domains->cpu[3].shard);
    EXPECT_LE(domains->cpu[5].shard, 1);  /* another L3 of their node */
    EXPECT_EQ(domains->cpu[8].shard, 2);  /* the L3 of 9 */
    EXPECT_EQ(domains->cpu[14].shard, 2); /* the node of 9 */
    hak_domains_free(domains);
    hak_topology_unmap(topology);
}

/* Within one L3 the first shards to be asked differ, so that not all ask the same one. */
static void spread(void)
{
    struct hak_topology *topology = make_up(2, 2, 8, 1);
    struct hak_domain_request request = {.mode = HAK_DOMAIN_CPU};
    const struct hak_domains *domains = hak_domains_build(topology, &request);
    REQUIRE(domains != NULL);
    static const unsigned ranks[] = {0, 7, 15}; /* the first of the L3, the node, elsewhere */
    for (unsigned i = 0; i < TAP_COUNT(ranks); i++) {
        unsigned asked[32] = {0};
        for (unsigned shard = 0; shard < 32; shard++)
            asked[hak_domains_sibling(domains, shard, ranks[i])]++;
        for (unsigned shard = 0; shard < 32; shard++)
            EXPECT_EQ(asked[shard], 1);
    }
    EXPECT_EQ(hak_domains_sibling(domains, 3, 31), 3); /* no such rank */
    hak_domains_free(domains);
    hak_topology_unmap(topology);
}

static void many(void)
{
    struct hak_topology *topology = make_up(8, 8, 8, 8);
    EXPECT_EQ(topology->cpu_ids, 4089);
    EXPECT_EQ(count_shards(topology, "cpu"), 512);
    hak_topology_unmap(topology);
    topology = make_up(4, 1, 1, 1);
    struct hak_domain_request request = {.mode = HAK_DOMAIN_COUNT, .count = HAK_DOMAINS_MAX_SHARDS};
    const struct hak_domains *domains = hak_domains_build(topology, &request);
    REQUIRE(domains != NULL);
    check_map(topology, domains);
    hak_domains_free(domains);
    hak_topology_unmap(topology);
}

/* A list leaves CPUs without shards of their own: near ones serve them. */
static void lists(void)
{
    struct hak_topology *topology = make_up(2, 2, 4, 1);
    struct hak_domain_request request, other;
    EXPECT_EQ(hak_domains_parse("cpu:0-1,8", &request), 0);
    const struct hak_domains *domains = hak_domains_build(topology, &request);
    REQUIRE(domains != NULL);
    EXPECT_EQ(domains->shards, 3);
    EXPECT_EQ(domains->cpu[1].shard, 1);
    EXPECT_LE(domains->cpu[3].shard, 1);  /* its L3's */
    EXPECT_LE(domains->cpu[6].shard, 1);  /* its node's */
    EXPECT_EQ(domains->cpu[15].shard, 2); /* likewise */
    hak_domains_free(domains);
    EXPECT_EQ(hak_domains_parse("node:100", &other), 0); /* no such CPU: as if without a list */
    domains = hak_domains_build(topology, &other);
    REQUIRE(domains != NULL);
    EXPECT_EQ(domains->shards, 2);
    hak_domains_free(domains);
    EXPECT(!hak_domains_requests_are_equal(&request, &other));
    EXPECT_EQ(hak_domains_parse("l3", &other), 0);
    hak_cpu_set_add(&other.nodes, 3); /* the id of the second */
    domains = hak_domains_build(topology, &other);
    REQUIRE(domains != NULL);
    EXPECT_EQ(domains->shards, 2);
    EXPECT_EQ(domains->shard[0].node_id, 3);
    EXPECT_LE(domains->cpu[0].shard, 1);
    hak_domains_free(domains);
    EXPECT_EQ(hak_domains_parse("cpu", &other), 0);
    EXPECT(!hak_domains_requests_are_equal(&request, &other));
    EXPECT(hak_domains_requests_are_equal(&request, &request));
    hak_topology_unmap(topology);
}

static void equality(void)
{
    struct hak_topology *topology = make_up(2, 2, 3, 1);
    struct hak_domain_request request = {.mode = HAK_DOMAIN_L3};
    const struct hak_domains *before = hak_domains_build(topology, &request);
    const struct hak_domains *same = hak_domains_build(topology, &request);
    struct hak_cpu_set set;
    hak_cpu_set_parse(&set, "0-10");
    hak_allowed_restrict(topology, &set);
    const struct hak_domains *after = hak_domains_build(topology, &request);
    REQUIRE(before != NULL && same != NULL && after != NULL);
    EXPECT(hak_domains_are_equal(before, same));
    EXPECT(!hak_domains_are_equal(before, after));
    hak_domains_free(before);
    hak_domains_free(same);
    hak_domains_free(after);
    hak_topology_unmap(topology);
}

static void parses(void)
{
    static const char *const bad[] = {"",
                                      "0",
                                      "4097",
                                      "-1",
                                      "1x",
                                      "x",
                                      "nodes",
                                      "Node",
                                      " cpu",
                                      "99999999999999999999",
                                      "count",
                                      "cpu:",
                                      "cpu:x",
                                      "cpu:1-",
                                      ":1",
                                      "cpu:9999",
                                      "a-very-long-word-for-a-mode:1"};
    struct hak_domain_request request = {.mode = HAK_DOMAIN_L3, .count = 7};
    for (unsigned i = 0; i < TAP_COUNT(bad); i++)
        EXPECT_EQ(hak_domains_parse(bad[i], &request), -EINVAL);
    EXPECT_EQ(request.mode, HAK_DOMAIN_L3);
    EXPECT_EQ(request.count, 7);
    EXPECT_EQ(hak_domains_parse("4096", &request), 0);
    EXPECT_EQ(request.mode, HAK_DOMAIN_COUNT);
    EXPECT_EQ(request.count, 4096);
    EXPECT_EQ(hak_domains_detail(&request), HAK_DETAIL_CORES);
    EXPECT_EQ(hak_domains_parse("package", &request), 0);
    EXPECT(strcmp(hak_domains_mode_name(request.mode), "package") == 0);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"each mode groups the CPUs as it says", modes},
        {"any count is served", counts},
        {"threads spread over more shards than CPUs", threads_share},
        {"CPUs that are not allowed use a near shard", strangers},
        {"siblings are asked one after another", spread},
        {"many CPUs and many shards are served", many},
        {"a list says which CPUs get shards", lists},
        {"domains of the same machine are equal, of another they are not", equality},
        {"words and numbers are understood", parses},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
