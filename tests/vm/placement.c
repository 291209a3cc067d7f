/* SPDX-License-Identifier: MIT */
/*
 * placement.c - on a machine of several nodes, memory lies where it was asked for.
 *
 * Run in the guest (tests/vm/guest) under LD_PRELOAD. PLACEMENT in the environment says what:
 *   (nothing)  cases about placement      spill, refuse   a node that fills up
 *   refused    cases for a kernel that binds nothing (tests/fault/refuse)
 *   figures    lines of figures, for any allocator: how much of what a thread that is bound to a
 *              node allocates lies there, and how much of what another node freed comes back
 * The kernel is asked (move_pages) where a page lies; that it lies there at all, we touch it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/lib/tap.h"
#include "tests/lib/weak.h"

enum {
    NODES = 64,
    OBJECTS = 10000,
    WHALES = 1000,
    CROSS = 100000,
    CROSS_SIZE = 64,
    KERNEL_PAGE = 4096,
};

static const size_t KIB = 1024, MIB = 1024 * 1024;

/* ------------------------------------------------------------------ the machine */

static struct {
    int count;                /* one above the highest node */
    int cpu[NODES];           /* the first of each, -1: none */
    size_t bytes[NODES];      /* 0: a node without memory */
    size_t free_bytes[NODES]; /* at start */
} machine;

static size_t read_number(int node, const char *file, const char *key)
{
    char path[96], line[256];
    snprintf(path, sizeof path, "/sys/devices/system/node/node%d/%s", node, file);
    FILE *in = fopen(path, "r");
    size_t number = (size_t)-1;
    while (in != NULL && fgets(line, sizeof line, in) != NULL) {
        const char *at = strstr(line, key);
        if (at != NULL && sscanf(at + strlen(key), "%zu", &number) == 1)
            break;
    }
    if (in != NULL)
        fclose(in);
    return number;
}

static void look_at_machine(void)
{
    for (int node = 0; node < NODES; node++) {
        machine.cpu[node] = -1;
        size_t kib = read_number(node, "meminfo", "MemTotal:");
        size_t free_kib = read_number(node, "meminfo", "MemFree:");
        size_t cpu = read_number(node, "cpulist", "");
        if (free_kib == (size_t)-1 && cpu == (size_t)-1)
            continue;
        machine.count = node + 1;
        machine.cpu[node] = cpu == (size_t)-1 ? -1 : (int)cpu;
        machine.bytes[node] = kib == (size_t)-1 ? 0 : kib * KIB;
        machine.free_bytes[node] = free_kib == (size_t)-1 ? 0 : free_kib * KIB;
    }
}

static int on_cpu_of(int node)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(machine.cpu[node], &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

/* Where the page of an address lies; -1: nowhere. */
static int node_of_page(const void *address)
{
    void *page = (void *)((uintptr_t)address & ~(uintptr_t)(KERNEL_PAGE - 1));
    int status = -1;
    if (syscall(SYS_move_pages, 0, 1ul, &page, NULL, &status, 0) != 0)
        return -1;
    return status;
}

static int has_memory(int node)
{
    return node >= 0 && node < machine.count && machine.bytes[node] != 0;
}

/* Whether a node is used without being named: not a node of memory alone. */
static int is_near(int node)
{
    return has_memory(node) && machine.cpu[node] >= 0;
}

/* ------------------------------------------------------------------ threads on nodes */

struct work {
    int node;
    size_t size;
    unsigned count;
    size_t touched; /* bytes of each object */
    unsigned local; /* objects on the wanted node */
    int wanted;
    unsigned taken; /* not NULL */
    void **objects;
};

static void touch(char *object, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += KERNEL_PAGE)
        object[at] = 1;
    object[bytes - 1] = 1;
}

/* The node where a thread's memory should lie: its own, or the library's choice for a node without
 * memory. */
static int wanted_node(int node, const void *object)
{
    if (has_memory(node))
        return node;
    return hakmem_node_of != NULL ? hakmem_node_of(object) : -1;
}

static void *allocate_here(void *argument)
{
    struct work *work = argument;
    if (!on_cpu_of(work->node))
        return NULL;
    for (unsigned i = 0; i < work->count; i++) {
        char *object = malloc(work->size);
        work->objects[i] = object;
        if (object == NULL)
            continue;
        work->taken++;
        touch(object, work->touched);
        if (i == 0)
            work->wanted = wanted_node(work->node, object);
        work->local += node_of_page(object) == work->wanted;
    }
    return NULL;
}

static void *free_here(void *argument)
{
    struct work *work = argument;
    on_cpu_of(work->node);
    for (unsigned i = 0; i < work->count; i++)
        free(work->objects[i]);
    return NULL;
}

static void run_thread(void *(*body)(void *), struct work *work)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, work) == 0)
        pthread_join(thread, NULL);
}

static const struct tier {
    const char *name;
    size_t size;
    size_t touched;
    unsigned count;
} tiers[] = {
    {"tiny", 64, 64, OBJECTS},
    {"mid", 8 * 1024, 8 * 1024, OBJECTS},
    {"large", 40 * 1024, 4096, OBJECTS},
    {"whale", 9 * 1024 * 1024, 4096, WHALES},
};

static void *objects[CROSS];
static void *later[CROSS];

static struct work tier_on(const struct tier *tier, int node)
{
    struct work work = {.node = node,
                        .size = tier->size,
                        .count = tier->count,
                        .touched = tier->touched,
                        .objects = objects};
    run_thread(allocate_here, &work);
    run_thread(free_here, &work);
    return work;
}

static void test_threads_lie_on_their_nodes(void)
{
    for (int node = 0; node < machine.count; node++) {
        if (machine.cpu[node] < 0)
            continue;
        for (unsigned t = 0; t < TAP_COUNT(tiers); t++) {
            struct work work = tier_on(&tiers[t], node);
            tap_note("node %d %s: %u of %u on node %d", node, tiers[t].name, work.local, work.count,
                     work.wanted);
            EXPECT_EQ(work.taken, work.count);
            EXPECT_GE(work.local * 100ul, work.count * 99ul);
        }
    }
}

/* ------------------------------------------------------------------ frees from another node */

static int compare_pages(const void *left, const void *right)
{
    uintptr_t a = *(const uintptr_t *)left, b = *(const uintptr_t *)right;
    return a < b ? -1 : a > b;
}

static uintptr_t old_pages[CROSS];

static int was_there(const void *object)
{
    uintptr_t page = (uintptr_t)object / KERNEL_PAGE;
    return bsearch(&page, old_pages, CROSS, sizeof page, compare_pages) != NULL;
}

struct crossing {
    unsigned came_back;   /* objects of the home's new ones that lie on the pages of the old ones */
    unsigned went_astray; /* objects of the freeing node's new ones that do */
    unsigned near;        /* of those, on the freeing node */
};

/* The freeing thread allocates, before it ends, as many as it has freed. */
static void *free_and_allocate_here(void *argument)
{
    struct work *work = argument;
    free_here(work);
    work->objects = later;
    return allocate_here(work);
}

static struct crossing cross(int home, int other)
{
    struct crossing crossing = {0};
    struct work first = {.node = home,
                         .size = CROSS_SIZE,
                         .count = CROSS,
                         .touched = CROSS_SIZE,
                         .objects = objects};
    run_thread(allocate_here, &first);
    for (unsigned i = 0; i < CROSS; i++)
        old_pages[i] = (uintptr_t)objects[i] / KERNEL_PAGE;
    qsort(old_pages, CROSS, sizeof old_pages[0], compare_pages);

    struct work freeing = first;
    freeing.node = other;
    freeing.local = 0;
    run_thread(free_and_allocate_here, &freeing);
    crossing.near = freeing.local;
    for (unsigned i = 0; i < CROSS; i++)
        crossing.went_astray += was_there(later[i]);

    struct work again = first;
    run_thread(allocate_here, &again);
    for (unsigned i = 0; i < CROSS; i++)
        crossing.came_back += was_there(objects[i]);
    run_thread(free_here, &again);
    freeing.objects = later;
    run_thread(free_here, &freeing);
    return crossing;
}

/* The first and the last node that have CPUs and memory. */
static int pair_of_nodes(int *first, int *last)
{
    *first = *last = -1;
    for (int node = 0; node < machine.count; node++) {
        if (machine.cpu[node] < 0 || !has_memory(node))
            continue;
        if (*first < 0)
            *first = node;
        *last = node;
    }
    return *first != *last;
}

static void test_crossing(void)
{
    int home, other;
    if (!pair_of_nodes(&home, &other)) {
        tap_skip("one node alone has CPUs and memory");
        return;
    }
    struct crossing crossing = cross(home, other);
    tap_note("of %d: %u came back home, %u went astray, %u near", CROSS, crossing.came_back,
             crossing.went_astray, crossing.near);
    EXPECT_GE(crossing.came_back, CROSS * 98 / 100);
    EXPECT_EQ(crossing.went_astray, 0);
    EXPECT_GE(crossing.near, CROSS / 100 * 99);
}

static int pair_of_memories(int *first, int *last)
{
    *first = *last = -1;
    for (int node = 0; node < machine.count; node++) {
        if (!has_memory(node))
            continue;
        if (*first < 0)
            *first = node;
        *last = node;
    }
    return *first != *last;
}

/* ------------------------------------------------------------------ what hakmem.h promises */

/* Pages of an object on a node, of all. */
static size_t pages_on(const char *object, size_t size, int node)
{
    size_t count = 0;
    for (size_t at = 0; at < size; at += KERNEL_PAGE)
        count += node_of_page(object + at) == node;
    return count;
}

static size_t pages_of(size_t size)
{
    return (size + KERNEL_PAGE - 1) / KERNEL_PAGE;
}

static void test_mode(void)
{
    char mode[160];
    hakmem_mode(mode, sizeof mode);
    tap_note("%s", mode);
    EXPECT(strstr(mode, "bind=preferred") != NULL);
}

static void test_on_node(void)
{
    static const size_t sizes[] = {100, 20000, 200000, 20 * 1024 * 1024};
    for (int caller = 0; caller < machine.count; caller++) {
        if (machine.cpu[caller] < 0 || !on_cpu_of(caller))
            continue;
        for (int node = 0; node < machine.count; node++) {
            if (!has_memory(node)) {
                errno = 0;
                EXPECT(hakmem_malloc_on_node(100, node) == NULL && errno == EINVAL);
                continue;
            }
            for (unsigned i = 0; i < TAP_COUNT(sizes); i++) {
                char *object = hakmem_malloc_on_node(sizes[i], node);
                REQUIRE(object != NULL);
                touch(object, sizes[i]);
                EXPECT_EQ(pages_on(object, sizes[i], node), pages_of(sizes[i]));
                EXPECT_EQ(hakmem_node_of(object), node);
                EXPECT_EQ(hakmem_node_resident(object), node);
                free(object);
            }
        }
    }
    EXPECT(hakmem_malloc_on_node(100, -1) == NULL);
    EXPECT(hakmem_malloc_on_node(100, 4000) == NULL);
}

/* Binding is refused: there is memory nevertheless, and the mode says why it lies anywhere. */
static void test_refused(void)
{
    char mode[160];
    hakmem_mode(mode, sizeof mode);
    tap_note("%s", mode);
    EXPECT(strstr(mode, "bind=first-touch (EPERM)") != NULL);
    int first, last;
    pair_of_nodes(&first, &last);
    char *object = hakmem_malloc_on_node(100, last);
    char *whale = hakmem_malloc_interleaved(20 * MIB, 0);
    REQUIRE(object != NULL && whale != NULL);
    touch(object, 100);
    touch(whale, 20 * MIB);
    errno = 0;
    EXPECT(hakmem_move(whale, last) == -1 && errno == EPERM);
    EXPECT_EQ(hakmem_pin_thread(0), 0);
    hakmem_unpin_thread();
    free(object);
    free(whale);
}

static void test_on_shard(void)
{
    for (unsigned shard = 0; shard < hakmem_shard_count(); shard++) {
        struct hakmem_shard_info info;
        REQUIRE(hakmem_shard_info(shard, &info, sizeof info) == 0);
        char *small = hakmem_malloc_on_shard(300, shard);
        char *large = hakmem_malloc_on_shard(300 * KIB, shard);
        REQUIRE(small != NULL && large != NULL);
        touch(small, 300);
        touch(large, 300 * KIB);
        EXPECT_EQ(hakmem_shard_of(small), shard);
        EXPECT_EQ(hakmem_shard_of(large), shard);
        EXPECT_EQ(node_of_page(small), info.node);
        EXPECT_EQ(pages_on(large, 300 * KIB, info.node), 75);
        EXPECT_GE(info.cpus, 1);
        free(small);
        free(large);
    }
    errno = 0;
    EXPECT(hakmem_malloc_on_shard(1, hakmem_shard_count()) == NULL && errno == EINVAL);
}

static void test_interleaved(void)
{
    size_t size = 64 * MIB;
    char *object = hakmem_malloc_interleaved(size, 0);
    REQUIRE(object != NULL);
    touch(object, size);
    int nodes = 0;
    for (int node = 0; node < machine.count; node++)
        nodes += is_near(node);
    for (int node = 0; node < machine.count; node++) {
        if (!is_near(node)) {
            EXPECT_EQ(pages_on(object, size, node), 0);
            continue;
        }
        size_t share = pages_on(object, size, node);
        size_t fair = pages_of(size) / (size_t)nodes;
        tap_note("node %d has %zu pages of %zu", node, share, pages_of(size));
        EXPECT_LE(share, fair * 102 / 100);
        EXPECT_GE(share, fair * 98 / 100);
    }
    free(object);
    errno = 0;
    EXPECT(hakmem_malloc_interleaved(size, UINT64_C(1) << 63) == NULL && errno == EINVAL);
}

static void test_move(void)
{
    static const size_t sizes[] = {5000, 1024 * 1024, 20 * 1024 * 1024};
    int from, to;
    if (!pair_of_memories(&from, &to)) {
        tap_skip("one node alone has memory");
        return;
    }
    for (unsigned i = 0; i < TAP_COUNT(sizes); i++) {
        char *object = hakmem_malloc_on_node(sizes[i], from);
        REQUIRE(object != NULL);
        memset(object, 7, sizes[i]);
        EXPECT_EQ(hakmem_move(object, to), 0);
        EXPECT_EQ(pages_on(object, sizes[i], to), pages_of(sizes[i]));
        EXPECT(object[0] == 7 && object[sizes[i] - 1] == 7);
        EXPECT_EQ(hakmem_move(object, from), 0);
        EXPECT_EQ(pages_on(object, sizes[i], from), pages_of(sizes[i]));
        free(object);
    }
    errno = 0;
    EXPECT(hakmem_move(&errno, to) == -1 && errno == EINVAL);
}

static void test_move_shard(void)
{
    int from, to;
    if (!pair_of_nodes(&from, &to)) {
        tap_skip("one node alone has CPUs and memory");
        return;
    }
    char *object = hakmem_malloc_on_node(1000, from);
    REQUIRE(object != NULL);
    memset(object, 7, 1000);
    unsigned shard = (unsigned)hakmem_shard_of(object);
    EXPECT_EQ(hakmem_move_shard(shard, to), 0);
    EXPECT_EQ(node_of_page(object), to);
    EXPECT_EQ(hakmem_node_of(object), to);
    EXPECT_EQ(object[999], 7);
    EXPECT_EQ(hakmem_move_shard(shard, from), 0);
    EXPECT_EQ(node_of_page(object), from);
    free(object);
}

/* On a CPU of one node, pinned to a shard of another. */
static void *pinned_elsewhere(void *argument)
{
    (void)argument;
    int from, to;
    pair_of_nodes(&from, &to);
    on_cpu_of(from);
    unsigned shard = 0;
    struct hakmem_shard_info info;
    while (hakmem_shard_info(shard, &info, sizeof info) == 0 && info.node != to)
        shard++;
    EXPECT_EQ(hakmem_pin_thread(shard), 0);
    unsigned local = 0;
    for (unsigned i = 0; i < OBJECTS; i++) {
        char *object = malloc(i % 2 == 0 ? 200 : 50 * KIB);
        object[0] = 1;
        local += node_of_page(object) == to;
        objects[i] = object;
    }
    EXPECT_EQ(local, OBJECTS);
    for (unsigned i = 0; i < OBJECTS; i++)
        free(objects[i]);
    hakmem_unpin_thread();
    char *object = malloc(200);
    object[0] = 1;
    EXPECT_EQ(node_of_page(object), from);
    free(object);
    EXPECT(hakmem_pin_thread(hakmem_shard_count()) == -1 && errno == EINVAL);
    EXPECT_EQ(hakmem_pin_thread(shard), 0); /* and ends so */
    return NULL;
}

static void test_pinned(void)
{
    int from, to;
    if (!pair_of_nodes(&from, &to)) {
        tap_skip("one node alone has CPUs and memory");
        return;
    }
    struct work none = {0};
    run_thread(pinned_elsewhere, &none);
}

/* ------------------------------------------------------------------ a node that fills up */

struct filling {
    int node;
    size_t wanted; /* bytes */
    size_t got;
    int error;
    unsigned on[NODES]; /* pages looked at, by where they lie */
};

enum { FILL_SIZE = 512 * 1024, FILL_OBJECTS = 16384, LOOK_STEP = 16 * KERNEL_PAGE };

static void look_at_pages(struct filling *filling, const char *object, size_t size)
{
    for (size_t at = 0; at < size; at += LOOK_STEP) {
        int node = node_of_page(object + at);
        if (node >= 0 && node < NODES)
            filling->on[node]++;
    }
}

static void *fill_here(void *argument)
{
    static void *held[FILL_OBJECTS];
    struct filling *filling = argument;
    on_cpu_of(filling->node);
    unsigned count = 0;
    errno = 0;
    while (count < FILL_OBJECTS && filling->got < filling->wanted) {
        /* small ones as well, so that slabs fill the node too */
        size_t size = count % 8 == 7 ? 2000 : FILL_SIZE;
        char *object = malloc(size);
        if (object == NULL) {
            filling->error = errno;
            break;
        }
        touch(object, size);
        look_at_pages(filling, object, size);
        held[count++] = object;
        filling->got += size;
    }
    while (count > 0)
        free(held[--count]);
    return NULL;
}

/* More than the node has free: the kernel can drop cached files to give more. */
static struct filling fill(void)
{
    int first, last;
    pair_of_nodes(&first, &last);
    struct filling filling = {.node = last, .wanted = machine.bytes[last] + 32 * MIB};
    pthread_t thread;
    if (pthread_create(&thread, NULL, fill_here, &filling) == 0)
        pthread_join(thread, NULL);
    tap_note("node %d had %zu MiB free; got %zu of %zu MiB, errno %d", last,
             machine.free_bytes[last] / MIB, filling.got / MIB, filling.wanted / MIB,
             filling.error);
    return filling;
}

/* From the kernel's table; 0: no such node. */
static unsigned distance(int from, int to)
{
    char path[96];
    unsigned distance = 0;
    int node = 0;
    snprintf(path, sizeof path, "/sys/devices/system/node/node%d/distance", from);
    FILE *in = fopen(path, "r");
    while (in != NULL && node <= to && fscanf(in, "%u", &distance) == 1)
        node++; /* the guests' nodes are numbered without gaps */
    if (in != NULL)
        fclose(in);
    return node == to + 1 ? distance : 0;
}

/* Memory for which the full node had no room lies on the nearest node with memory, which has enough
 * room. */
static void check_spilled_to_nearest(const struct filling *filling)
{
    unsigned nearest = (unsigned)-1, near = 0, far = 0;
    for (int node = 0; node < machine.count; node++) {
        unsigned away = distance(filling->node, node);
        if (node != filling->node && has_memory(node) && away < nearest)
            nearest = away;
    }
    for (int node = 0; node < machine.count; node++) {
        unsigned away = distance(filling->node, node);
        tap_note("node %d, distance %u: %u of the pages looked at", node, away, filling->on[node]);
        if (node == filling->node)
            EXPECT_GE(filling->on[node], 1);
        else if (away == nearest)
            near += filling->on[node];
        else
            far += filling->on[node];
    }
    EXPECT_GE(near, 100);
    EXPECT_LE(far, near / 100);
}

static void test_full_node_spills(void)
{
    struct filling filling = fill();
    check_spilled_to_nearest(&filling);
    EXPECT_GE(filling.got, filling.wanted);
    uint64_t spilled = 0;
    struct hakmem_shard_info info;
    for (unsigned shard = 0; hakmem_shard_info(shard, &info, sizeof info) == 0; shard++)
        spilled += info.spilled;
    tap_note("%lu mappings spilled", (unsigned long)spilled);
    EXPECT_GE(spilled, 1);
}

static void test_full_node_refuses(void)
{
    struct filling filling = fill();
    EXPECT_EQ(filling.error, ENOMEM);
    for (int node = 0; node < machine.count; node++)
        if (node != filling.node)
            EXPECT_EQ(filling.on[node], 0);
    EXPECT_GE(filling.got, machine.free_bytes[filling.node] / 2);
    char *object = malloc(FILL_SIZE); /* it has all been given back */
    REQUIRE(object != NULL);
    touch(object, FILL_SIZE);
    free(object);
}

/* ------------------------------------------------------------------ figures, and the choice */

static int print_figures(void)
{
    Dl_info info; /* which allocator it really is */
    if (dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info) != 0 && info.dli_fname != NULL) {
        const char *slash = strrchr(info.dli_fname, '/');
        printf("[%s] ", slash != NULL ? slash + 1 : info.dli_fname);
    }
    for (unsigned t = 0; t < TAP_COUNT(tiers); t++) {
        unsigned long local = 0, all = 0;
        for (int node = 0; node < machine.count; node++) {
            if (machine.cpu[node] < 0 || !has_memory(node))
                continue;
            struct work work = tier_on(&tiers[t], node);
            local += work.local;
            all += work.count;
        }
        printf("%s %.1f%% ", tiers[t].name, all != 0 ? 100.0 * (double)local / (double)all : 0);
    }
    int home, other;
    if (pair_of_nodes(&home, &other)) {
        struct crossing crossing = cross(home, other);
        printf("came-back %.1f%% astray %.1f%% near %.1f%%", 100.0 * crossing.came_back / CROSS,
               100.0 * crossing.went_astray / CROSS, 100.0 * crossing.near / CROSS);
    }
    printf("\n");
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = getenv("PLACEMENT");
    look_at_machine();
    if (what != NULL && strcmp(what, "figures") == 0)
        return print_figures();
    static const struct tap_case places[] = {
        {"the mode tells that memory is bound", test_mode},
        {"99 of 100 objects of a thread lie on its node", test_threads_lie_on_their_nodes},
        {"memory freed by another node comes back only to its home's pages", test_crossing},
        {"an object asked for on a node lies there, whoever calls", test_on_node},
        {"an object asked for on a shard lies on its node", test_on_shard},
        {"an interleaved object is spread within 2%", test_interleaved},
        {"a pinned thread allocates from its shard", test_pinned},
        {"an object moves to a node and back", test_move},
        {"a shard moves to a node and back", test_move_shard},
    };
    static const struct tap_case spill[] = {
        {"a full node spills to the nearest, counted", test_full_node_spills},
    };
    static const struct tap_case refuse[] = {
        {"with HAKMEM_BIND=bind a full node is ENOMEM, and no process is killed",
         test_full_node_refuses},
    };
    if (what != NULL && strcmp(what, "spill") == 0)
        return tap_run(argc, argv, TAP_PRELOADED, spill, TAP_COUNT(spill));
    static const struct tap_case refused[] = {
        {"where binding is refused there is memory, and the mode says why", test_refused},
        {"99 of 100 objects of a thread lie on its node by the first touch",
         test_threads_lie_on_their_nodes},
    };
    if (what != NULL && strcmp(what, "refused") == 0)
        return tap_run(argc, argv, TAP_PRELOADED, refused, TAP_COUNT(refused));
    if (what != NULL && strcmp(what, "refuse") == 0)
        return tap_run(argc, argv, TAP_PRELOADED, refuse, TAP_COUNT(refuse));
    return tap_run(argc, argv, TAP_PRELOADED, places, TAP_COUNT(places));
}
