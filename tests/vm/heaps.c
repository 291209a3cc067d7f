/* SPDX-License-Identifier: MIT */
/* heaps.c - heaps on a machine of several nodes: partitions lie where their threads run, named
 * nodes are obeyed, interleaving is even or by weights. A node that has memory but no CPUs is used
 * only by name, not for memory that spills.
 *
 * Run in the guest (tests/vm/guest) under LD_PRELOAD. The kernel is asked where a page lies. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hakmem.h"
#include "tests/lib/tap.h"
#include "tests/lib/weak.h"

enum {
    NODES = 64,
    KERNEL_PAGE = 4096,
    FRAME = 8192,
    FRAMES = 2000,
};

static const size_t KIB = 1024, MIB = 1024 * 1024;

/* ------------------------------------------------------------------ the machine */

static struct {
    int count;
    int cpu[NODES]; /* the first of each, -1: none */
    size_t bytes[NODES];
} machine;

static long read_number(const char *format, int node, const char *key)
{
    char path[128], line[256];
    long number = -1;
    snprintf(path, sizeof path, format, node);
    FILE *in = fopen(path, "r");
    while (in != NULL && fgets(line, sizeof line, in) != NULL) {
        const char *at = strstr(line, key);
        if (at != NULL && sscanf(at + strlen(key), "%ld", &number) == 1)
            break;
    }
    if (in != NULL)
        fclose(in);
    return number;
}

static void look_at_machine(void)
{
    for (int node = 0; node < NODES; node++) {
        long kib = read_number("/sys/devices/system/node/node%d/meminfo", node, "MemTotal:");
        machine.cpu[node] = (int)read_number("/sys/devices/system/node/node%d/cpulist", node, "");
        machine.bytes[node] = kib > 0 ? (size_t)kib * KIB : 0;
        if (machine.bytes[node] != 0 || machine.cpu[node] >= 0)
            machine.count = node + 1;
    }
}

static int has_memory(int node)
{
    return machine.bytes[node] != 0;
}

static int is_far(int node)
{
    return has_memory(node) && machine.cpu[node] < 0;
}

static int node_of_page(const void *address)
{
    void *page = (void *)((uintptr_t)address & ~(uintptr_t)(KERNEL_PAGE - 1));
    int status = -1;
    return syscall(SYS_move_pages, 0, 1ul, &page, NULL, &status, 0) != 0 ? -1 : status;
}

static void touch(char *object, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += KERNEL_PAGE)
        object[at] = 1;
}

static size_t pages_on(const char *object, size_t size, int node)
{
    size_t count = 0;
    for (size_t at = 0; at < size; at += KERNEL_PAGE)
        count += node_of_page(object + at) == node;
    return count;
}

static struct hakmem_heap *heap_for(enum hakmem_heap_sharding sharding,
                                    enum hakmem_heap_placement placement, uint64_t nodes)
{
    struct hakmem_heap_options options = {
        .size = sizeof options, .sharding = sharding, .placement = placement, .nodes = nodes};
    struct hakmem_heap *heap = hakmem_heap_create(&options);
    EXPECT(heap != NULL);
    return heap;
}

/* ------------------------------------------------------------------ partitions */

struct partition {
    struct hakmem_heap *heap;
    int node;
    unsigned local;
};

static void *use_partition(void *argument)
{
    struct partition *partition = argument;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(machine.cpu[partition->node], &set);
    EXPECT_EQ(sched_setaffinity(0, sizeof set, &set), 0);
    for (unsigned i = 0; i < FRAMES; i++) {
        char *frame = hakmem_heap_aligned_alloc(partition->heap, FRAME, FRAME);
        if (!EXPECT(frame != NULL))
            break;
        touch(frame, FRAME);
        partition->local += node_of_page(frame) == partition->node;
    }
    return NULL;
}

/* One heap, a shard for each node. */
static void test_partitions(void)
{
    struct hakmem_heap *heap = heap_for(HAKMEM_HEAP_NODE, HAKMEM_HEAP_LOCAL, 0);
    REQUIRE(heap != NULL);
    for (int node = 0; node < machine.count; node++) {
        if (machine.cpu[node] < 0 || !has_memory(node))
            continue;
        struct partition partition = {heap, node, 0};
        pthread_t thread;
        REQUIRE(pthread_create(&thread, NULL, use_partition, &partition) == 0);
        pthread_join(thread, NULL);
        tap_note("node %d: %u of %d frames are local", node, partition.local, FRAMES);
        EXPECT_GE(partition.local, FRAMES * 99 / 100);
    }
    EXPECT_EQ(hakmem_heap_destroy(heap), 0);
}

/* A heap on each node that has memory, whichever thread asks, with much memory or little. */
static void test_named_nodes(void)
{
    static const enum hakmem_heap_placement placements[] = {HAKMEM_HEAP_PREFER, HAKMEM_HEAP_BIND};
    static const size_t sizes[] = {100, 5000, 200000, 3000000};
    for (unsigned kind = 0; kind < TAP_COUNT(placements); kind++)
        for (int node = 0; node < machine.count; node++) {
            if (!has_memory(node))
                continue;
            struct hakmem_heap *heap =
                heap_for(HAKMEM_HEAP_ONE, placements[kind], UINT64_C(1) << node);
            REQUIRE(heap != NULL);
            size_t local = 0, all = 0;
            for (unsigned i = 0; i < TAP_COUNT(sizes) * 4; i++) {
                size_t size = sizes[i % TAP_COUNT(sizes)];
                char *object = hakmem_heap_malloc(heap, size);
                REQUIRE(object != NULL);
                touch(object, size);
                local += pages_on(object, size, node);
                all += (size + KERNEL_PAGE - 1) / KERNEL_PAGE;
            }
            tap_note("node %d: %zu of %zu pages", node, local, all);
            EXPECT_GE(local, all * 99 / 100);
            EXPECT_EQ(hakmem_heap_destroy(heap), 0);
        }
}

/* A bound heap ends with ENOMEM, and the kernel kills no process. */
static void test_full(void)
{
    int node = machine.count - 1;
    size_t got = 0;
    struct hakmem_heap *heap = heap_for(HAKMEM_HEAP_ONE, HAKMEM_HEAP_BIND, UINT64_C(1) << node);
    REQUIRE(heap != NULL);
    while (got <= machine.bytes[node]) {
        char *object = hakmem_heap_malloc(heap, 4 * MIB);
        if (object == NULL)
            break;
        touch(object, 4 * MIB);
        got += 4 * MIB;
    }
    tap_note("node %d of %zu MiB gave %zu", node, machine.bytes[node] / MIB, got / MIB);
    EXPECT_LE(got, machine.bytes[node]);
    EXPECT_GE(got, machine.bytes[node] / 2);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(hakmem_heap_destroy(heap), 0);
}

/* ------------------------------------------------------------------ interleaving */

static void write_weight(int node, int weight)
{
    char path[96];
    snprintf(path, sizeof path, "/sys/kernel/mm/mempolicy/weighted_interleave/node%d", node);
    FILE *out = fopen(path, "w");
    if (out == NULL)
        return;
    fprintf(out, "%d\n", weight);
    fclose(out);
}

static void expect_shares(enum hakmem_heap_placement placement, int first, int last,
                          unsigned weight)
{
    struct hakmem_heap *heap =
        heap_for(HAKMEM_HEAP_ONE, placement, UINT64_C(1) << first | UINT64_C(1) << last);
    size_t size = 24 * MIB;
    REQUIRE(heap != NULL);
    char *object = hakmem_heap_malloc(heap, size);
    REQUIRE(object != NULL);
    touch(object, size);
    size_t pages = size / KERNEL_PAGE;
    size_t share = pages_on(object, size, first);
    size_t fair = pages * weight / (weight + 1);
    tap_note("%zu of %zu pages on node %d, fair are %zu", share, pages, first, fair);
    EXPECT_EQ(share + pages_on(object, size, last), pages);
    EXPECT_LE(share, fair + pages * 2 / 100);
    EXPECT_GE(share, fair - pages * 2 / 100);
    EXPECT_EQ(hakmem_heap_destroy(heap), 0);
}

static void test_interleaved(void)
{
    int first = 0, last = machine.count - 1;
    while (!has_memory(first))
        first++;
    if (first == last) {
        tap_skip("one node alone has memory");
        return;
    }
    expect_shares(HAKMEM_HEAP_INTERLEAVE, first, last, 1);
    write_weight(first, 3);
    write_weight(last, 1);
    long weight = read_number("/sys/kernel/mm/mempolicy/weighted_interleave/node%d", first, "");
    tap_note("%s", weight > 0 ? "weights 3 and 1" : "this kernel knows no weights");
    expect_shares(HAKMEM_HEAP_WEIGHTED, first, last, weight > 0 ? 3 : 1);
}

/* ------------------------------------------------------------------ memory-only nodes */

static void *fill_near(void *argument)
{
    int far = *(int *)argument, near = far - 1;
    static char *held[2000];
    unsigned count = 0;
    size_t astray = 0, spilled = 0;
    /* The nearest of those nodes: there the kernel by itself would go on with the node of memory
     * alone. */
    while (near != 0 && (machine.cpu[near] < 0 || !has_memory(near)))
        near--;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(machine.cpu[near], &set);
    EXPECT_EQ(sched_setaffinity(0, sizeof set, &set), 0);
    /* More than it has, and less than all near nodes have. */
    for (size_t got = 0; got < machine.bytes[near] + 32 * MIB && count < TAP_COUNT(held);
         got += MIB) {
        held[count] = malloc(MIB);
        if (!EXPECT(held[count] != NULL))
            break;
        touch(held[count], MIB);
        astray += node_of_page(held[count]) == far;
        spilled += node_of_page(held[count]) != near;
        count++;
    }
    tap_note("of %u MiB %zu are not on node %d, and %zu on the node of memory alone", count,
             spilled, near, astray);
    EXPECT_GE(spilled, 32);
    EXPECT_EQ(astray, 0);
    while (count != 0)
        free(held[--count]);
    return NULL;
}

static void test_memory_alone(void)
{
    int far = 0, near = 0;
    for (int node = 0; node < machine.count; node++)
        near += has_memory(node) && !is_far(node);
    while (far < machine.count && !is_far(far))
        far++;
    if (far == machine.count || near < 2) {
        tap_skip("no node of memory alone beside two others");
        return;
    }
    struct hakmem_heap *heap = heap_for(HAKMEM_HEAP_ONE, HAKMEM_HEAP_INTERLEAVE, 0);
    REQUIRE(heap != NULL);
    char *object = hakmem_heap_malloc(heap, 8 * MIB);
    REQUIRE(object != NULL);
    touch(object, 8 * MIB);
    EXPECT_EQ(pages_on(object, 8 * MIB, far), 0);
    EXPECT_EQ(hakmem_heap_destroy(heap), 0);
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, fill_near, &far) == 0);
    pthread_join(thread, NULL);
    /* The node serves a request by name. */
    object = hakmem_malloc_on_node(MIB, far);
    REQUIRE(object != NULL);
    touch(object, MIB);
    EXPECT_EQ(node_of_page(object), far);
    free(object);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"partitions of a heap lie where their threads run", test_partitions},
        {"a heap lies on its nodes, whichever thread asks", test_named_nodes},
        {"interleaving is even, or by weights", test_interleaved},
        {"nodes without CPUs are used by name only", test_memory_alone},
        {"a bound heap on a full node is ENOMEM", test_full},
    };
    look_at_machine();
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
