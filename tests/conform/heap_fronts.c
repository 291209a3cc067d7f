/* SPDX-License-Identifier: MIT */
/*
 * heap_fronts.c - heaps with HAKMEM_HEAP_FRONTS in every mode: memory stays apart, figures and limits
 * hold, what threads had comes back, and heaps end while other threads have fronts of them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hakmem.h"
#include "tests/lib/prng.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"
#include "tests/lib/weak.h"

static void *(*volatile allocate)(size_t) = malloc;
static void (*volatile release)(void *) = free;

enum {
    MIB = 1024 * 1024,
    MANY = 6000,
};

static char *many[MANY];

static int has_none(void)
{
    if (hakmem_heap_create != NULL)
        return 0;
    tap_skip("no hakmem here");
    return 1;
}

static struct hakmem_heap *create(enum hakmem_heap_sharding sharding, size_t limit)
{
    struct hakmem_heap_options options = {.size = sizeof options};
    options.flags = HAKMEM_HEAP_FRONTS;
    options.sharding = sharding;
    options.limit = limit;
    return hakmem_heap_create(&options);
}

static struct hakmem_heap_stats stats_of(struct hakmem_heap *heap)
{
    struct hakmem_heap_stats stats = {0};
    EXPECT_EQ(hakmem_heap_stats(heap, &stats, sizeof stats), 0);
    return stats;
}

/* Whether threads get fronts here: not where each free is checked, nor where membarrier is
 * refused. */
static int are_there_fronts(void)
{
    struct hakmem_heap *heap = create(HAKMEM_HEAP_ONE, 0);
    if (!EXPECT(heap != NULL))
        return 0;
    for (unsigned i = 0; i < 10; i++)
        many[i] = hakmem_heap_malloc(heap, 50);
    for (unsigned i = 0; i < 10; i++)
        hakmem_heap_free(heap, many[i]);
    int are = stats_of(heap).fronts != 0;
    EXPECT_EQ(hakmem_heap_destroy(heap), 0);
    return are;
}

/* ------------------------------------------------------------------ objects */

static void test_objects(void)
{
    if (has_none())
        return;
    for (int sharding = HAKMEM_HEAP_ONE; sharding <= HAKMEM_HEAP_CPU; sharding++) {
        struct hakmem_heap *heap = create((enum hakmem_heap_sharding)sharding, 0);
        REQUIRE(heap != NULL);
        size_t used = 0;
        for (unsigned i = 0; i < MANY; i++) {
            many[i] = i % 3 == 0 ? hakmem_heap_calloc(heap, 1, i % 1100)
                                 : hakmem_heap_malloc(heap, i % 1100);
            REQUIRE(many[i] != NULL);
            if (i % 3 == 0)
                EXPECT(i % 1100 == 0 || many[i][i % 1100 - 1] == 0);
            EXPECT(hakmem_heap_of(many[i]) == heap);
            EXPECT_GE(hakmem_usable_size(many[i]), i % 1100);
            used += hakmem_usable_size(many[i]);
            memset(many[i], (int)i, i % 1100);
        }
        EXPECT_EQ(stats_of(heap).used, used);
        for (unsigned i = 0; i < MANY; i++) {
            EXPECT(i % 1100 == 0 || many[i][i % 1100 - 1] == (char)i);
            if (i % 4 == 0)
                release(many[i]);
            else
                hakmem_heap_free(heap, many[i]);
        }
        EXPECT_EQ(stats_of(heap).used, 0);
        hakmem_thread_flush();
        EXPECT_EQ(stats_of(heap).fronts, 0);
        EXPECT_EQ(hakmem_heap_destroy(heap), 0);
    }
}

/* More heaps than a thread has fronts: some have none, and all stay apart. */
static void test_apart(void)
{
    enum { HEAPS = 12 };
    struct hakmem_heap *heaps[HEAPS];
    unsigned strays = 0;
    if (has_none())
        return;
    for (unsigned i = 0; i < HEAPS; i++)
        REQUIRE((heaps[i] = create((enum hakmem_heap_sharding)(i % 4), 0)) != NULL);
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < MANY; i++) {
            many[i] = i % 13 == 12 ? allocate(i % 300) : hakmem_heap_malloc(heaps[i % 13], i % 300);
            REQUIRE(many[i] != NULL);
            strays += hakmem_heap_of(many[i]) != (i % 13 == 12 ? NULL : heaps[i % 13]);
        }
        for (unsigned i = 0; i < MANY; i++) {
            if (i % 13 == 12 || i % 5 == 0)
                release(many[i]);
            else
                hakmem_heap_free(heaps[i % 13], many[i]);
        }
    }
    EXPECT_EQ(strays, 0);
    for (unsigned i = 0; i < HEAPS; i++) {
        EXPECT_EQ(stats_of(heaps[i]).used, 0);
        EXPECT_EQ(hakmem_heap_destroy(heaps[i]), 0);
    }
}

static unsigned fill_up(struct hakmem_heap *heap, size_t size)
{
    unsigned count = 0;
    while (count < MANY && (many[count] = hakmem_heap_malloc(heap, size)) != NULL)
        count++;
    EXPECT_EQ(errno, ENOMEM);
    for (unsigned i = 0; i < count; i++)
        hakmem_heap_free(heap, many[i]);
    return count;
}

/* What the thread's own front has serves any size before the limit refuses. */
static void test_limits(void)
{
    if (has_none())
        return;
    struct hakmem_heap *heap = create(HAKMEM_HEAP_ONE, 4 * MIB);
    REQUIRE(heap != NULL);
    unsigned first = fill_up(heap, 1000);
    EXPECT_GE(first, 3900);
    EXPECT_EQ(fill_up(heap, 900), fill_up(heap, 900));
    EXPECT_GE(fill_up(heap, 1 * MIB), 1);
    EXPECT_EQ(fill_up(heap, 1000), first);
    EXPECT_LE(stats_of(heap).mapped, 4 * MIB);
    hakmem_heap_purge(heap);
    EXPECT_EQ(stats_of(heap).fronts, 0);
    EXPECT_EQ(stats_of(heap).used, 0);
    EXPECT_EQ(hakmem_heap_destroy(heap), 0);
}

/* ------------------------------------------------------------------ threads */

static void *use_and_end(void *argument)
{
    struct hakmem_heap *heap = *(struct hakmem_heap **)argument;
    void *mine[100];
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 100; i++)
            EXPECT((mine[i] = hakmem_heap_malloc(heap, i * 5)) != NULL);
        for (unsigned i = 0; i < 100; i++)
            hakmem_heap_free(heap, mine[i]);
    }
    return NULL;
}

/* Threads that end give back what their fronts had. */
static void test_ends_of_threads(void)
{
    struct hakmem_heap *heaps[8];
    if (has_none())
        return;
    heaps[0] = create(HAKMEM_HEAP_CPU, 0);
    REQUIRE(heaps[0] != NULL);
    for (unsigned i = 1; i < TAP_COUNT(heaps); i++)
        heaps[i] = heaps[0];
    for (unsigned round = 0; round < 10; round++)
        threads_run(TAP_COUNT(heaps), use_and_end, heaps, sizeof heaps[0]);
    EXPECT_EQ(stats_of(heaps[0]).fronts, 0);
    EXPECT_EQ(stats_of(heaps[0]).used, 0);
    EXPECT_EQ(hakmem_heap_destroy(heaps[0]), 0);
}

enum {
    USERS = 8,
    STAGES = 4,
    ROUNDS = 60,
};

/* Heaps that threads use while they are open. */
static struct {
    struct hakmem_heap *heap;
    int users;
    int open;
} stage[STAGES];

static int stage_is_over;

static void use_stage(unsigned index, struct prng *seed)
{
    char *mine[30];
    unsigned count = 0;
    __atomic_fetch_add(&stage[index].users, 1, __ATOMIC_SEQ_CST);
    while (count < 30 && __atomic_load_n(&stage[index].open, __ATOMIC_SEQ_CST)) {
        mine[count] = hakmem_heap_malloc(stage[index].heap, prng_next(seed) % 300 + 1);
        REQUIRE(mine[count] != NULL);
        *mine[count++] = (char)index;
    }
    while (count != 0) {
        EXPECT_EQ(*mine[--count], (char)index);
        if (count % 7 == 0)
            release(mine[count]);
        else
            hakmem_heap_free(stage[index].heap, mine[count]);
    }
    __atomic_fetch_sub(&stage[index].users, 1, __ATOMIC_SEQ_CST);
}

static void *use_stages(void *unused)
{
    struct prng seed = {(uintptr_t)&seed};
    while (!__atomic_load_n(&stage_is_over, __ATOMIC_ACQUIRE))
        use_stage((unsigned)(prng_next(&seed) % STAGES), &seed);
    return unused;
}

static void end_stage(unsigned index)
{
    __atomic_store_n(&stage[index].open, 0, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&stage[index].users, __ATOMIC_SEQ_CST) != 0)
        sched_yield();
    EXPECT_EQ(stats_of(stage[index].heap).used, 0);
    EXPECT_EQ(hakmem_heap_destroy(stage[index].heap), 0);
}

/* The other threads' fronts are of a heap that is gone, or of the next one at the same address. */
static void *end_and_create(void *unused)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned index = round % STAGES;
        if (round >= STAGES)
            end_stage(index);
        stage[index].heap = create((enum hakmem_heap_sharding)(round % 3), 0);
        if (!EXPECT(stage[index].heap != NULL))
            abort();
        __atomic_store_n(&stage[index].open, 1, __ATOMIC_SEQ_CST);
        sched_yield();
    }
    for (unsigned index = 0; index < STAGES; index++)
        end_stage(index);
    __atomic_store_n(&stage_is_over, 1, __ATOMIC_RELEASE);
    return unused;
}

static void *play_part(void *argument)
{
    return *(int *)argument ? end_and_create(NULL) : use_stages(NULL);
}

static void test_threads(void)
{
    int ends[USERS + 1] = {1};
    if (has_none())
        return;
    stage_is_over = 0;
    threads_run(USERS + 1, play_part, ends, sizeof ends[0]);
}

/* Calls on a heap while another thread ends it: they are served or refused. */
static struct hakmem_heap *doomed;
static unsigned served;
static unsigned faults;

static void note_unless(int condition)
{
    if (!EXPECT(condition))
        __atomic_fetch_add(&faults, 1, __ATOMIC_RELAXED);
}

static void *call_until_refused(void *unused)
{
    struct hakmem_heap *heap = __atomic_load_n(&doomed, __ATOMIC_ACQUIRE);
    void *last = NULL;
    for (unsigned i = 0; i < 10000000; i++) {
        errno = 0;
        void *object = hakmem_heap_malloc(heap, i % 500);
        if (object == NULL) {
            note_unless(errno == EINVAL);
            break;
        }
        if (i % 16 == 0)
            __atomic_fetch_add(&served, 16, __ATOMIC_RELAXED);
        hakmem_heap_free(heap, last);
        last = object;
    }
    return unused;
}

static void *end_the_doomed(void *unused)
{
    while (__atomic_load_n(&served, __ATOMIC_RELAXED) < 5000)
        sched_yield();
    note_unless(hakmem_heap_destroy(doomed) == 0);
    return unused;
}

static void *call_or_end(void *argument)
{
    return *(int *)argument ? end_the_doomed(NULL) : call_until_refused(NULL);
}

/* HAKMEM_MISUSE=ignore, for a free may come too late. */
static int act(void)
{
    for (unsigned round = 0; round < 20; round++) {
        int ends[5] = {1};
        doomed = create(round % 2 == 0 ? HAKMEM_HEAP_CPU : HAKMEM_HEAP_ONE, 0);
        if (doomed == NULL)
            return 1;
        served = 0;
        threads_run(5, call_or_end, ends, sizeof ends[0]);
    }
    return faults != 0;
}

static int misuse(const char *what)
{
    struct hakmem_heap *heap = create(HAKMEM_HEAP_ONE, 0);
    struct hakmem_heap *second = create(HAKMEM_HEAP_ONE, 0);
    char *object = hakmem_heap_malloc(heap, 100);
    char *neighbour = hakmem_heap_malloc(heap, 100);
    hakmem_heap_free(second, hakmem_heap_malloc(second, 10));
    if (strcmp(what, "twice") == 0)
        hakmem_heap_free(heap, object), hakmem_heap_free(heap, object);
    else if (strcmp(what, "twice_by_free") == 0)
        hakmem_heap_free(heap, object), release(object);
    else if (strcmp(what, "resized_when_free") == 0)
        hakmem_heap_free(heap, object), object = realloc(object, 200);
    else if (strcmp(what, "of_no_memory") == 0)
        hakmem_heap_free(heap, (void *)-1);
    else if (strcmp(what, "twice_with_one_between") == 0)
        hakmem_heap_free(heap, object), hakmem_heap_free(heap, neighbour),
            hakmem_heap_free(heap, object), hakmem_thread_flush();
    else if (strcmp(what, "interior") == 0)
        hakmem_heap_free(heap, object + 8);
    else if (strcmp(what, "of_another") == 0)
        hakmem_heap_free(second, object);
    else if (strcmp(what, "written") == 0)
        hakmem_heap_free(heap, object), memset(object, 0x5a, 100), hakmem_thread_flush();
    else if (strcmp(what, "after_the_end") == 0)
        hakmem_heap_destroy(heap), hakmem_heap_free(heap, object);
    else
        return 77;
    return 0;
}

static int run_act(const char *what, const char *misuse)
{
    pid_t child = process_fork();
    if (child == 0) {
        char *const arguments[] = {(char *)"heap_fronts", (char *)"act", (char *)what, NULL};
        setenv("HAKMEM_MISUSE", misuse, 1);
        if (freopen("/dev/null", "w", stderr) != NULL)
            execv("/proc/self/exe", arguments);
        _exit(76);
    }
    return process_wait(child, 120);
}

static void test_calls_while_it_ends(void)
{
    if (!has_none())
        EXPECT_EQ(run_act("doomed", "ignore"), 0);
}

static void test_misuse(void)
{
    static const char *const misuses[] = {
        "twice",    "twice_by_free", "resized_when_free", "of_no_memory", "twice_with_one_between",
        "interior", "of_another",    "written",           "after_the_end"};
    if (has_none() || !are_there_fronts())
        return;
    for (unsigned i = 0; i < TAP_COUNT(misuses); i++) {
        tap_note("%s", misuses[i]);
        EXPECT_EQ(run_act(misuses[i], "abort"), 128 + SIGABRT);
        EXPECT_EQ(run_act(misuses[i], "ignore"), 0);
    }
}

/* ------------------------------------------------------------------ forks, and many heaps */

static int forks_are_over;

static void *call_while_others_fork(void *argument)
{
    struct hakmem_heap *heap = *(struct hakmem_heap **)argument;
    while (!__atomic_load_n(&forks_are_over, __ATOMIC_ACQUIRE)) {
        void *object = hakmem_heap_malloc(heap, 200);
        EXPECT(object != NULL);
        hakmem_heap_free(heap, object);
    }
    return NULL;
}

/* The child has the fronts of threads that it has not. */
static int live_in_child(struct hakmem_heap *heap, char *kept)
{
    struct hakmem_heap_stats stats;
    if (*kept != 7 || hakmem_heap_of(kept) != heap)
        return 1;
    hakmem_heap_free(heap, kept);
    void *object = hakmem_heap_malloc(heap, 100);
    if (object == NULL)
        return 2;
    hakmem_heap_free(heap, object);
    hakmem_heap_purge(heap);
    if (hakmem_heap_stats(heap, &stats, sizeof stats) != 0 || stats.fronts != 0)
        return 3;
    if (hakmem_heap_destroy(heap) != 0)
        return 4;
    heap = create(HAKMEM_HEAP_ONE, 0);
    return heap != NULL && hakmem_heap_malloc(heap, 100) != NULL ? 0 : 5;
}

static void test_forks(void)
{
    if (has_none())
        return;
    struct hakmem_heap *heap = create(HAKMEM_HEAP_ONE, 0);
    REQUIRE(heap != NULL);
    char *kept = hakmem_heap_malloc(heap, 500);
    REQUIRE(kept != NULL);
    *kept = 7;
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
    EXPECT_EQ(*kept, 7);
    EXPECT_EQ(hakmem_heap_destroy(heap), 0);
}

static void make_and_end(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct hakmem_heap *heap = create((enum hakmem_heap_sharding)(i % 4), 0);
        REQUIRE(heap != NULL);
        for (unsigned size = 10; size < 2000; size *= 3)
            *(char *)hakmem_heap_malloc(heap, size) = 1;
        hakmem_heap_free(heap, hakmem_heap_malloc(heap, 100));
        REQUIRE(hakmem_heap_destroy(heap) == 0);
    }
}

static void *make_and_end_some(void *unused)
{
    make_and_end(20);
    return unused;
}

/* However many heaps and threads there were, the process is as large as after the first few. */
static void test_flat(void)
{
    const char *count = getenv("HAKMEM_TEST_HEAPS");
    if (has_none())
        return;
    make_and_end(100);
    threads_run(4, make_and_end_some, NULL, 0);
    size_t resident = process_resident();
    make_and_end(count != NULL ? (unsigned)strtoul(count, NULL, 10) : 1000);
    for (unsigned i = 0; i < 20; i++)
        threads_run(2, make_and_end_some, NULL, 0);
    EXPECT_LE(process_resident(), resident + MIB);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "act") == 0)
        return strcmp(argv[2], "doomed") == 0 ? act() : misuse(argv[2]);
    static const struct tap_case cases[] = {
        {"objects of every sharding keep content and heap", test_objects},
        {"no object of one heap comes out of another", test_apart},
        {"a limit is exact, and nothing is lost to it", test_limits},
        {"threads that end give back what they had", test_ends_of_threads},
        {"eight threads use heaps while a ninth ends and creates", test_threads},
        {"calls on a heap that ends are served or refused", test_calls_while_it_ends},
        {"misuse is found", test_misuse},
        {"heaps go on in the child of a fork", test_forks},
        {"heaps and threads come and go, the process stays as large", test_flat},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
