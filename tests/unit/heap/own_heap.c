/* SPDX-License-Identifier: MIT */
/* heap/own_heap.c: shards by CPU, memory of any shard before a refusal, ends, descriptors that are
 * used again. */
#include "heap/own_heap.h"

#include <sched.h>
#include <string.h>

#include "os/clock.h"
#include "os/section.h"
#include "tests/lib/threads.h"
#include "tests/unit/world.h"

enum { REGION = HAK_REGION_SIZE };

static const struct hak_terms unlimited = {.is_dumped = 1};

static void *take(struct hak_own_heap *heap, size_t size)
{
    bool must_tell = false;
    struct hak_own_request request = {size, 1, HAK_CLASS_NONE, HAK_ZERO_NO, NULL};
    if (size <= HAK_MID_MAX)
        request.class_id = hak_size_class(size);
    return hak_own_heap_take(heap, &request, &must_tell);
}

static void give(void *object)
{
    struct hak_page page;
    struct hak_own_shard *shard = hak_own_shard_enter_of(object, &page);
    REQUIRE(shard != NULL);
    EXPECT_EQ(hak_own_shard_give(shard, object, page), HAK_OWN_LIVE);
    hak_own_shard_leave(shard);
}

static void shards_as_the_domains_say(void)
{
    const struct world_machine machine = {8, 4, 8, "cpu"};
    const struct hak_shard_map *map = world_place(&machine);
    REQUIRE(map != NULL);
    struct hak_own_heap *heap =
        hak_own_heap_make(&unlimited, &hak_settings_default, map->domains, HAK_NODE_ANY, NULL);
    REQUIRE(heap != NULL);
    EXPECT_EQ(heap->count, 8);
    for (unsigned index = 0; index < heap->count; index++) {
        EXPECT(heap->shards[index]->heap == heap);
        EXPECT_EQ(hak_own_heap_index(heap, heap->shards[index]), index);
    }
    void *object = take(heap, 100);
    REQUIRE(object != NULL);
    EXPECT_EQ(hak_own_heap_bytes(heap).small, 112);
    give(object);
    EXPECT_EQ(hak_own_heap_end(heap), HAK_OWN_ENDED);
    EXPECT_EQ(hak_own_heap_end(heap), HAK_OWN_NOT_LIVE);
    struct hak_own_heap *again =
        hak_own_heap_make(&unlimited, &hak_settings_default, map->domains, HAK_NODE_ANY, NULL);
    EXPECT(again == heap);
    EXPECT_EQ(hak_own_heap_end(again), HAK_OWN_ENDED);
}

/* The limit lets one region be mapped: the shard that has it serves all. */
static void any_shard_serves(void)
{
    const struct world_machine machine = {8, 4, 8, "cpu"};
    const struct hak_shard_map *map = world_place(&machine);
    struct hak_terms terms = {.limit = REGION, .is_dumped = 1};
    REQUIRE(map != NULL);
    struct hak_own_heap *heap =
        hak_own_heap_make(&terms, &hak_settings_default, map->domains, HAK_NODE_ANY, NULL);
    REQUIRE(heap != NULL);
    /* Another shard than the caller's has taken it. */
    struct hak_own_request request = {100, 1, hak_size_class(100), HAK_ZERO_NO, NULL};
    unsigned own = hak_domains_shard_of(map->domains, hak_os_cpu(), 0);
    void *first = hak_own_shard_take(heap->shards[(own + 3) % 8], &request);
    REQUIRE(first != NULL);
    void *second = take(heap, 100);
    EXPECT(second != NULL);
    EXPECT(take(heap, 5000) == NULL);
    give(first);
    give(second);
    /* Unused memory of one size is given back for another. */
    void *third = take(heap, 5000);
    EXPECT(third != NULL);
    EXPECT_EQ(hak_terms_mapped(&heap->terms), REGION);
    EXPECT_EQ(hak_own_heap_end(heap), HAK_OWN_ENDED);
}

static struct hak_own_heap *shared;
static uint32_t is_over;

static void *take_and_give(void *unused)
{
    while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE)) {
        if (!hak_section_enter())
            continue;
        void *object = take(__atomic_load_n(&shared, __ATOMIC_ACQUIRE), 100);
        hak_section_leave();
        if (object == NULL)
            break;
    }
    return unused;
}

static void *end_it(void *unused)
{
    for (unsigned i = 0; i < 100; i++)
        take(shared, 64);
    EXPECT_EQ(hak_own_heap_end(shared), HAK_OWN_ENDED);
    __atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
    return unused;
}

static void *act(void *argument)
{
    return *(int *)argument ? end_it(NULL) : take_and_give(NULL);
}

static void calls_are_waited_for(void)
{
    int roles[4] = {0, 0, 0, 1};
    world_start();
    for (unsigned round = 0; round < 50; round++) {
        is_over = 0;
        shared = hak_own_heap_make(&unlimited, &hak_settings_default, NULL, HAK_NODE_ANY, NULL);
        REQUIRE(shared != NULL);
        threads_run(4, act, roles, sizeof roles[0]);
    }
    EXPECT_LE(hak_own_shard_last(), 8 + 1);
}

/* ---- objects that others free, of heaps that end --------------------------------------------- */

enum { FREERS = 8, SLOTS = 256, ROUNDS = 20 };

static void *slots[SLOTS];
static uint32_t freers;  /* that hold an object */
static uint32_t is_open; /* objects may be taken */
static uint32_t is_played;

static void *free_for_others(void *unused)
{
    for (unsigned turn = 0; !__atomic_load_n(&is_played, __ATOMIC_ACQUIRE); turn++) {
        if (!__atomic_load_n(&is_open, __ATOMIC_SEQ_CST)) {
            sched_yield();
            continue;
        }
        __atomic_fetch_add(&freers, 1, __ATOMIC_SEQ_CST);
        void *object = NULL;
        if (__atomic_load_n(&is_open, __ATOMIC_SEQ_CST))
            object = __atomic_exchange_n(&slots[turn % SLOTS], NULL, __ATOMIC_SEQ_CST);
        if (object != NULL)
            give(object);
        __atomic_fetch_sub(&freers, 1, __ATOMIC_SEQ_CST);
    }
    return unused;
}

/* Objects that no thread has freed go with the heap. */
static void make_and_end(void)
{
    struct hak_own_heap *heap =
        hak_own_heap_make(&unlimited, &hak_settings_default, NULL, HAK_NODE_ANY, NULL);
    REQUIRE(heap != NULL);
    __atomic_store_n(&is_open, 1, __ATOMIC_SEQ_CST);
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        void *object = take(heap, slot % 20 == 0 ? 40000 : slot * 8 + 1);
        REQUIRE(object != NULL);
        __atomic_store_n(&slots[slot], object, __ATOMIC_SEQ_CST);
    }
    __atomic_store_n(&is_open, 0, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&freers, __ATOMIC_SEQ_CST) != 0)
        sched_yield();
    for (unsigned slot = 0; slot < SLOTS; slot++)
        __atomic_store_n(&slots[slot], NULL, __ATOMIC_SEQ_CST);
    EXPECT_EQ(hak_own_heap_end(heap), HAK_OWN_ENDED);
}

static void *play(void *argument)
{
    if (!*(int *)argument)
        return free_for_others(NULL);
    for (unsigned round = 0; round < ROUNDS; round++)
        make_and_end();
    __atomic_store_n(&is_played, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void others_free_meanwhile(void)
{
    int roles[FREERS + 1] = {1};
    world_start();
    threads_run(FREERS + 1, play, roles, sizeof roles[0]);
}

static void upkeep_reaches_all(void)
{
    enum { MIB = 1024 * 1024, RUN = 4 * MIB };
    struct hak_own_heap *heaps[3];
    world_start();
    for (unsigned i = 0; i < 3; i++) {
        heaps[i] = hak_own_heap_make(&unlimited, &hak_settings_default, NULL, HAK_NODE_ANY, NULL);
        REQUIRE(heaps[i] != NULL);
        void *run = take(heaps[i], RUN);
        REQUIRE(run != NULL);
        memset(run, 1, RUN);
        give(run);
    }
    uint64_t now = hak_os_coarse_now_ns();
    for (unsigned tick = 0; tick < 3000; tick++)
        hak_own_heaps_tick_next(now += 20ul * 1000 * 1000);
    for (unsigned i = 0; i < 3; i++)
        EXPECT_LE(hak_own_heap_bytes(heaps[i]).cached, MIB);
    void *object = take(heaps[1], 100);
    REQUIRE(object != NULL);
    give(object);
    hak_own_heaps_purge();
    EXPECT_LE(hak_terms_mapped(&heaps[1]->terms), 4 * MIB);
    hak_own_heaps_tick(now);
    for (unsigned i = 0; i < 3; i++)
        EXPECT_EQ(hak_own_heap_end(heaps[i]), HAK_OWN_ENDED);
}

/* The facts that a call needs before it gives up at a limit. */
static void others_are_seen(void)
{
    world_start();
    struct hak_own_heap *heap =
        hak_own_heap_make(&unlimited, &hak_settings_default, NULL, HAK_NODE_ANY, NULL);
    REQUIRE(heap != NULL);
    struct hak_own_mark mark = hak_own_heap_mark(heap);
    EXPECT_EQ(hak_own_heap_was_busy(heap, &mark), 0);
    hak_own_heap_purge(heap);
    EXPECT_EQ(hak_own_heap_was_busy(heap, &mark), 0); /* the caller's own */
    hak_own_heap_purge(heap);
    EXPECT_EQ(hak_own_heap_was_busy(heap, &mark), 1);
    mark = hak_own_heap_mark(heap);
    void *object = take(heap, 100);
    REQUIRE(object != NULL);
    EXPECT_EQ(hak_own_heap_was_busy(heap, &mark), 1);
    mark = hak_own_heap_mark(heap);
    EXPECT_EQ(hak_own_shard_enter(heap->shards[0]), 1);
    EXPECT_EQ(hak_own_heap_was_busy(heap, &mark), 1);
    mark = hak_own_heap_mark(heap);
    hak_own_shard_leave(heap->shards[0]);
    EXPECT_EQ(hak_own_heap_was_busy(heap, &mark), 1);
    mark = hak_own_heap_mark(heap);
    EXPECT_EQ(hak_own_heap_was_busy(heap, &mark), 0);
    give(object);
    EXPECT_EQ(hak_own_heap_end(heap), HAK_OWN_ENDED);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"shards follow the domains, and descriptors are used again", shards_as_the_domains_say},
        {"any shard serves before a call fails for lack of memory", any_shard_serves},
        {"destroying waits for calls", calls_are_waited_for},
        {"eight threads free while a ninth destroys and creates", others_free_meanwhile},
        {"upkeep reaches all heaps", upkeep_reaches_all},
        {"at a limit a call sees what other threads map and give back", others_are_seen},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
