/* SPDX-License-Identifier: MIT */
/* front/fronts.c: the life of fronts, and how they follow their threads and the clock. */
#include "front/front.h"

#include <stdlib.h>
#include <string.h>

#include "heap/beside.h"
#include "os/clock.h"
#include "tests/lib/prng.h"
#include "tests/lib/process.h"
#include "tests/lib/threads.h"
#include "tests/unit/world.h"
#include "tiers/meta.h"

enum { CLASS = 8 };

static void fresh_fronts_are_empty(void)
{
    world_start();
    struct hak_front *first = world_front();
    struct hak_front *second = world_front();
    REQUIRE(first != NULL && second != NULL && first != second);
    EXPECT_EQ((uintptr_t)first % HAK_CACHE_LINE, 0);
    EXPECT_EQ(second->sequence, first->sequence + 1);
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++)
        world_take(second, class_id);
    hak_front_destroy(first);
    hak_front_destroy(second);
    struct hak_front *again = world_front();
    EXPECT(again == second); /* memory of ended threads is used again */
    EXPECT_EQ(again->sequence, first->sequence + 2);
    for (unsigned class_id = 0; class_id < HAK_CLASS_COUNT; class_id++) {
        struct hak_chain empty = hak_magazine_empty(class_id);
        EXPECT_EQ(again->loaded[class_id].word, empty.word);
        EXPECT_EQ(again->spare[class_id].word, empty.word);
        EXPECT_EQ(again->foreign[class_id].word, empty.word);
        if (class_id != HAK_CLASS_NONE)
            EXPECT(again->fill[class_id] >= 1 &&
                   again->fill[class_id] <= hak_classes[class_id].bundle);
    }
    EXPECT_EQ(again->spare_bytes, 0);
    hak_front_destroy(again);
    EXPECT_EQ(world_sum(HAK_COUNTER_THREADS_STARTED), world_sum(HAK_COUNTER_THREADS_EXITED));
}

/* The objects that the case above left with the program are its last. */
static void *come_and_go(void *argument)
{
    (void)argument;
    void *objects[200];
    for (unsigned round = 0; round < 40; round++) {
        struct hak_front *front = world_front();
        if (!EXPECT(front != NULL))
            return NULL;
        for (unsigned i = 0; i < 200; i++)
            objects[i] = world_take(front, 1 + (i * 7 + round) % HAK_CLASS_LAST);
        for (unsigned i = 0; i < 200; i++)
            world_give(front, objects[i]);
        hak_front_destroy(front);
    }
    return NULL;
}

static void fronts_come_and_go(void)
{
    world_by_turns("3");
    size_t taken = world_slab_bytes();
    uint64_t started = world_sum(HAK_COUNTER_THREADS_STARTED);
    threads_run(8, come_and_go, NULL, 0);
    EXPECT_EQ(world_sum(HAK_COUNTER_THREADS_STARTED) - started, 320);
    EXPECT_EQ(world_sum(HAK_COUNTER_THREADS_EXITED), world_sum(HAK_COUNTER_THREADS_STARTED));
    hak_heap_trim(hak_heap_default());
    EXPECT_LE(world_slab_bytes(), taken);
    EXPECT_EQ(world_sum(HAK_COUNTER_BAD_FREES), 0);
}

/* Shards are placed again while a front lives: at its next slow path it follows. */
static void fronts_follow_their_cpus(void)
{
    world_by_turns("1");
    struct hak_front *front = world_front();
    REQUIRE(front != NULL);
    struct hak_shard *before = front->shard;
    EXPECT_EQ(front->home, before->id);
    for (unsigned shards = 2; shards <= 5; shards++) {
        const char digits[] = {(char)('0' + shards), '\0'};
        const struct hak_shard_map *map = world_by_turns(digits);
        REQUIRE(map != NULL);
        EXPECT_EQ(map->count, shards);
        EXPECT(map->shards[0] == before);
        hak_heap_visit(hak_heap_default(), front);
        EXPECT(front->shard == map->shards[front->sequence % shards]);
        EXPECT_EQ(front->home, front->shard->id);
    }
    hak_front_destroy(front);
}

/* Pushes slow calls until the front has looked at the clock once. */
static void make_tick(struct hak_front *front)
{
    front->last_tick_ns = 0;
    for (unsigned i = 0; i < 1000 && front->last_tick_ns == 0; i++)
        hak_heap_visit(hak_heap_default(), front);
    EXPECT_LE(1, front->last_tick_ns);
}

/* The bytes behind the loaded magazines are limited; magazines that were not missed shrink at
 * ticks. */
static void spares_are_bounded(void)
{
    world_by_turns("1");
    struct hak_front *front = world_front();
    REQUIRE(front != NULL);
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++) {
        unsigned count = hak_classes[class_id].bundle * 4;
        void *objects[4 * 64];
        front->last_tick_ns = hak_os_coarse_now_ns(); /* no tick meanwhile, which shrinks */
        for (unsigned i = 0; i < count; i++)
            objects[i] = world_take(front, class_id);
        for (unsigned i = 0; i < count; i++)
            world_give(front, objects[i]);
        size_t bytes = 0;
        for (unsigned other = 1; other < HAK_CLASS_COUNT; other++)
            if (!hak_chain_is_empty(front->spare[other]))
                bytes += hak_magazine_bytes(other);
        EXPECT_EQ(front->spare_bytes, bytes);
        EXPECT_LE(front->spare_bytes, HAK_FRONT_SPARE_BYTES);
    }
    EXPECT_GE(front->spare_bytes, HAK_FRONT_SPARE_BYTES / 2); /* the limit was reached */
    for (unsigned tick = 0; tick < HAK_FRONT_IDLE_TICKS + 3; tick++)
        make_tick(front);
    EXPECT_EQ(front->spare_bytes, 0);
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++)
        EXPECT(hak_chain_top(front->spare[class_id]) == NULL);
    hak_front_destroy(front);
}

/* Objects of a class that malloc would find in the front; they are behind where it is paused. */
static unsigned held(const struct hak_front *front, unsigned class_id)
{
    return world_length(front->loaded[class_id]) + world_length(front->spare[class_id]);
}

/* Loaded objects go back two ticks after their last use, whatever the class; used ones stay, even
 * if they are never missed. */
static void unused_classes_go_back(void)
{
    enum { TICKS = 6 };
    world_by_turns("1");
    struct hak_front *front = world_front();
    REQUIRE(front != NULL);
    void *kept[TICKS] = {NULL};
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++) {
        front->slow_calls = 0; /* no tick but the test's */
        void *first = world_take(front, class_id);
        void *second = world_take(front, class_id);
        world_give(front, first);
        world_give(front, second);
        EXPECT(hak_chain_top(front->loaded[class_id]) != NULL);
    }
    for (unsigned i = 0; i < TICKS; i++) /* so that the class need not be missed */
        kept[i] = world_take(front, CLASS);
    for (unsigned i = 0; i < TICKS; i++)
        world_give(front, kept[i]);
    for (unsigned i = 0; i < TICKS; i++) {
        kept[i] = world_take(front, CLASS);
        EXPECT(kept[i] != NULL);
        make_tick(front);
        EXPECT((i < HAK_FRONT_IDLE_TICKS) == (held(front, CLASS + 1) != 0));
    }
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++)
        if (class_id != CLASS)
            EXPECT_EQ(held(front, class_id), 0);
    for (unsigned i = 0; i < TICKS; i++)
        world_give(front, kept[i]);
    EXPECT_GE(held(front, CLASS), TICKS);
    for (unsigned tick = 0; tick <= HAK_FRONT_IDLE_TICKS; tick++)
        make_tick(front);
    EXPECT_EQ(held(front, CLASS), 0);
    hak_front_destroy(front);
    EXPECT_EQ(world_sum(HAK_COUNTER_BAD_FREES), 0);
}

static void ticks_are_seldom(void)
{
    world_by_turns("1");
    struct hak_front *front = world_front();
    REQUIRE(front != NULL);
    make_tick(front);
    uint64_t now = hak_os_coarse_now_ns();
    uint64_t last = now - 50 * 1000 * 1000; /* half of the time is over */
    front->last_tick_ns = last;
    for (unsigned i = 0; i < 1000 && hak_os_coarse_now_ns() == now; i++)
        hak_heap_visit(hak_heap_default(), front);
    if (hak_os_coarse_now_ns() - last < 100 * 1000 * 1000)
        EXPECT_EQ(front->last_tick_ns, last);
    hak_front_destroy(front);
}

/* As in the child of a fork: another thread's front is not touched at once, but all its objects
 * come back little by little; the surviving thread's front stays. */
static void a_child_inherits(void)
{
    world_by_turns("2");
    struct hak_front *theirs = world_front();
    struct hak_front *mine = world_front(); /* the last is the thread's own */
    REQUIRE(mine != NULL && theirs != NULL);
    world_give(mine, world_take(mine, CLASS));
    for (unsigned i = 0; i < 3; i++)
        world_give(theirs, world_take(theirs, CLASS));
    pid_t child = fork();
    if (child == 0) {
        unsigned had = world_length(mine->loaded[CLASS]);
        struct hak_front before = *theirs;
        hak_front_start_child();
        int good = EXPECT_EQ(memcmp(&before, theirs, sizeof before), 0);
        unsigned calls = 0;
        for (; (hak_owed & HAK_OWED_FRONTS) != 0 && calls < 100; calls++)
            hak_front_collect();
        good &= EXPECT_GE(calls, HAK_CLASS_COUNT / 8) & EXPECT_LE(calls, 20);
        good &= EXPECT_EQ(world_length(theirs->loaded[CLASS]), 0);
        good &= EXPECT_EQ(world_length(mine->loaded[CLASS]), had) & EXPECT_GE(had, 1);
        struct hak_front *fresh = world_front();
        good &= EXPECT(fresh == theirs);
        hak_front_destroy(fresh);
        hak_front_destroy(mine);
        _exit(good ? 0 : 1);
    }
    EXPECT_EQ(process_wait(child, 20), 0);
    hak_front_destroy(mine);
    hak_front_destroy(theirs);
}

/* Threads that end give back their fronts without a look at the list. New threads find them there,
 * a few at a time, and so do ticks; the child of a fork does not find them twice. */
static void ended_together(void)
{
    enum {
        /* One thread owns them all here: ThreadSanitizer takes that for locks in any order. */
        THREADS = HAK_THREAD_SANITIZER ? 1 : 12
    };
    world_by_turns("2");
    struct hak_front *fronts[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        REQUIRE((fronts[i] = world_front()) != NULL);
    unsigned most = hak_front_count();
    for (unsigned i = 0; i < THREADS; i++)
        hak_front_destroy(fronts[i]);
    EXPECT_EQ(hak_front_count(), most - THREADS);
    size_t before = hak_meta_bytes();
    pid_t child = fork();
    if (child == 0) {
        hak_front_start_child();
        for (unsigned calls = 0; (hak_owed & HAK_OWED_FRONTS) != 0 && calls < 100; calls++)
            hak_front_collect();
    }
    int good = 1;
    for (unsigned i = 0; i < THREADS; i++) {
        good &= EXPECT((fronts[i] = world_front()) != NULL);
        for (unsigned j = 0; j < i; j++)
            good &= EXPECT(fronts[j] != fronts[i]);
    }
    good &= EXPECT_EQ(hak_meta_bytes(), before); /* all serve again */
    good &= EXPECT_EQ(hak_front_count(), child == 0 ? THREADS : most);
    for (unsigned i = 0; i < THREADS; i++)
        hak_front_destroy(fronts[i]);
    good &=
        EXPECT_EQ(world_sum(HAK_COUNTER_THREADS_STARTED), world_sum(HAK_COUNTER_THREADS_EXITED));
    if (child == 0)
        _exit(good ? 0 : 1);
    EXPECT_EQ(process_wait(child, 20), 0);
}

/* Threads that end without giving their fronts back, or while the heap is frozen: the next thread
 * finds their fronts. */
static void *end_without_a_word(void *leaves)
{
    struct hak_front *front = world_front();
    if (!EXPECT(front != NULL))
        return NULL;
    for (unsigned i = 0; i < 3; i++)
        world_give(front, world_take(front, CLASS));
    if (leaves != NULL)
        hak_front_leave(front);
    return NULL;
}

static void ended_threads_are_found(void)
{
    enum { TURNS = 300 };
    world_by_turns("2");
    size_t before = hak_meta_bytes();
    char yes = 1;
    for (unsigned turn = 0; turn < TURNS; turn++) {
        threads_run(1, end_without_a_word, NULL, 0);
        threads_run(1, end_without_a_word, &yes, 1);
    }
    EXPECT_LE(hak_meta_bytes() - before, 1024 * 1024); /* 600 fronts would be 1.7 MiB */
    for (unsigned i = 0; i < 200; i++)
        hak_front_collect();
    hak_front_destroy(world_front());
    EXPECT_EQ(world_sum(HAK_COUNTER_THREADS_STARTED), world_sum(HAK_COUNTER_THREADS_EXITED));
}

static unsigned closed_classes(const struct hak_front *front)
{
    unsigned closed = 0;
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++) {
        if (hak_front_is_open(front, class_id))
            continue;
        closed++;
        EXPECT(hak_classes[class_id].size > HAK_TINY_MAX);
        EXPECT(hak_front_pop((struct hak_front *)front, class_id) == NULL);
    }
    return closed;
}

/* A closed class has neither objects nor room, and gets none by the ways behind it. */
static void many_are_closed_for_mid(void)
{
    world_by_turns("2");
    unsigned before = hak_front_count();
    struct hak_front *fronts[4];
    hak_front_set_few(before + 2);
    for (unsigned i = 0; i < TAP_COUNT(fronts); i++)
        REQUIRE((fronts[i] = world_front()) != NULL);
    EXPECT_EQ(hak_front_count(), before + 4);
    EXPECT(hak_front_has_room(before + 5) && !hak_front_has_room(before + 4));
    EXPECT_EQ(closed_classes(fronts[0]) + closed_classes(fronts[1]), 0);
    EXPECT_GE(closed_classes(fronts[2]), 1);
    EXPECT_EQ(closed_classes(fronts[2]), closed_classes(fronts[3]));
    EXPECT_EQ(hak_front_bytes(fronts[2]), 0);
    void *object = world_take(fronts[0], HAK_CLASS_LAST);
    for (unsigned home = 1; home <= 2; home++) {
        uint32_t entry = hak_page_pack(HAK_CLASS_LAST, 0, (uint16_t)home);
        EXPECT_EQ(hak_front_push_behind(fronts[2], entry, object), 0);
    }
    EXPECT(!hak_front_is_open(fronts[2], HAK_CLASS_LAST));
    world_give(fronts[0], object);
    EXPECT(!hak_front_reopen(fronts[2]));
    hak_front_pin(fronts[3], hak_shard_of_id(1),
                  hak_heap_map(hak_heap_default())); /* others' fronts are no shard's */
    EXPECT_EQ(closed_classes(fronts[3]), 0);
    hak_front_destroy(fronts[0]);
    hak_front_destroy(fronts[1]);
    EXPECT(hak_front_reopen(fronts[2]));
    EXPECT_EQ(closed_classes(fronts[2]), 0);
    world_give(fronts[2], world_take(fronts[2], HAK_CLASS_LAST));
    hak_front_destroy(fronts[2]);
    hak_front_destroy(fronts[3]);
    hak_front_set_few(UINT32_MAX);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"fresh fronts are empty", fresh_fronts_are_empty},
        {"fronts come and go with threads", fronts_come_and_go},
        {"fronts follow the placement", fronts_follow_their_cpus},
        {"spare magazines are bounded and shrink", spares_are_bounded},
        {"loaded objects that are not used go back", unused_classes_go_back},
        {"fronts seldom read the clock", ticks_are_seldom},
        {"the child of a fork gives back the others' fronts", a_child_inherits},
        {"threads that end together leave their fronts to the next", ended_together},
        {"fronts of threads that ended without notice are found", ended_threads_are_found},
        {"fronts of many threads are closed for larger objects", many_are_closed_for_mid},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
