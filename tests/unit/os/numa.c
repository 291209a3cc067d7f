/* SPDX-License-Identifier: MIT */
/* os/numa.c: questions to the kernel about nodes, on any machine: node 0 has memory. */
#include "os/numa.h"

#include <errno.h>
#include <string.h>

#include "os/memory.h"
#include "tests/lib/tap.h"

/* A sandbox may forbid them all: then the case proves nothing. */
static int is_forbidden(int result)
{
    if (result != -EPERM && result != -ENOSYS)
        return 0;
    tap_skip("the kernel refuses by %d", result);
    return 1;
}

static int has(const struct hak_os_nodes *nodes, unsigned node)
{
    return (nodes->word[node / 64] >> node % 64 & 1) != 0;
}

static unsigned count(const struct hak_os_nodes *nodes)
{
    unsigned found = 0;
    for (unsigned node = 0; node < HAK_OS_NODES; node++)
        found += has(nodes, node);
    return found;
}

static void masks(void)
{
    struct hak_os_nodes nodes = {{0}};
    hak_os_nodes_add(&nodes, 0);
    hak_os_nodes_add(&nodes, 63);
    hak_os_nodes_add(&nodes, 64);
    hak_os_nodes_add(&nodes, HAK_OS_NODES - 1);
    hak_os_nodes_add(&nodes, HAK_OS_NODES); /* beyond: left out */
    EXPECT(has(&nodes, 0) && has(&nodes, 63));
    EXPECT(has(&nodes, 64) && has(&nodes, HAK_OS_NODES - 1));
    EXPECT_EQ(count(&nodes), 4);
}

static void bound_and_found(void)
{
    size_t page = hak_os_page_size();
    char *memory = hak_os_map(4 * page, page);
    REQUIRE(memory != NULL);
    struct hak_os_nodes nodes = {{0}};
    hak_os_nodes_add(&nodes, 0);
    errno = 77;
    int refused =
        hak_os_bind(memory, 4 * page, HAK_OS_POLICY_PREFERRED, &nodes, HAK_OS_PAGES_LEAVE);
    if (is_forbidden(refused))
        return;
    EXPECT_EQ(refused, 0);
    EXPECT_EQ(hak_os_page_node(memory + page), -ENOENT);
    memory[page] = 1;
    EXPECT_EQ(hak_os_page_node(memory + page + 5), 0);
    EXPECT_EQ(hak_os_bind(memory, 4 * page, HAK_OS_POLICY_BIND, &nodes, HAK_OS_PAGES_MUST_MOVE), 0);
    EXPECT_EQ(hak_os_bind(memory, 4 * page, HAK_OS_POLICY_INTERLEAVE, &nodes, HAK_OS_PAGES_LEAVE),
              0);
    EXPECT_EQ(hak_os_bind(memory, 4 * page, HAK_OS_POLICY_DEFAULT, NULL, HAK_OS_PAGES_LEAVE), 0);
    hak_os_nodes_add(&nodes, HAK_OS_NODES - 1); /* there is none; with node 0 beside it is let be */
    struct hak_os_nodes absent = {{0}};
    hak_os_nodes_add(&absent, HAK_OS_NODES - 1);
    EXPECT_EQ(hak_os_bind(memory, 4 * page, HAK_OS_POLICY_BIND, &absent, HAK_OS_PAGES_LEAVE),
              -EINVAL);
    EXPECT_EQ(errno, 77);
    hak_os_unmap(memory, 4 * page);
}

static void moved(void)
{
    size_t page = hak_os_page_size();
    char *memory = hak_os_map(3 * page, page);
    REQUIRE(memory != NULL);
    memory[0] = memory[2 * page] = 1;
    void *pages[] = {memory, memory + page, memory + 2 * page};
    int status[] = {-1, -1, -1};
    int room[3];
    int refused = hak_os_move_pages(3, pages, 0, status, room);
    if (is_forbidden(refused))
        return;
    EXPECT_EQ(refused, 0);
    EXPECT_EQ(status[0], 0);
    EXPECT(status[1] == -ENOENT || status[1] == -EFAULT);
    EXPECT_EQ(status[2], 0);
    hak_os_unmap(memory, 3 * page);
}

static void present(void)
{
    size_t page = hak_os_page_size();
    char *memory = hak_os_map(8 * page, page);
    REQUIRE(memory != NULL);
    EXPECT_EQ(hak_os_populate(memory, 8 * page), 0);
    int forbidden = is_forbidden(hak_os_page_node(memory));
    for (unsigned i = 0; i < 8 && !forbidden; i++)
        EXPECT_GE(hak_os_page_node(memory + i * page), 0);
    hak_os_unmap(memory, 8 * page);
}

static void allowed(void)
{
    struct hak_os_nodes nodes;
    int refused = hak_os_allowed_nodes(&nodes);
    if (is_forbidden(refused))
        return;
    EXPECT_EQ(refused, 0);
    EXPECT_GE(count(&nodes), 1);
    EXPECT_LE(count(&nodes), 256);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"masks hold 1024 nodes and no more", masks},
        {"memory is bound to node 0, and found there once touched", bound_and_found},
        {"present pages move, others are reported", moved},
        {"memory is made present", present},
        {"the nodes that memory may come from are known", allowed},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
