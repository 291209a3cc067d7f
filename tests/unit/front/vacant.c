/* SPDX-License-Identifier: MIT */
/* front/vacant.c, and what fronts.c does with it: fronts of threads that ended, for the next. */
#include "front/vacant.h"

#include "front/fronts.h"
#include "front/owed.h"
#include "heap/reclaim.h"
#include "os/clock.h"
#include "tests/lib/process.h"
#include "tests/lib/threads.h"
#include "tests/unit/world.h"

enum { CLASS = 8, OBJECTS = 20 };

/* One thread owns several fronts here, one after another in any order: ThreadSanitizer would take
 * that for locks in the wrong order. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "detect_deadlocks=0";
}

/* A front that has held objects of the class. */
static struct hak_front *used_front(unsigned class_id)
{
    struct hak_front *front = world_front();
    void *objects[OBJECTS];
    for (unsigned i = 0; front != NULL && i < OBJECTS; i++)
        objects[i] = world_take(front, class_id);
    for (unsigned i = 0; front != NULL && i < OBJECTS; i++)
        world_give(front, objects[i]);
    return front;
}

static unsigned drop_all(void)
{
    unsigned dropped = 0;
    while (dropped <= HAK_VACANT_MOST && hak_front_drop_vacant(UINT64_MAX))
        dropped++;
    return dropped;
}

static void collect_all(void)
{
    for (unsigned calls = 0; (hak_owed & HAK_OWED_FRONTS) != 0 && calls < 1000; calls++)
        hak_front_collect();
}

/* The next thread of the shard gets the front as it is, and no slab is touched. */
static void the_next_thread_gets_it(void)
{
    world_by_turns("1");
    unsigned threads = hak_front_count();
    struct hak_front *front = used_front(CLASS);
    REQUIRE(front != NULL);
    unsigned had = world_length(front->loaded[CLASS]);
    EXPECT_GE(had, OBJECTS);
    EXPECT_EQ(hak_front_count(), threads + 1);
    unsigned first_fill = front->fill[CLASS + 1];
    front->fill[CLASS + 1] = hak_classes[CLASS + 1].bundle; /* what its thread came to want, */
    front->to_sample = 77;                                  /* and what the heap profile counts */
    hak_front_end(front);
    EXPECT_EQ(hak_front_count(), threads);
    EXPECT_EQ(world_sum(HAK_COUNTER_THREADS_STARTED), world_sum(HAK_COUNTER_THREADS_EXITED));
    EXPECT_GE(hak_front_bytes_of_all(), had * hak_classes[CLASS].size);
    uint64_t refilled = world_sum(HAK_COUNTER_REFILL_OBJECTS);
    struct hak_front *next = world_front();
    EXPECT(next == front);
    EXPECT_EQ(next->to_sample, -1);
    EXPECT_EQ(next->fill[CLASS + 1], first_fill);
    EXPECT_EQ(hak_front_count(), threads + 1);
    for (unsigned i = 0; i < had; i++)
        world_give(next, world_take(next, CLASS));
    EXPECT_EQ(world_sum(HAK_COUNTER_REFILL_OBJECTS), refilled);
    struct hak_front *last = used_front(CLASS);
    REQUIRE(last != NULL && last != front);
    hak_front_end(front);
    hak_front_end(last);
    EXPECT(world_front() == last); /* the warmer one */
    EXPECT(world_front() == front);
    hak_front_destroy(front);
    hak_front_destroy(last);
    EXPECT_EQ(world_sum(HAK_COUNTER_THREADS_STARTED), world_sum(HAK_COUNTER_THREADS_EXITED));
    world_expect_nothing_lost();
}

/* Nor does one whose shard is of the same group. One after another, threads get the shards in
 * turn. */
static void another_shards_thread_does_not(void)
{
    enum { SHARDS = HAK_VACANT_GROUPS + 1 };
    world_by_turns("17");
    struct hak_front *front = used_front(CLASS);
    REQUIRE(front != NULL && hak_shard_last_id() == SHARDS);
    for (unsigned i = 0; i < SHARDS && hak_front_shard(front)->id != 1; i++) {
        hak_front_destroy(front);
        REQUIRE((front = used_front(CLASS)) != NULL);
    }
    EXPECT_EQ(hak_front_shard(front)->id, 1);
    hak_front_end(front);
    struct hak_front *others[SHARDS];
    for (unsigned id = 2; id <= SHARDS; id++) {
        others[id - 1] = world_front();
        EXPECT(others[id - 1] != front);
        EXPECT_EQ(hak_front_shard(others[id - 1])->id, id);
    }
    struct hak_front *again = world_front();
    EXPECT(again == front);
    EXPECT_EQ(hak_front_shard(again)->id, 1);
    for (unsigned id = 2; id <= SHARDS; id++)
        hak_front_destroy(others[id - 1]);
    hak_front_destroy(again);
    EXPECT(!hak_front_drop_vacant(UINT64_MAX));
    world_expect_nothing_lost();
}

/* Fills a front with objects of all classes, more than may stay. */
static struct hak_front *full_front(void)
{
    struct hak_front *front = world_front();
    for (unsigned class_id = 1; front != NULL && class_id < HAK_CLASS_COUNT; class_id++) {
        void *one = world_take(front, class_id);
        void *two = world_take(front, class_id);
        world_give(front, one);
        world_give(front, two);
    }
    return front;
}

/* A front keeps little, of the smaller classes; a shard keeps few, and so does a group. */
static void keeps(const char *shards, unsigned wanted)
{
    enum { BYTES = 256 * 1024, THREADS = 34 };
    world_by_turns(shards);
    struct hak_front *fronts[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        REQUIRE((fronts[i] = full_front()) != NULL);
        EXPECT_GE(hak_front_bytes(fronts[i]), 2 * BYTES);
    }
    for (unsigned i = 0; i < THREADS; i++)
        hak_front_end(fronts[i]);
    unsigned kept = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        bool is_kept = fronts[i]->left == HAK_FRONT_VACANT;
        kept += is_kept;
        EXPECT_LE(hak_front_bytes(fronts[i]), BYTES);
        EXPECT_EQ(hak_front_bytes_of_class(fronts[i], HAK_CLASS_LAST), 0);
        EXPECT_EQ(hak_front_bytes(fronts[i]) != 0, is_kept);
    }
    EXPECT_EQ(kept, wanted);
    EXPECT_LE(hak_front_bytes_of_all(), (size_t)wanted * BYTES);
    EXPECT_EQ(drop_all(), wanted);
    EXPECT_EQ(hak_front_bytes_of_all(), 0);
    world_expect_nothing_lost();
}

/* One CPU, so two fronts for each shard. Of 17 shards two are in one group, which has room. */
static void what_is_kept_is_bounded(void)
{
    keeps("1", HAK_VACANT_PER_CPU);
    keeps("17", 17 * HAK_VACANT_PER_CPU);
}

/* A group has room for eight, whatever its shards have. */
static void groups_are_bounded(void)
{
    enum { SHARDS = 5 * HAK_VACANT_GROUPS };
    world_by_turns("80");
    static struct hak_front *fronts[SHARDS * HAK_VACANT_PER_CPU];
    unsigned kept = 0;
    for (unsigned i = 0; i < TAP_COUNT(fronts); i++)
        REQUIRE((fronts[i] = used_front(CLASS)) != NULL);
    for (unsigned i = 0; i < TAP_COUNT(fronts); i++) {
        hak_front_end(fronts[i]);
        kept += fronts[i]->left == HAK_FRONT_VACANT;
    }
    EXPECT_EQ(kept, HAK_VACANT_MOST);
    EXPECT_EQ(drop_all(), HAK_VACANT_MOST);
    world_expect_nothing_lost();
}

/* Those that wait too long go back little by little; younger ones stay. */
static void they_go_back_after_a_while(void)
{
    world_by_turns("1");
    struct hak_front *old = used_front(CLASS);
    struct hak_front *young = used_front(CLASS + 1);
    REQUIRE(old != NULL && young != NULL);
    hak_front_end(old);
    hak_os_sleep_ns(20 * 1000 * 1000);
    uint64_t between = hak_os_coarse_now_ns();
    hak_os_sleep_ns(20 * 1000 * 1000);
    hak_front_end(young);
    hak_front_collect_vacant(between);
    EXPECT_GE(hak_front_bytes(old), 1);
    collect_all();
    EXPECT_EQ(hak_front_bytes(old), 0);
    EXPECT_GE(hak_front_bytes(young), 1);
    EXPECT(world_front() == young);
    EXPECT(world_front() == old); /* its memory serves */
    EXPECT_EQ(hak_front_bytes(old), 0);
    hak_front_destroy(young);
    hak_front_destroy(old);
    EXPECT_EQ(world_sum(HAK_COUNTER_THREADS_STARTED), world_sum(HAK_COUNTER_THREADS_EXITED));
    world_expect_nothing_lost();
}

/* At ticks of another thread, at a trim, by the background thread, and when memory is short. */
static void others_give_them_back(void)
{
    enum { LOOKS = 10000 };
    world_by_turns("1");
    struct hak_front *busy = world_front();
    struct hak_front *front = used_front(CLASS);
    REQUIRE(busy != NULL && front != NULL);
    hak_front_end(front);
    for (unsigned i = 0; i < LOOKS && hak_front_bytes(front) != 0; i++) {
        hak_os_sleep_ns(i * 1000);
        for (unsigned call = 0; call < 64; call++)
            hak_heap_visit(hak_heap_default(), busy);
        collect_all();
        EXPECT(i != 0 || hak_front_bytes(front) != 0); /* a tick, but too early */
    }
    EXPECT_EQ(hak_front_bytes(front), 0);
    front = used_front(CLASS);
    hak_front_end(front);
    EXPECT_GE(hak_front_bytes(front), 1);
    hak_heap_trim(hak_heap_default());
    EXPECT_EQ(hak_front_bytes(front), 0);
    front = used_front(CLASS);
    hak_front_end(front);
    hak_heap_tick(hak_heap_default(), hak_os_coarse_now_ns());
    EXPECT_GE(hak_front_bytes(front), 1);
    hak_heap_tick(hak_heap_default(), hak_os_coarse_now_ns() + 1000 * 1000 * 1000);
    EXPECT_EQ(hak_front_bytes(front), 0);
    front = used_front(CLASS);
    hak_front_end(front);
    EXPECT_GE(hak_front_bytes(front), 1);
    struct hak_reclaim call = {.own = busy, .may_reap = true};
    for (unsigned tries = 0; tries < 10 && hak_reclaim(hak_heap_default(), &call); tries++)
        EXPECT(call.steps != 3 || hak_front_bytes(front) == 0);
    EXPECT_EQ(call.steps, 3);
    hak_front_destroy(busy);
    world_expect_nothing_lost();
}

/* Who was pinned, has next to nothing, or has not obeyed yet, keeps nothing; nor does anybody without
 * a decay. */
static void some_are_not_kept(void)
{
    world_by_turns("1");
    struct hak_front *pinned = used_front(CLASS);
    REQUIRE(pinned != NULL);
    hak_front_pin(pinned, hak_shard_of_id(1), hak_heap_map(hak_heap_default()));
    world_give(pinned, world_take(pinned, CLASS));
    hak_front_end(pinned);
    EXPECT(!hak_front_drop_vacant(UINT64_MAX));
    struct hak_front *poor = world_front();
    world_give(poor, hak_chain_top(world_chain(hak_front_shard(poor), CLASS, 1)));
    EXPECT_EQ(hak_front_bytes(poor), hak_classes[CLASS].size);
    hak_front_end(poor);
    EXPECT(!hak_front_drop_vacant(UINT64_MAX));
    struct hak_front *behind = used_front(CLASS);
    hak_heap_trim(hak_heap_default());
    EXPECT_GE(hak_front_bytes(behind), 1);
    hak_front_end(behind);
    EXPECT(!hak_front_drop_vacant(UINT64_MAX));
    struct hak_settings at_once = hak_settings_default;
    at_once.decay_ns = 0;
    struct hak_front *strict = used_front(CLASS);
    struct hak_shard *shard = hak_front_shard(strict);
    const struct hak_settings *settings = shard->settings;
    shard->settings = &at_once;
    hak_front_end(strict);
    shard->settings = settings;
    EXPECT(!hak_front_drop_vacant(UINT64_MAX));
    EXPECT_EQ(hak_front_bytes_of_all(), 0);
    world_expect_nothing_lost();
}

/* Larger objects do not stay where too many threads live, and a front that was closed opens. */
static void they_fit_the_crowd(void)
{
    enum { MID = HAK_CLASS_TINY_LAST + 1 };
    world_by_turns("1");
    unsigned before = hak_front_count();
    struct hak_front *front = used_front(MID);
    REQUIRE(front != NULL);
    hak_front_end(front);
    hak_front_set_few(before);
    EXPECT(world_front() == front);
    EXPECT(!hak_front_is_open(front, MID));
    EXPECT_EQ(hak_front_bytes(front), 0);
    hak_front_end(front);
    hak_front_set_few(UINT32_MAX);
    EXPECT(world_front() == front);
    EXPECT(hak_front_is_open(front, MID));
    world_give(front, world_take(front, MID));
    hak_front_destroy(front);
    world_expect_nothing_lost();
}

/* The child of a fork has them, too, and none twice. */
static void a_child_has_them(void)
{
    world_by_turns("1");
    struct hak_front *mine = world_front();
    struct hak_front *front = used_front(CLASS);
    REQUIRE(mine != NULL && front != NULL);
    unsigned had = world_length(front->loaded[CLASS]);
    hak_front_end(front);
    pid_t child = fork();
    if (child == 0) {
        hak_front_start_child();
        collect_all();
        int good = EXPECT_EQ(world_length(front->loaded[CLASS]), had);
        struct hak_front *next = world_front();
        good &= EXPECT(next == front) & EXPECT(world_front() != front);
        collect_all();
        good &= EXPECT_EQ(world_length(front->loaded[CLASS]), had);
        _exit(good ? 0 : 1);
    }
    EXPECT_EQ(process_wait(child, 20), 0);
    EXPECT_EQ(drop_all(), 1);
    hak_front_destroy(mine);
    world_expect_nothing_lost();
}

static void *take_and_end_without_a_word(void *front)
{
    EXPECT(world_front() == front);
    return NULL;
}

/* The next thread owns it, so if that ends without notice, it is found. */
static void the_next_thread_owns_it(void)
{
    world_by_turns("1");
    struct hak_front *front = used_front(CLASS);
    REQUIRE(front != NULL);
    hak_front_end(front);
    threads_run(1, take_and_end_without_a_word, front, 0);
    for (unsigned i = 0; i < 100; i++)
        hak_front_collect();
    EXPECT_EQ(hak_front_bytes(front), 0);
    EXPECT_EQ(world_sum(HAK_COUNTER_THREADS_STARTED), world_sum(HAK_COUNTER_THREADS_EXITED));
    world_expect_nothing_lost();
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"the next thread gets the front with its objects", the_next_thread_gets_it},
        {"a thread of another shard does not", another_shards_thread_does_not},
        {"what is kept is bounded", what_is_kept_is_bounded},
        {"so is what shards of one group keep", groups_are_bounded},
        {"fronts that wait too long go back", they_go_back_after_a_while},
        {"ticks, a trim and a reclaim give them back", others_give_them_back},
        {"some fronts are not kept", some_are_not_kept},
        {"they are opened and closed by how many threads there are", they_fit_the_crowd},
        {"the child of a fork has them", a_child_has_them},
        {"the next thread owns the front", the_next_thread_owns_it},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
