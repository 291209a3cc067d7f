/* SPDX-License-Identifier: MIT */
/*
 * heaps.c - hakmem_heap_* in every mode: memory of all sizes that keeps its content, the plain names
 * on objects of heaps, limits, ends, bad input, misuse, threads and forks.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hakmem.h"
#include "tests/lib/prng.h"
#include "tests/lib/process.h"
#include "tests/lib/smaps.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"
#include "tests/lib/weak.h"

static void *(*volatile allocate)(size_t) = malloc; /* otherwise the compiler knows the function */
static void (*volatile release)(void *) = free;
static void *(*volatile resize)(void *, size_t) = realloc;

enum {
    KIB = 1024,
    MIB = 1024 * 1024,
    REGION = 2 * MIB,
};

static const size_t sizes[] = {0,    1,        16,           100,       1024,    1025,
                               4000, 32 * KIB, 32 * KIB + 1, 300 * KIB, 5 * MIB, 33 * MIB};

static int has_none(void)
{
    if (hakmem_heap_create != NULL)
        return 0;
    tap_skip("no hakmem here");
    return 1;
}

static struct hakmem_heap_options options(void)
{
    return (struct hakmem_heap_options){.size = sizeof(struct hakmem_heap_options)};
}

static struct hakmem_heap_stats stats_of(struct hakmem_heap *heap)
{
    struct hakmem_heap_stats stats = {0};
    EXPECT_EQ(hakmem_heap_stats(heap, &stats, sizeof stats), 0);
    return stats;
}

static void fill(void *object, size_t size, int seed)
{
    memset(object, seed, size < 4096 ? size : 4096);
    if (size > 4096)
        memset((char *)object + size - 64, seed, 64);
}

static int holds(const void *object, size_t size, int seed)
{
    const unsigned char *bytes = object;
    for (size_t byte = 0; byte < size;
         byte = byte == 4095 && size > 4096 + 64 ? size - 64 : byte + 1)
        if (bytes[byte] != (unsigned char)seed)
            return 0;
    return 1;
}

/* ------------------------------------------------------------------ objects */

static void use_all_sizes(struct hakmem_heap *heap)
{
    char *objects[TAP_COUNT(sizes)];
    for (unsigned i = 0; i < TAP_COUNT(sizes); i++) {
        objects[i] = hakmem_heap_malloc(heap, sizes[i]);
        REQUIRE(objects[i] != NULL);
        EXPECT_EQ((uintptr_t)objects[i] % 16, 0);
        EXPECT_GE(hakmem_heap_usable_size(objects[i]), sizes[i]);
        EXPECT_EQ(malloc_usable_size(objects[i]), hakmem_heap_usable_size(objects[i]));
        EXPECT(hakmem_heap_of(objects[i]) == heap);
        EXPECT_GE(hakmem_shard_of(objects[i]), 0);
        errno = 0;
        EXPECT(hakmem_node_of(objects[i]) >= 0 || errno == ENOENT);
        fill(objects[i], sizes[i], (int)i);
    }
    for (unsigned i = 0; i < TAP_COUNT(sizes); i++)
        EXPECT(holds(objects[i], sizes[i], (int)i));
    for (unsigned i = 0; i < TAP_COUNT(sizes); i++) {
        if (i % 2 == 0)
            release(objects[i]);
        else
            hakmem_heap_free(heap, objects[i]);
    }
    EXPECT_EQ(stats_of(heap).used, 0);
}

static void test_sizes(void)
{
    if (has_none())
        return;
    for (int sharding = HAKMEM_HEAP_ONE; sharding <= HAKMEM_HEAP_CPU; sharding++) {
        struct hakmem_heap_options wanted = options();
        wanted.sharding = (enum hakmem_heap_sharding)sharding;
        struct hakmem_heap *heap = hakmem_heap_create(&wanted);
        REQUIRE(heap != NULL);
        EXPECT_GE(stats_of(heap).shards, 1);
        use_all_sizes(heap);
        EXPECT_EQ(hakmem_heap_destroy(heap), 0);
    }
}

static void test_pages(void)
{
    if (has_none())
        return;
    for (int pages = HAKMEM_HEAP_PAGES_DEFAULT; pages <= HAKMEM_HEAP_PAGES_HUGETLB; pages++) {
        struct hakmem_heap_options wanted = options();
        wanted.pages = (enum hakmem_heap_pages)pages;
        wanted.flags = HAKMEM_HEAP_NO_DUMP;
        wanted.placement = HAKMEM_HEAP_WEIGHTED;
        struct hakmem_heap *heap = hakmem_heap_create(&wanted);
        REQUIRE(heap != NULL);
        use_all_sizes(heap);
        void *object = hakmem_heap_malloc(heap, 100);
        if (smaps_has_flag(object, " dd") >= 0)
            EXPECT_EQ(smaps_has_flag(object, " dd"), 1);
        EXPECT_EQ(hakmem_heap_destroy(heap), 0);
    }
}

static void test_populated(void)
{
    if (has_none())
        return;
    struct hakmem_heap_options wanted = options();
    wanted.flags = HAKMEM_HEAP_POPULATE;
    struct hakmem_heap *heap = hakmem_heap_create(&wanted);
    REQUIRE(heap != NULL);
    size_t before = process_resident();
    void *object = hakmem_heap_malloc(heap, 8 * MIB);
    REQUIRE(object != NULL);
    EXPECT_GE(process_resident(), before + 7 * MIB);
    /* A trim of the whole process leaves the heap its pages; hakmem_heap_purge gives them back. */
    release(object);
    hakmem_trim();
    EXPECT_GE(process_resident(), before + 7 * MIB);
    EXPECT_GE(hakmem_heap_purge(heap), 7 * MIB);
    EXPECT_LE(process_resident(), before + MIB);
    EXPECT_EQ(hakmem_heap_destroy(heap), 0);
    EXPECT_LE(process_resident(), before + MIB);
}

static void test_aligned_and_zero(void)
{
    if (has_none())
        return;
    struct hakmem_heap *heap = hakmem_heap_create(NULL);
    REQUIRE(heap != NULL);
    for (size_t alignment = 1; alignment <= 8 * MIB; alignment *= 2)
        for (unsigned i = 0; i < TAP_COUNT(sizes); i++) {
            void *object = hakmem_heap_aligned_alloc(heap, alignment, sizes[i]);
            REQUIRE(object != NULL);
            EXPECT_EQ((uintptr_t)object % alignment, 0);
            EXPECT_GE(malloc_usable_size(object), sizes[i]);
            fill(object, sizes[i], 0xff);
            release(object);
        }
    for (unsigned i = 0; i < TAP_COUNT(sizes); i++) {
        void *object = hakmem_heap_calloc(heap, 1, sizes[i]);
        EXPECT(object != NULL && holds(object, sizes[i], 0));
        hakmem_heap_free(heap, object);
    }
    errno = 0;
    EXPECT(hakmem_heap_aligned_alloc(heap, 3, 8) == NULL && errno == EINVAL);
    errno = 0;
    EXPECT(hakmem_heap_malloc(heap, (size_t)PTRDIFF_MAX + 1) == NULL && errno == ENOMEM);
    errno = 0;
    EXPECT(hakmem_heap_calloc(heap, SIZE_MAX / 2, 3) == NULL && errno == ENOMEM);
    EXPECT_EQ(hakmem_heap_destroy(heap), 0);
}

static void test_realloc(void)
{
    if (has_none())
        return;
    struct hakmem_heap *heap = hakmem_heap_create(NULL);
    REQUIRE(heap != NULL);
    for (unsigned from = 1; from < TAP_COUNT(sizes); from++)
        for (unsigned to = 1; to < TAP_COUNT(sizes); to++) {
            char *object = hakmem_heap_realloc(heap, NULL, sizes[from]);
            size_t kept = sizes[from] < sizes[to] ? sizes[from] : sizes[to];
            REQUIRE(object != NULL);
            memset(object, 0x5a, kept < 4096 ? kept : 4096);
            object = to % 2 == 0 ? resize(object, sizes[to])
                                 : hakmem_heap_realloc(heap, object, sizes[to]);
            REQUIRE(object != NULL);
            EXPECT(holds(object, kept < 4096 ? kept : 4096, 0x5a));
            EXPECT(hakmem_heap_of(object) == heap);
            EXPECT_GE(malloc_usable_size(object), sizes[to]);
            EXPECT(resize(object, 0) == NULL);
        }
    EXPECT_EQ(stats_of(heap).used, 0);
    EXPECT_EQ(hakmem_heap_destroy(heap), 0);
}

/* ------------------------------------------------------------------ apart */

enum { MANY = 20000 };

static void *many[MANY];
static void *others[MANY];

/* No heap, and not the default one either, hands out an object that another heap freed. */
static void test_apart(void)
{
    if (has_none())
        return;
    struct hakmem_heap *heap = hakmem_heap_create(NULL);
    struct hakmem_heap *second = hakmem_heap_create(NULL);
    REQUIRE(heap != NULL && second != NULL);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < MANY; i++) {
            many[i] = hakmem_heap_malloc(heap, i % 200 + 1);
            others[i] =
                i % 2 == 0 ? hakmem_heap_malloc(second, i % 200 + 1) : allocate(i % 200 + 1);
        }
        unsigned strays = 0;
        for (unsigned i = 0; i < MANY; i++) {
            strays += hakmem_heap_of(many[i]) != heap;
            errno = 0;
            strays += hakmem_heap_of(others[i]) != (i % 2 == 0 ? second : NULL);
            strays += i % 2 != 0 && errno != ENOENT;
        }
        EXPECT_EQ(strays, 0);
        for (unsigned i = 0; i < MANY; i++) {
            release(many[i]);
            release(others[i]);
        }
    }
    EXPECT_EQ(hakmem_heap_destroy(second), 0);
    EXPECT_EQ(hakmem_heap_destroy(heap), 0);
}

static void test_utilisation(void)
{
    if (has_none())
        return;
    struct hakmem_heap *heap = hakmem_heap_create(NULL);
    REQUIRE(heap != NULL);
    for (unsigned i = 0; i < MANY; i++)
        many[i] = hakmem_heap_malloc(heap, 64);
    struct hakmem_page_use use;
    EXPECT_EQ(hakmem_page_utilisation(many[0], &use, sizeof use), 0);
    EXPECT_EQ(use.object_size, 64);
    EXPECT_EQ(use.slab_objects, 1024);
    /* The first slab empties but for one object: that object should move. */
    for (unsigned i = 1; i < 1000; i++)
        release(many[i]);
    EXPECT_EQ(hakmem_page_utilisation(many[0], &use, sizeof use), 1);
    EXPECT_EQ(use.slab_free, 999);
    EXPECT_EQ(hakmem_page_utilisation(many[5000], NULL, 0), 0);
    errno = 0;
    EXPECT(hakmem_page_utilisation(&use, NULL, 0) == -1 && errno == EINVAL);
    void *run = hakmem_heap_malloc(heap, 100 * KIB);
    errno = 0;
    EXPECT(hakmem_page_utilisation(run, NULL, 0) == -1 && errno == ENOENT);
    void *plain = allocate(64);
    EXPECT_GE(hakmem_page_utilisation(plain, NULL, 0), 0);
    release(plain);
    EXPECT_EQ(hakmem_heap_destroy(heap), 0);
}

/* Moves the objects that the hint names. Returns how many. */
static unsigned move_together(unsigned size)
{
    unsigned moved = 0;
    for (unsigned i = 0; i < MANY; i++) {
        if (many[i] == NULL || hakmem_page_utilisation(many[i], NULL, 0) != 1)
            continue;
        void *copy = hakmem_malloc_direct(size);
        if (!EXPECT(copy != NULL))
            break;
        memcpy(copy, many[i], size);
        hakmem_free_direct(many[i]);
        many[i] = copy;
        moved++;
    }
    return moved;
}

/* Every other object of the default heap goes: all slabs are half full, and as full as any other. */
static void test_moving_together(void)
{
    enum { SIZE = 480 };
    struct hakmem_heap_stats before, after;
    if (has_none())
        return;
    for (unsigned i = 0; i < MANY; i++) {
        many[i] = allocate(SIZE);
        REQUIRE(many[i] != NULL);
        memset(many[i], (int)i, SIZE);
    }
    for (unsigned i = 0; i < MANY; i += 2) {
        release(many[i]);
        many[i] = NULL;
    }
    hakmem_thread_flush();
    EXPECT_EQ(hakmem_heap_stats(NULL, &before, sizeof before), 0);
    unsigned moved = move_together(SIZE);
    EXPECT_EQ(hakmem_heap_stats(NULL, &after, sizeof after), 0);
    EXPECT_GE(moved, MANY / 8);
    EXPECT_GE(MANY / 2, moved);
    /* The half of them that is free now was a quarter of all. */
    EXPECT_GE(before.slabs, after.slabs + MANY * SIZE / 8);
    for (unsigned i = 1; i < MANY; i += 2) {
        EXPECT(((unsigned char *)many[i])[SIZE - 1] == (unsigned char)i);
        hakmem_free_direct(many[i]);
    }
    void *large = hakmem_malloc_direct(100 * KIB);
    EXPECT(large != NULL && hakmem_usable_size(large) >= 100 * KIB);
    hakmem_free_direct(large);
    hakmem_free_direct(NULL);
    void *nothing = hakmem_malloc_direct(0);
    EXPECT(nothing != NULL);
    hakmem_free_direct(nothing);
}

/* ------------------------------------------------------------------ limits */

static unsigned calls_of_soft_limit;

static void note_soft_limit(struct hakmem_heap *heap, size_t mapped, void *argument)
{
    calls_of_soft_limit++;
    EXPECT(argument == &calls_of_soft_limit);
    EXPECT_GE(mapped, 4 * MIB);
    /* Called outside all locks, so it may allocate. */
    release(hakmem_heap_malloc(heap, 10));
    release(allocate(100));
}

/* Takes objects until there is no memory, and frees them. Returns how many there were. */
static unsigned fill_up(struct hakmem_heap *heap, size_t size)
{
    unsigned count = 0;
    while (count < MANY && (many[count] = hakmem_heap_malloc(heap, size)) != NULL)
        count++;
    EXPECT_EQ(errno, ENOMEM);
    struct hakmem_heap_stats stats = stats_of(heap);
    EXPECT_LE(stats.mapped, stats.limit);
    EXPECT_GE(stats.mapped + REGION, stats.limit);
    for (unsigned i = 0; i < count; i++)
        release(many[i]);
    EXPECT_EQ(stats_of(heap).used, 0);
    return count;
}

static void test_limits(void)
{
    if (has_none())
        return;
    struct hakmem_heap_options wanted = options();
    wanted.limit = 8 * MIB + 1000;
    wanted.soft_limit = 4 * MIB;
    wanted.soft_limit_reached = note_soft_limit;
    wanted.argument = &calls_of_soft_limit;
    struct hakmem_heap *heap = hakmem_heap_create(&wanted);
    REQUIRE(heap != NULL);
    calls_of_soft_limit = 0;
    EXPECT_EQ(stats_of(heap).limit, 8 * MIB);
    unsigned first = fill_up(heap, 1000);
    EXPECT_GE(first, 3 * 1900);
    EXPECT_EQ(calls_of_soft_limit, 1);
    EXPECT_EQ(fill_up(heap, 1000), first);
    /* Memory freed in one size serves another: none is lost. */
    unsigned runs = fill_up(heap, 300 * KIB);
    EXPECT_GE(runs, 20);
    EXPECT_GE(calls_of_soft_limit, 2);
    EXPECT_GE(fill_up(heap, 20000), 6 * MIB / 21000);
    EXPECT_EQ(fill_up(heap, 1000), first);
    EXPECT_EQ(fill_up(heap, 300 * KIB), runs);
    errno = 0;
    EXPECT(hakmem_heap_malloc(heap, 9 * MIB) == NULL && errno == ENOMEM);
    EXPECT(hakmem_heap_malloc(heap, 40 * MIB) == NULL);
    EXPECT_GE(stats_of(heap).refused, 1);
    hakmem_heap_purge(heap);
    EXPECT_LE(stats_of(heap).mapped, REGION);
    EXPECT_EQ(hakmem_heap_destroy(heap), 0);
}

/* ------------------------------------------------------------------ bad input */

static void expect_refused(const struct hakmem_heap_options *wanted)
{
    errno = 0;
    EXPECT(hakmem_heap_create(wanted) == NULL);
    EXPECT_EQ(errno, EINVAL);
}

static void test_bad_input(void)
{
    if (has_none())
        return;
    struct hakmem_heap_options wanted = {0};
    expect_refused(&wanted);
    struct {
        struct hakmem_heap_options known;
        char later[8];
    } newer = {.known = options()};
    newer.known.size = sizeof newer;
    struct hakmem_heap *heap = hakmem_heap_create(&newer.known);
    EXPECT(heap != NULL);
    EXPECT_EQ(hakmem_heap_destroy(heap), 0);
    newer.later[3] = 1;
    expect_refused(&newer.known);
    wanted = options(), wanted.sharding = (enum hakmem_heap_sharding)4, expect_refused(&wanted);
    wanted = options(), wanted.placement = (enum hakmem_heap_placement)5, expect_refused(&wanted);
    wanted = options(), wanted.pages = (enum hakmem_heap_pages)4, expect_refused(&wanted);
    wanted = options(), wanted.flags = 8, expect_refused(&wanted);
    wanted = options(), wanted.limit = REGION - 1, expect_refused(&wanted);
    wanted = options(), wanted.soft_limit = REGION, expect_refused(&wanted);
    wanted = options(), wanted.nodes = 1, expect_refused(&wanted);
    wanted = options(), wanted.placement = HAKMEM_HEAP_PREFER, expect_refused(&wanted);
    wanted.nodes = UINT64_C(1) << 63, expect_refused(&wanted);
    wanted = options(), wanted.placement = HAKMEM_HEAP_BIND, expect_refused(&wanted);
    wanted = options();
    wanted.soft_limit_reached = note_soft_limit;
    wanted.limit = REGION;
    wanted.soft_limit = REGION + 1;
    expect_refused(&wanted);
    errno = 0;
    EXPECT(hakmem_heap_malloc(NULL, 1) == NULL && errno == EINVAL);
    EXPECT(hakmem_heap_destroy(NULL) == -1);
    errno = 0;
    EXPECT(hakmem_heap_of(&wanted) == NULL && errno == EINVAL);
    hakmem_heap_free(NULL, NULL);
}

static void test_default_heap_is_told(void)
{
    if (has_none())
        return;
    struct hakmem_heap_stats before = stats_of(NULL);
    void *object = malloc(((size_t)5 << 20));
    REQUIRE(object != NULL);
    struct hakmem_heap_stats after = stats_of(NULL);
    EXPECT_GE(after.used, before.used + ((size_t)5 << 20));
    EXPECT_GE(after.used, after.used_small + ((size_t)5 << 20));
    EXPECT_GE(after.mapped, after.used);
    EXPECT_GE(after.metadata, 1);
    EXPECT_GE(after.shards, 1);
    free(object);
    EXPECT_GE(before.used + ((size_t)5 << 20) / 2, stats_of(NULL).used);
    EXPECT_EQ(hakmem_heap_stats(NULL, NULL, 0), 0);
}

/* ------------------------------------------------------------------ ends */

static void test_end(void)
{
    if (has_none())
        return;
    struct hakmem_heap_options wanted = options();
    wanted.sharding = HAKMEM_HEAP_CPU;
    struct hakmem_heap *heap = hakmem_heap_create(&wanted);
    REQUIRE(heap != NULL);
    size_t before = process_resident();
    for (unsigned i = 0; i < MANY; i++) {
        many[i] = hakmem_heap_malloc(heap, 3000);
        REQUIRE(many[i] != NULL);
        memset(many[i], 1, 3000);
    }
    EXPECT_GE(process_resident(), before + 40 * MIB);
    EXPECT_EQ(hakmem_heap_destroy(heap), 0);
    EXPECT_LE(process_resident(), before + 4 * MIB);
    errno = 0;
    EXPECT(hakmem_heap_destroy(heap) == -1 && errno == EINVAL);
    errno = 0;
    EXPECT(hakmem_heap_malloc(heap, 1) == NULL && errno == EINVAL);
    EXPECT(hakmem_heap_of(many[0]) == NULL);
}

/* Mapped bytes and mappings of the process; 0: /proc is not to be read. */
static size_t mapped(unsigned *mappings)
{
    static char line[512];
    size_t bytes = 0;
    *mappings = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            bytes += to - from, (*mappings)++;
    }
    if (maps != NULL)
        fclose(maps);
    return bytes;
}

static void make_and_end(unsigned count)
{
    struct hakmem_heap_options wanted = options();
    for (unsigned i = 0; i < count; i++) {
        wanted.sharding = (enum hakmem_heap_sharding)(i % 4);
        wanted.limit = i % 3 == 0 ? 64 * MIB : 0;
        struct hakmem_heap *heap = hakmem_heap_create(&wanted);
        REQUIRE(heap != NULL);
        for (unsigned size = 10; size < 100000; size *= 7)
            *(char *)hakmem_heap_malloc(heap, size) = 1;
        REQUIRE(hakmem_heap_destroy(heap) == 0);
    }
}

/* However many heaps there were, the process is as large as after the first few. */
static void test_flat(void)
{
    const char *count = getenv("HAKMEM_TEST_HEAPS");
    unsigned before, after;
    if (has_none())
        return;
    make_and_end(100);
    size_t bytes = mapped(&before);
    size_t resident = process_resident();
    make_and_end(count != NULL ? (unsigned)strtoul(count, NULL, 10) : 2000);
    EXPECT_LE(mapped(&after), bytes + MIB);
    EXPECT_LE(after, before + 4);
    EXPECT_LE(process_resident(), resident + MIB);
}

/* Many at once: each its own, and all gone at the end. */
static void test_many_at_once(void)
{
    enum { HEAPS = 300 };
    struct hakmem_heap *heaps[HEAPS];
    if (has_none())
        return;
    for (unsigned i = 0; i < HEAPS; i++) {
        heaps[i] = hakmem_heap_create(NULL);
        REQUIRE(heaps[i] != NULL);
        many[i] = hakmem_heap_malloc(heaps[i], 100);
        REQUIRE(many[i] != NULL);
        memset(many[i], (int)i, 100);
    }
    for (unsigned i = 0; i < HEAPS; i++) {
        EXPECT(holds(many[i], 100, (int)i) && hakmem_heap_of(many[i]) == heaps[i]);
        EXPECT_EQ(hakmem_heap_destroy(heaps[i]), 0);
    }
}

/* ------------------------------------------------------------------ misuse: a process each */

static int act(const char *what)
{
    struct hakmem_heap *heap = hakmem_heap_create(NULL);
    struct hakmem_heap *second = hakmem_heap_create(NULL);
    char *object = hakmem_heap_malloc(heap, 100);
    char *neighbour = hakmem_heap_malloc(heap, 100);
    char *run = hakmem_heap_malloc(heap, 100 * KIB);
    if (strcmp(what, "twice") == 0)
        release(object), release(object);
    else if (strcmp(what, "twice_by_heap") == 0)
        hakmem_heap_free(heap, object), hakmem_heap_free(heap, object);
    else if (strcmp(what, "twice_untouched") == 0) {
        release(object);
        memset(object, 0x5a, 100); /* also a fault, but no other thread writes there now */
        release(object);
        return holds(object, 100, 0x5a) ? 0 : 1;
    } else if (strcmp(what, "realloc_of_free") == 0)
        release(object), object = resize(object, 100);
    else if (strcmp(what, "realloc_of_free_larger") == 0)
        release(object), object = hakmem_heap_realloc(heap, object, 1000);
    else if (strcmp(what, "run_twice") == 0)
        release(run), release(run);
    else if (strcmp(what, "interior") == 0)
        release(object + 16);
    else if (strcmp(what, "of_another") == 0)
        hakmem_heap_free(second, object);
    else if (strcmp(what, "of_none") == 0)
        hakmem_heap_free(heap, allocate(100));
    else if (strcmp(what, "realloc_of_another") == 0)
        object = hakmem_heap_realloc(second, object, 1000);
    else if (strcmp(what, "after_the_end") == 0)
        hakmem_heap_destroy(heap), release(object);
    else if (strcmp(what, "realloc_after_the_end") == 0)
        hakmem_heap_destroy(heap), object = resize(object, 1000);
    else
        return 77;
    return neighbour != NULL && hakmem_heap_malloc(second, 100) != NULL ? 0 : 1;
}

static const char *const misuses[] = {
    "twice",
    "twice_by_heap",
    "twice_untouched",
    "realloc_of_free",
    "realloc_of_free_larger",
    "run_twice",
    "interior",
    "of_another",
    "of_none",
    "realloc_of_another",
    "after_the_end",
    "realloc_after_the_end",
};

static int run_act(const char *what, const char *misuse)
{
    pid_t child = process_fork();
    if (child == 0) {
        char *const arguments[] = {(char *)"heaps", (char *)"act", (char *)what, NULL};
        setenv("HAKMEM_MISUSE", misuse, 1);
        if (freopen("/dev/null", "w", stderr) != NULL)
            execv("/proc/self/exe", arguments);
        _exit(76);
    }
    return process_wait(child, 60);
}

static void test_misuse(void)
{
    if (has_none())
        return;
    for (unsigned i = 0; i < TAP_COUNT(misuses); i++) {
        tap_note("%s", misuses[i]);
        EXPECT_EQ(run_act(misuses[i], "abort"), 128 + SIGABRT);
        EXPECT_EQ(run_act(misuses[i], "ignore"), 0);
    }
}

/* ------------------------------------------------------------------ threads */

enum {
    FREERS = 8,
    HEAPS = 4,
    SLOTS = 512,
    ROUNDS = 60,
};

/* A heap: one thread fills it, others free from it, then it is destroyed with the rest. */
static struct {
    struct hakmem_heap *heap;
    void *slots[SLOTS]; /* taken out by exchange, then freed */
    int freers;         /* threads that work on it */
    int open;
} stage[HEAPS];

static int stage_is_over;

static void free_some(unsigned index, struct prng *seed)
{
    __atomic_fetch_add(&stage[index].freers, 1, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < 50 && __atomic_load_n(&stage[index].open, __ATOMIC_SEQ_CST); i++) {
        unsigned slot = (unsigned)(prng_next(seed) % SLOTS);
        char *object = __atomic_exchange_n(&stage[index].slots[slot], NULL, __ATOMIC_ACQ_REL);
        if (object == NULL)
            continue;
        EXPECT_EQ(*object, (char)slot);
        if (slot % 3 == 0)
            object = resize(object, 2000);
        release(object);
    }
    __atomic_fetch_sub(&stage[index].freers, 1, __ATOMIC_SEQ_CST);
}

static void *free_for_others(void *unused)
{
    struct prng seed = {(uintptr_t)&seed};
    while (!__atomic_load_n(&stage_is_over, __ATOMIC_ACQUIRE)) {
        free_some((unsigned)(prng_next(&seed) % HEAPS), &seed);
        release(allocate(100));
    }
    return unused;
}

static void play(unsigned index)
{
    struct hakmem_heap_options wanted = options();
    wanted.sharding = (enum hakmem_heap_sharding)(index % 4);
    stage[index].heap = hakmem_heap_create(&wanted);
    REQUIRE(stage[index].heap != NULL);
    __atomic_store_n(&stage[index].open, 1, __ATOMIC_SEQ_CST);
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        char *object = hakmem_heap_malloc(stage[index].heap, slot % 50 == 0 ? 40000 : slot + 1);
        REQUIRE(object != NULL);
        *object = (char)slot;
        __atomic_store_n(&stage[index].slots[slot], object, __ATOMIC_RELEASE);
    }
}

static void end_play(unsigned index)
{
    __atomic_store_n(&stage[index].open, 0, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&stage[index].freers, __ATOMIC_SEQ_CST) != 0)
        sched_yield();
    for (unsigned slot = 0; slot < SLOTS; slot++)
        __atomic_store_n(&stage[index].slots[slot], NULL, __ATOMIC_RELAXED);
    EXPECT_EQ(hakmem_heap_destroy(stage[index].heap), 0);
}

static void *end_and_create(void *unused)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (round >= HEAPS)
            end_play(round % HEAPS);
        play(round % HEAPS);
    }
    for (unsigned index = 0; index < HEAPS; index++)
        end_play(index);
    __atomic_store_n(&stage_is_over, 1, __ATOMIC_RELEASE);
    return unused;
}

static void *play_part(void *argument)
{
    return *(int *)argument ? end_and_create(NULL) : free_for_others(NULL);
}

static void test_threads(void)
{
    int ends[FREERS + 1] = {1};
    if (has_none())
        return;
    stage_is_over = 0;
    threads_run(FREERS + 1, play_part, ends, sizeof ends[0]);
}

/* Calls on a heap while another thread destroys it: each is served or refused. */
static struct hakmem_heap *doomed;
static unsigned served;

static void *call_until_refused(void *unused)
{
    for (unsigned i = 0; i < 1000000; i++) {
        errno = 0;
        void *object = hakmem_heap_malloc(__atomic_load_n(&doomed, __ATOMIC_ACQUIRE), i % 3000);
        if (object == NULL) {
            EXPECT_EQ(errno, EINVAL);
            break;
        }
        __atomic_fetch_add(&served, 1, __ATOMIC_RELAXED);
    }
    return unused;
}

static void *end_the_doomed(void *unused)
{
    while (__atomic_load_n(&served, __ATOMIC_RELAXED) < 5000)
        sched_yield();
    EXPECT_EQ(hakmem_heap_destroy(doomed), 0);
    return unused;
}

static void *call_or_end(void *argument)
{
    return *(int *)argument ? end_the_doomed(NULL) : call_until_refused(NULL);
}

static void test_calls_while_it_ends(void)
{
    if (has_none())
        return;
    for (unsigned round = 0; round < 10; round++) {
        int ends[5] = {1};
        struct hakmem_heap_options wanted = options();
        wanted.sharding = round % 2 == 0 ? HAKMEM_HEAP_CPU : HAKMEM_HEAP_ONE;
        doomed = hakmem_heap_create(&wanted);
        REQUIRE(doomed != NULL);
        served = 0;
        threads_run(5, call_or_end, ends, sizeof ends[0]);
    }
}

/* ------------------------------------------------------------------ forks */

static int forks_are_over;

static void *call_while_others_fork(void *argument)
{
    struct hakmem_heap *heap = *(struct hakmem_heap **)argument;
    while (!__atomic_load_n(&forks_are_over, __ATOMIC_ACQUIRE)) {
        void *object = hakmem_heap_malloc(heap, 200);
        EXPECT(object != NULL);
        release(object);
    }
    return NULL;
}

static int live_in_child(struct hakmem_heap *heap, char *kept)
{
    if (!holds(kept, 5000, 7) || hakmem_heap_of(kept) != heap)
        return 1;
    void *object = hakmem_heap_malloc(heap, 100);
    if (object == NULL)
        return 2;
    release(object);
    release(kept);
    if (hakmem_heap_destroy(heap) != 0)
        return 3;
    heap = hakmem_heap_create(NULL);
    return heap != NULL && hakmem_heap_malloc(heap, 100) != NULL ? 0 : 4;
}

static void test_forks(void)
{
    if (has_none())
        return;
    struct hakmem_heap *heap = hakmem_heap_create(NULL);
    REQUIRE(heap != NULL);
    char *kept = hakmem_heap_malloc(heap, 5000);
    REQUIRE(kept != NULL);
    memset(kept, 7, 5000);
    pthread_t threads[3];
    forks_are_over = 0;
    for (unsigned i = 0; i < TAP_COUNT(threads); i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, call_while_others_fork, &heap), 0);
    for (unsigned i = 0; i < 20; i++) {
        pid_t child = process_fork();
        if (child == 0)
            _exit(live_in_child(heap, kept));
        EXPECT_EQ(process_wait(child, 60), 0);
    }
    __atomic_store_n(&forks_are_over, 1, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < TAP_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    EXPECT(holds(kept, 5000, 7));
    EXPECT_EQ(hakmem_heap_destroy(heap), 0);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "act") == 0)
        return act(argv[2]);
    static const struct tap_case cases[] = {
        {"every size, in every sharding, freed by either name", test_sizes},
        {"the default heap's figures are reported, too", test_default_heap_is_told},
        {"every kind of page, and none in core dumps", test_pages},
        {"a populated heap has its pages, until its end", test_populated},
        {"aligned objects, and zero ones", test_aligned_and_zero},
        {"realloc keeps content and heap", test_realloc},
        {"no object of one heap comes out of another", test_apart},
        {"an object in a slab that is emptier than most is found", test_utilisation},
        {"objects that move together free slabs", test_moving_together},
        {"a limit is exact, and nothing is lost to it", test_limits},
        {"impossible requests are EINVAL", test_bad_input},
        {"destroying a heap frees all of it at once", test_end},
        {"creating and destroying heaps does not grow the process", test_flat},
        {"hundreds of heaps live at once", test_many_at_once},
        {"misuse is found", test_misuse},
        {"eight threads free while a ninth destroys and creates heaps", test_threads},
        {"calls on a heap that is being destroyed are served or refused", test_calls_while_it_ends},
        {"heaps go on in the child of a fork", test_forks},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
