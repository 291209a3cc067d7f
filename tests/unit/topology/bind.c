/* SPDX-License-Identifier: MIT */
/* topology/bind.c: which step of the ladder holds on which machine. A machine of two nodes is made up
 * here and declared to be this one, so that the kernel's refusals are met for real. */
#include "topology/bind.h"

#include <errno.h>
#include <string.h>

#include "os/memory.h"
#include "tests/lib/tap.h"

enum { ABSENT = 777 }; /* a node that the kernel does not have */

static struct hak_topology *machine(unsigned nodes, unsigned imagined)
{
    struct hak_topology *topology = hak_topology_map();
    struct hak_cpu_set set = {{0}};
    hak_cpu_set_add(&set, 0);
    hak_topology_begin(topology, &set, &set);
    topology->nodes = nodes;
    topology->imagined = imagined;
    topology->node[0] = (struct hak_topology_node){0, 1, 0};
    topology->node[1] = (struct hak_topology_node){ABSENT, 1, 0};
    topology->cpu[0].node = 0;
    hak_topology_finish(topology);
    return topology;
}

static const struct hak_cpu_set none;

static struct hak_bind_state started(unsigned nodes, unsigned imagined, enum hak_bind_policy policy)
{
    struct hak_topology *topology = machine(nodes, imagined);
    hak_bind_start(topology, policy, &none);
    hak_topology_unmap(topology);
    return hak_bind_state();
}

static char *page_of_memory(void)
{
    return hak_os_map(hak_os_page_size(), hak_os_page_size());
}

static void nothing_to_choose(void)
{
    char *page = page_of_memory();
    struct hak_bind_state state = started(1, 0, HAK_BIND_PREFERRED);
    EXPECT_EQ(state.step, HAK_BIND_STEP_PLAIN);
    EXPECT(strcmp(state.why, "one node") == 0);
    EXPECT_EQ(hak_bind_memory_nodes(), 1);
    EXPECT_EQ(hak_bind_fresh(page, hak_os_page_size(), 0), HAK_BIND_LEFT);
    state = started(2, 1, HAK_BIND_STRICT);
    EXPECT_EQ(state.step, HAK_BIND_STEP_PLAIN);
    EXPECT(strcmp(state.why, "not this machine") == 0);
    EXPECT(!hak_bind_has_memory(0));
    EXPECT(!hak_bind_is_strict() && !hak_bind_places_shards());
    EXPECT_EQ(hak_bind_spread(page, hak_os_page_size(), NULL), HAK_BIND_LEFT);
    int node = hak_os_page_node(page); /* and it was not touched, as far as one can tell */
    EXPECT(node == -ENOENT || node == -EPERM || node == -ENOSYS);
    hak_os_unmap(page, hak_os_page_size());
}

/* 0: a sandbox forbids it, and the ladder says so. */
static int is_bound(struct hak_bind_state state)
{
    if (state.step == HAK_BIND_STEP_BOUND)
        return EXPECT(state.why == NULL);
    EXPECT(state.step == HAK_BIND_STEP_FIRST_TOUCH && state.why != NULL);
    tap_skip("the kernel refuses: %s", state.why);
    return 0;
}

static void preferred(void)
{
    if (!is_bound(started(2, 0, HAK_BIND_PREFERRED)))
        return;
    EXPECT(hak_bind_places_shards() && !hak_bind_is_strict());
    EXPECT(hak_bind_has_memory(0) && hak_bind_has_memory(ABSENT) && !hak_bind_has_memory(1));
    EXPECT(!hak_bind_has_memory(-1) && !hak_bind_has_memory(1 << 20));
    char *page = page_of_memory();
    size_t size = hak_os_page_size();
    EXPECT_EQ(hak_bind_fresh(page, size, HAK_NODE_ANY), HAK_BIND_LEFT);
    EXPECT_EQ(hak_bind_fresh(page, size, 0), HAK_BIND_DONE);
    EXPECT_EQ(hak_bind_fresh(page, size, ABSENT), HAK_BIND_REFUSED);
    EXPECT_EQ(hak_bind_fresh(page, size, ABSENT), HAK_BIND_REFUSED); /* without a call */
    EXPECT_EQ(hak_bind_state().step, HAK_BIND_STEP_BOUND);           /* the others are bound on */
    EXPECT_EQ(hak_bind_fresh(page, size, 0), HAK_BIND_DONE);
    hak_os_unmap(page, size);
}

static void strict(void)
{
    if (!is_bound(started(2, 0, HAK_BIND_STRICT)))
        return;
    EXPECT(hak_bind_is_strict());
    size_t size = 16 * hak_os_page_size();
    char *memory = hak_os_map(size, hak_os_page_size());
    REQUIRE(memory != NULL);
    EXPECT_EQ(hak_bind_fresh(memory, size, 0), HAK_BIND_DONE);
    EXPECT_EQ(hak_os_page_node(memory + size - 1), 0); /* present, all of it */
    hak_os_unmap(memory, size);
}

static void others(void)
{
    char *page = page_of_memory();
    size_t size = hak_os_page_size();
    if (!is_bound(started(2, 0, HAK_BIND_NONE)))
        return;
    EXPECT(!hak_bind_places_shards());
    EXPECT_EQ(hak_bind_fresh(page, size, 0), HAK_BIND_LEFT);
    EXPECT_EQ(hak_bind_to(page, size, 0, HAK_OS_PAGES_MOVE), HAK_BIND_DONE);
    started(2, 0, HAK_BIND_INTERLEAVE);
    EXPECT_EQ(hak_bind_fresh(page, size, HAK_NODE_SPREAD), HAK_BIND_LEFT);
    hak_os_unmap(page, size);
}

static void words(void)
{
    EXPECT(strcmp(hak_bind_policy_name(HAK_BIND_STRICT), "bind") == 0);
    EXPECT(strcmp(hak_bind_step_name(HAK_BIND_STEP_FIRST_TOUCH), "first-touch") == 0);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"one node, or an imagined machine: nothing is bound", nothing_to_choose},
        {"memory is bound; a node that refuses is not asked again", preferred},
        {"bound strictly, memory is present at once", strict},
        {"with bind=none only memory on named nodes is bound", others},
        {"policies and steps have their names", words},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
