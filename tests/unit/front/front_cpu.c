/* SPDX-License-Identifier: MIT */
/* front/front_cpu.c and its sequences: an object pushed on a CPU is popped once, though threads are
 * moved and interrupted; full, foreign and closed magazines are reported; draining empties. */
#define _GNU_SOURCE
#include "front/front_cpu.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "front/exchange.h"
#include "heap/heap.h"
#include "heap/purge.h"
#include "heap/tick.h"
#include "os/rseq.h"
#include "tests/lib/prng.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"
#include "tests/unit/world.h"

enum {
    CLASS = 3, /* 48 bytes */
    THREADS = 8,
    HELD = 48, /* objects of a thread */
    STEPS = 200000,
    CPU_IDS = 1024,
    MARK = 2, /* word of an object that tells which thread holds it */
};

static int opened;

/* Fronts are opened once in a process. */
static int open_fronts(void)
{
    static int asked;
    world_start();
    if (!asked) {
        asked = 1;
        opened = hak_cpu_fronts_start(CPU_IDS, hak_heap_map(hak_heap_default())) == 0;
    }
    int drained = opened && hak_os_rseq_fence() == 0;
    if (!drained)
        tap_skip("no restartable sequences here, or no fence against them");
    return drained;
}

/* On one CPU, so that all steps meet one front. */
static void on_one_cpu(void (*body)(void))
{
    cpu_set_t all, one;
    if (!open_fronts())
        return;
    REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0);
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
    body();
    sched_setaffinity(0, sizeof all, &all);
}

static void tell(void)
{
    struct hak_shard *shard = hak_shard_of_id(1);
    struct hak_chain word = hak_shard_refill(shard, CLASS, hak_classes[CLASS].bundle);
    REQUIRE(hak_chain_top(word) != NULL);
    hak_front_flush_cpus();
    EXPECT(hak_cpu_pop(CLASS, HAK_CPU_TRIES) == NULL);
    EXPECT(hak_chain_is_empty(
        hak_cpu_take(hak_slot_loaded(CLASS), hak_magazine_empty(CLASS), HAK_CPU_TRIES)));
    EXPECT_EQ(hak_cpu_install(hak_slot_loaded(CLASS), word, HAK_CPU_TRIES), 1);
    EXPECT_EQ(hak_cpu_install(hak_slot_loaded(CLASS), word, HAK_CPU_TRIES), 0);
    void *top = hak_cpu_pop(CLASS, HAK_CPU_TRIES);
    EXPECT(top == hak_chain_top(word));
    EXPECT_EQ(hak_cpu_push(CLASS, 2, top, HAK_CPU_TRIES), HAK_CPU_FOREIGN);
    EXPECT_EQ(hak_cpu_push(CLASS, 1, top, HAK_CPU_TRIES), HAK_CPU_PUSHED);
    struct hak_chain taken =
        hak_cpu_take(hak_slot_loaded(CLASS), hak_magazine_empty(CLASS), HAK_CPU_TRIES);
    EXPECT(taken.word == word.word);
    /* Full: a magazine without room. */
    EXPECT_EQ(hak_cpu_install(hak_slot_loaded(CLASS), hak_chain_make(top, 0), HAK_CPU_TRIES), 1);
    char other[48] __attribute__((aligned(16)));
    EXPECT_EQ(hak_cpu_push(CLASS, 1, other, HAK_CPU_TRIES), HAK_CPU_FULL);
    EXPECT_EQ(hak_cpu_push_at(hak_slot_loaded(CLASS), other, HAK_CPU_TRIES), HAK_CPU_FULL);
    hak_cpu_take(hak_slot_loaded(CLASS), hak_magazine_empty(CLASS), HAK_CPU_TRIES);
    /* Class 0 has neither object nor room. */
    EXPECT(hak_cpu_pop(0, HAK_CPU_TRIES) == NULL);
    EXPECT_EQ(hak_cpu_push(0, 1, other, HAK_CPU_TRIES), HAK_CPU_FULL);
    hak_shard_give_to_slabs(CLASS, taken);
}

static void told(void)
{
    on_one_cpu(tell);
}

static struct hak_front *front_here(void)
{
    char *base = hak_cpu_fronts.base;
    return (struct hak_front *)(base + ((size_t)sched_getcpu() << HAK_CPU_FRONT_SHIFT));
}

static void *take(unsigned class_id)
{
    void *object = hak_cpu_pop(class_id, HAK_CPU_TRIES);
    if (object != NULL)
        return object;
    hak_heap_visit(hak_heap_default(), HAK_FRONT_OF_CPU);
    return hak_front_refill(HAK_FRONT_OF_CPU, class_id);
}

static void visit_and_overflow(unsigned class_id, void *object)
{
    hak_heap_visit(hak_heap_default(), HAK_FRONT_OF_CPU);
    hak_front_overflow(HAK_FRONT_OF_CPU, class_id, object);
}

static void give(unsigned class_id, void *object)
{
    if (hak_cpu_push(class_id, 1, object, HAK_CPU_TRIES) != HAK_CPU_PUSHED)
        visit_and_overflow(class_id, object);
}

/* Loaded objects go back two ticks after their last use, except those of the one class that is
 * popped between the ticks. */
static void go_back(void)
{
    enum { TICKS = 6 };
    struct hak_front *front = front_here();
    void *kept[TICKS];
    hak_front_flush_cpus();
    int64_t out = world_objects_out();
    hak_heap_trim(hak_heap_default());
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++) {
        front->slow_calls = 0; /* no tick but the test's */
        void *first = take(class_id);
        void *second = take(class_id);
        give(class_id, first);
        give(class_id, second);
        EXPECT(hak_chain_top(front->loaded[class_id]) != NULL);
    }
    for (unsigned i = 0; i < TICKS; i++)
        kept[i] = take(CLASS);
    for (unsigned i = 0; i < TICKS; i++)
        give(CLASS, kept[i]);
    for (unsigned i = 0; i < TICKS; i++) {
        kept[i] = hak_cpu_pop(CLASS, HAK_CPU_TRIES);
        EXPECT(kept[i] != NULL);
        hak_front_shrink(HAK_FRONT_OF_CPU);
        EXPECT((i < HAK_FRONT_IDLE_TICKS) == (hak_chain_top(front->loaded[CLASS + 1]) != NULL));
    }
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++)
        if (class_id != CLASS)
            EXPECT_EQ(front->loaded[class_id].word, hak_magazine_empty(class_id).word);
    for (unsigned i = 0; i < TICKS; i++)
        give(CLASS, kept[i]);
    EXPECT(hak_chain_top(front->loaded[CLASS]) != NULL);
    for (unsigned tick = 0; tick <= HAK_FRONT_IDLE_TICKS; tick++)
        hak_front_shrink(HAK_FRONT_OF_CPU);
    EXPECT_EQ(front->loaded[CLASS].word, hak_magazine_empty(CLASS).word);
    EXPECT_EQ(world_objects_out(), out); /* each is counted on both ways */
    world_expect_nothing_lost();
}

static void unused_classes_go_back(void)
{
    on_one_cpu(go_back);
}

static void give_foreign(unsigned class_id, void *object)
{
    hak_heap_visit(hak_heap_default(), HAK_FRONT_OF_CPU);
    hak_front_give_foreign(HAK_FRONT_OF_CPU, class_id, object);
}

/* A CPU that only frees looks at the clock, too: objects of others that it keeps must not wait for
 * a refill. */
static void tick_by_frees(void)
{
    struct hak_front *front = front_here();
    unsigned bundle = hak_classes[CLASS].bundle;
    hak_front_flush_cpus();
    for (unsigned way = 0; way < 2; way++) {
        front->last_tick_ns = 0;
        front->slow_calls = 63; /* the next looks */
        for (unsigned i = 0; i < 2 * bundle; i++) {
            void *object = hak_chain_top(world_chain(hak_shard_of_id(1), CLASS, 1));
            if (way == 0)
                give(CLASS, object);
            else
                give_foreign(CLASS, object);
        }
        EXPECT(front->last_tick_ns != 0);
    }
    world_expect_nothing_lost();
}

static void ticks_by_frees(void)
{
    on_one_cpu(tick_by_frees);
}

/* One object in the front of the CPU that we are bound to. */
static void put_one(void)
{
    give(CLASS, take(CLASS));
    EXPECT(hak_chain_top(front_here()->loaded[CLASS]) != NULL);
}

static int is_empty(void)
{
    return hak_chain_is_empty(front_here()->loaded[CLASS]);
}

/* No other thread reaches these objects: they go when memory was out, and when CPUs may have
 * gone. */
static void drain(void)
{
    static const struct world_machine machine = {1, 1, 1, "single"};
    struct hak_heap *heap = hak_heap_default();
    REQUIRE(world_place(&machine) != NULL);
    hak_heap_flush_if_refused(heap);
    int64_t out = world_objects_out();
    put_one();
    hak_heap_flush_if_refused(heap);
    EXPECT(!is_empty());
    hak_count(&hak_shard_of_id(1)->counters, HAK_COUNTER_OUT_OF_MEMORY, 1);
    hak_heap_flush_if_refused(heap);
    EXPECT(is_empty());
    put_one();
    hak_heap_flush_if_refused(heap);
    EXPECT(!is_empty());
    struct hak_topology *topology = world_topology(&machine);
    REQUIRE(topology != NULL);
    EXPECT_EQ(hak_heap_refresh(heap, topology, &heap->map->request), 0);
    EXPECT(is_empty());
    hak_topology_unmap(topology);
    EXPECT_EQ(world_objects_out(), out);
    world_expect_nothing_lost();
}

static void drained_when_needed(void)
{
    on_one_cpu(drain);
}

/* As in the child of a fork that came when the starting thread was almost done. */
static void opened_again(void)
{
    if (!open_fronts())
        return;
    char *base = hak_cpu_fronts.base;
    EXPECT_EQ(hak_cpu_fronts_start(CPU_IDS, hak_heap_map(hak_heap_default())), 0);
    EXPECT(hak_cpu_fronts.base == base);
    hak_cpu_fronts_after_fork();
    EXPECT_EQ(hak_cpu_fronts.limit, CPU_IDS);
}

/* The child of a fork that came earlier has none to open. */
static void not_yet_opened(void)
{
    hak_cpu_fronts_after_fork();
    EXPECT(!hak_cpu_fronts_open());
    EXPECT(!hak_cpu_fronts_exist());
}

/* Runs in the child of a fork, since fronts are opened once in a process. 0: all expectations
 * held. */
static int open_late(void)
{
    enum { LOOKS = 2000 };
    int refused = hak_cpu_fronts_open_late(CPU_IDS, hak_heap_map(hak_heap_default()));
    if (refused != -EAGAIN)
        return refused == -EOPNOTSUPP ? 1 : 2; /* before the look at the fronts, none */
    for (unsigned look = 0; look < LOOKS && refused == -EAGAIN; look++) {
        hak_cpu_fronts_watch();
        usleep(look % 100 == 0 ? 1000 : 0);
        for (volatile unsigned turn = 0; turn < 10000; turn++)
            continue;
        hak_cpu_fronts_watch();
        refused = hak_cpu_fronts_open_late(CPU_IDS, hak_heap_map(hak_heap_default()));
    }
    if (refused != 0 || hak_cpu_fronts_open_late(CPU_IDS, hak_heap_map(hak_heap_default())) != 0 ||
        !hak_cpu_fronts_open())
        return 3;
    void *object = hak_front_refill(HAK_FRONT_OF_CPU, CLASS);
    if (object == NULL || hak_cpu_fronts_bytes() == 0)
        return 4;
    give(CLASS, object);
    hak_front_flush_cpus(); /* asks for no fence, and empties nothing */
    return hak_cpu_fronts_open() && hak_cpu_fronts_bytes() != 0 ? 0 : 5;
}

static void opened_late(void)
{
    cpu_set_t one;
    ptrdiff_t area;
    if (HAK_THREAD_SANITIZER || hak_os_rseq_find(&area) != 0) {
        tap_skip("no restartable sequences here");
        return;
    }
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        CPU_ZERO(&one);
        CPU_SET(sched_getcpu(), &one);
        sched_setaffinity(0, sizeof one, &one);
        world_start();
        hak_cpu_fronts_prepare();
        int status = open_late();
        hak_heap_trim(hak_heap_default()); /* without a fence this is only a request */
        size_t kept = hak_cpu_fronts_bytes();
        hak_heap_visit(hak_heap_default(), HAK_FRONT_OF_CPU);
        status = status == 0 && kept == 0 ? 7 : status;
        _exit(status != 0 ? status : hak_cpu_fronts_bytes() == 0 ? 0 : 6);
    }
    EXPECT_EQ(process_wait(child, 60), 0);
}

/* ---- many threads ---------------------------------------------------------------------------- */

static unsigned done; /* workers that have ended */
static unsigned lost_or_doubled;
static pthread_t workers[THREADS];

/* Objects that a worker holds carry a mark; an object that is handed out twice has it already. */
static void *work(void *argument)
{
    struct prng prng = {(uintptr_t)argument + 1};
    uint64_t *held[HELD] = {NULL};
    uint64_t self = (uintptr_t)argument + 1;
    for (unsigned step = 0; step < STEPS; step++) {
        uint64_t **slot = &held[prng_below(&prng, HELD)];
        if (*slot == NULL) {
            uint64_t *object = take(CLASS);
            if (object == NULL || __atomic_exchange_n(&object[MARK], self, __ATOMIC_RELAXED) != 0)
                __atomic_fetch_add(&lost_or_doubled, 1, __ATOMIC_RELAXED);
            *slot = object;
        } else {
            if (__atomic_exchange_n(&(*slot)[MARK], 0, __ATOMIC_RELAXED) != self)
                __atomic_fetch_add(&lost_or_doubled, 1, __ATOMIC_RELAXED);
            give(CLASS, *slot);
            *slot = NULL;
        }
    }
    for (unsigned index = 0; index < HELD; index++)
        if (held[index] != NULL) {
            held[index][MARK] = 0;
            give(CLASS, held[index]);
        }
    __atomic_fetch_add(&done, 1, __ATOMIC_RELAXED);
    return NULL;
}

/* Moves the workers about, and drains meanwhile. */
static void *shake(void *unused)
{
    (void)unused;
    cpu_set_t all;
    sched_getaffinity(0, sizeof all, &all);
    for (unsigned turn = 0; __atomic_load_n(&done, __ATOMIC_RELAXED) < THREADS; turn++) {
        for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
            cpu_set_t one;
            if (!CPU_ISSET(cpu, &all))
                continue;
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            pthread_setaffinity_np(workers[(turn + cpu) % THREADS], sizeof one, &one);
        }
        if (turn % 16 == 0)
            hak_front_flush_cpus();
    }
    return NULL;
}

static void shaken(void)
{
    if (!open_fronts())
        return;
    pthread_t shaker;
    hak_front_flush_cpus();
    hak_shard_drain(hak_shard_of_id(1));
    for (uintptr_t thread = 0; thread < THREADS; thread++)
        REQUIRE(pthread_create(&workers[thread], NULL, work, (void *)thread) == 0);
    REQUIRE(pthread_create(&shaker, NULL, shake, NULL) == 0);
    pthread_join(shaker, NULL); /* first: it names the workers */
    for (unsigned thread = 0; thread < THREADS; thread++)
        pthread_join(workers[thread], NULL);
    EXPECT_EQ(lost_or_doubled, 0);
    /* All are back: after draining, every slab of the class is whole, and goes. */
    hak_front_flush_cpus();
    hak_shard_drain(hak_shard_of_id(1));
    hak_heap_trim(hak_heap_default());
    EXPECT_EQ(hak_pool_slab_bytes(&hak_shard_of_id(1)->tiny), 0);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a child finds no fronts that were not open", not_yet_opened},
        {"fronts that are opened late, without a test or a fence, serve", opened_late},
        {"fronts that are open stay what they are", opened_again},
        {"each sequence does what its contract says", told},
        {"loaded objects that are not used go back", unused_classes_go_back},
        {"frees alone tick", ticks_by_frees},
        {"fronts are drained when memory was out and when CPUs may have gone", drained_when_needed},
        {"under load, with moves and drains, no object is lost or handed out twice", shaken},
    };
    return tap_run(argc, argv, TAP_ANY, cases, sizeof cases / sizeof cases[0]);
}
