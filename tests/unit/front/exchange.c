/* SPDX-License-Identifier: MIT */
/* front/exchange.c: the exchange between fronts and shards, and the way home. Several shards stand
 * on one CPU of the test's machine, so that threads get them one after another wherever they
 * run. */
#include "front/front.h"

#include <stdlib.h>
#include <string.h>

#include "shard/rest.h"
#include "tests/lib/prng.h"
#include "tests/lib/process.h"
#include "tests/lib/threads.h"
#include "tests/unit/shaker.h"
#include "tests/unit/world.h"

enum { CLASS = 6, ROOM = 60 };

/* ---- one thread ------------------------------------------------------------------------- */

/* Foreign objects are kept together until they are a bundle, then go; a flush sends the rest. */
static void foreign_magazine(void)
{
    const struct hak_shard_map *map = world_by_turns("2");
    REQUIRE(map != NULL);
    struct hak_front *front = world_front();
    REQUIRE(front != NULL);
    struct hak_shard *home = map->shards[front->shard == map->shards[0]];
    unsigned bundle = hak_classes[CLASS].bundle;
    struct hak_chain first = world_chain(home, CLASS, bundle);
    struct hak_chain more = world_chain(home, CLASS, 3);
    for (unsigned i = 0; i < bundle; i++)
        world_give(front, world_pop(&first));
    EXPECT(hak_inbox_is_empty(&home->inbox));
    front->slow_calls = 0;
    world_give(front, world_pop(&more));
    EXPECT_EQ(hak_bundle_count(home->inbox.head), bundle);
    EXPECT_EQ(world_length(front->foreign[CLASS]), 1);
    while (hak_chain_top(more) != NULL)
        world_give(front, world_pop(&more));
    hak_front_flush(front);
    EXPECT_EQ(front->foreign[CLASS].word, hak_magazine_empty(CLASS).word);
    EXPECT_EQ(hak_bundle_count(home->inbox.head), 3);
    unsigned budget = HAK_PORTION_BUNDLES;
    hak_shard_collect_inbox(home, &budget);
    EXPECT_EQ(hak_transfer_cache_depth(&home->bundles, CLASS), 2);
    hak_front_destroy(front);
    world_expect_nothing_lost();
}

/* On a machine of one node a whole foreign magazine becomes the front's own spare, if it has none;
 * then bundles of its shard. */
static void foreign_magazine_is_kept(void)
{
    const struct hak_shard_map *map = world_by_turns("2");
    REQUIRE(map != NULL);
    struct hak_front *front = world_front();
    REQUIRE(front != NULL);
    struct hak_shard *own = front->shard;
    struct hak_shard *home = map->shards[own == map->shards[0]];
    struct hak_heap *heap = hak_heap_default();
    unsigned bundle = hak_classes[CLASS].bundle;
    uint64_t adopted = world_count(own, HAK_COUNTER_FOREIGN_ADOPTED);
    struct hak_chain chains[3];
    for (unsigned i = 0; i < TAP_COUNT(chains); i++)
        chains[i] = world_chain(home, CLASS, bundle);
    heap->settings_store.remote = HAK_REMOTE_ADOPT;
    front->slow_calls = 0;
    for (unsigned i = 0; i < TAP_COUNT(chains); i++)
        while (hak_chain_top(chains[i]) != NULL)
            world_give(front, world_pop(&chains[i]));
    EXPECT_EQ(world_length(front->spare[CLASS]), bundle);
    EXPECT_EQ(front->spare_bytes, hak_magazine_bytes(CLASS));
    EXPECT_EQ(world_length(front->foreign[CLASS]), bundle);
    EXPECT_EQ(hak_transfer_cache_depth(&own->bundles, CLASS), 1);
    EXPECT_EQ(world_count(own, HAK_COUNTER_FOREIGN_ADOPTED) - adopted, 2 * bundle);
    void *object = world_refill(front, CLASS);
    EXPECT(object != NULL && hak_page_find(object).home == home->id);
    EXPECT_EQ(front->spare_bytes, 0);
    world_give(front, object);
    heap->settings_store.remote = HAK_REMOTE_HOME;
    hak_front_destroy(front);
    world_expect_nothing_lost();
}

/* Objects of mid classes that nobody used while slabs were made go back to slabs; those of a class
 * in use stay, and so do tiny ones. */
static void what_is_left_behind(void)
{
    enum { LEFT = HAK_CLASS_MID_LAST, USED = HAK_CLASS_MID_LAST - 9, AT_WORK = HAK_CLASS_LAST };
    const struct hak_shard_map *map = world_by_turns("2");
    REQUIRE(map != NULL);
    struct hak_front *front = world_front();
    REQUIRE(front != NULL);
    struct hak_shard *other = map->shards[front->shard == map->shards[0]];
    const unsigned classes[] = {CLASS, LEFT, USED};
    for (unsigned i = 0; i < TAP_COUNT(classes); i++) {
        front->loaded[classes[i]] = world_chain(front->shard, classes[i], 3);
        front->spare[classes[i]] =
            world_chain(front->shard, classes[i], hak_classes[classes[i]].bundle);
        front->spare_bytes += hak_magazine_bytes(classes[i]);
        front->foreign[classes[i]] = world_chain(other, classes[i], 2);
    }
    uint32_t spare_bytes = front->spare_bytes;
    for (unsigned sweep = 0; sweep < 2; sweep++) {
        EXPECT_EQ(world_length(front->loaded[LEFT]), 3);
        world_give(front, world_take(front, USED));
        world_give(front, world_pop(&front->loaded[USED])); /* one that moves the chain, too */
        void *second = world_pop(&front->loaded[USED]);
        void *first = world_pop(&front->loaded[USED]);
        world_give(front, second);
        world_give(front, first);
        hak_rest_advance(HAK_SWEEP_BYTES + 1);
        struct hak_chain was = front->loaded[AT_WORK];
        front->loaded[AT_WORK] = hak_magazine_empty(AT_WORK);
        world_give(front, world_refill(front, AT_WORK));
        hak_shard_give_to_slabs(AT_WORK, was);
    }
    EXPECT_EQ(world_length(front->loaded[LEFT]), 0);
    EXPECT_EQ(world_length(front->spare[LEFT]), 0);
    EXPECT_EQ(world_length(front->foreign[LEFT]), 0);
    EXPECT_EQ(spare_bytes - front->spare_bytes, hak_magazine_bytes(LEFT));
    for (unsigned i = 0; i < TAP_COUNT(classes); i++)
        if (classes[i] != LEFT) {
            EXPECT_EQ(world_length(front->loaded[classes[i]]), 3);
            EXPECT_EQ(world_length(front->spare[classes[i]]), hak_classes[classes[i]].bundle);
            EXPECT_EQ(world_length(front->foreign[classes[i]]), 2);
        }
    EXPECT_EQ(hak_pool_free_objects(&other->mid, LEFT), hak_pool_objects(&other->mid, LEFT));
    hak_front_destroy(front);
    world_expect_nothing_lost();
}

/* ---- many threads ----------------------------------------------------------------------- */

enum { THREADS = 8, STEPS = 150000, TABLE = 1024, KINDS = 6 };

static const unsigned kinds[KINDS] = {
    1, 3, 20, HAK_CLASS_TINY_LAST + 1, HAK_CLASS_MID_LAST - 12, HAK_CLASS_LAST};
static void *table[KINDS][TABLE];
static uint64_t serial;

struct worker {
    unsigned number;
    unsigned faults;
    uint64_t given;
};

static void sign(void *object, size_t size)
{
    /* relaxed: only has to be a new number */
    uint64_t number = __atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED);
    memcpy(object, &number, sizeof number);
    number = ~number;
    memcpy((char *)object + size - sizeof number, &number, sizeof number);
}

static int is_signed(const void *object, size_t size)
{
    uint64_t first, last;
    memcpy(&first, object, sizeof first);
    memcpy(&last, (const char *)object + size - sizeof last, sizeof last);
    return first == ~last;
}

/* Objects change hands in a table: the thread that finds one there frees it. */
static void *pass_on(void *argument)
{
    struct worker *worker = argument;
    struct prng prng = {worker->number};
    struct hak_front *front = world_front();
    for (unsigned step = 0; step < STEPS && front != NULL; step++) {
        unsigned kind = (unsigned)prng_below(&prng, KINDS);
        size_t size = hak_classes[kinds[kind]].size;
        int only_frees = worker->number % 4 == 3;
        void *fresh = only_frees ? NULL : world_take(front, kinds[kind]);
        if (fresh != NULL)
            sign(fresh, size);
        /* acq_rel: what is in the object goes with it */
        void *old =
            __atomic_exchange_n(&table[kind][prng_below(&prng, TABLE)], fresh, __ATOMIC_ACQ_REL);
        if (old == NULL)
            continue;
        worker->faults += !is_signed(old, size);
        worker->given++;
        world_give(front, old);
        worker->faults += front->spare_bytes > HAK_FRONT_SPARE_BYTES;
        if (step % 5000 == 17) { /* a thread ends, another begins */
            hak_front_destroy(front);
            front = world_front();
        }
    }
    hak_front_destroy(front);
    return NULL;
}

static void empty_table(void)
{
    struct hak_front *front = world_front();
    for (unsigned kind = 0; kind < KINDS; kind++)
        for (unsigned i = 0; i < TABLE; i++) {
            if (table[kind][i] == NULL)
                continue;
            EXPECT(is_signed(table[kind][i], hak_classes[kinds[kind]].size));
            world_give(front, table[kind][i]);
            table[kind][i] = NULL;
        }
    hak_front_destroy(front);
}

static void pass_on_between(const char *shards, enum hak_remote remote)
{
    struct worker workers[THREADS];
    memset(workers, 0, sizeof workers);
    REQUIRE(world_by_turns(shards) != NULL);
    hak_heap_default()->settings_store.remote = remote;
    int64_t out = world_objects_out();
    for (unsigned i = 0; i < THREADS; i++)
        workers[i].number = i;
    shaker_run(THREADS, pass_on, workers, sizeof workers[0]);
    unsigned long given = 0; /* started together: on a busy machine one may come too late for the
                                others */
    for (unsigned i = 0; i < THREADS; i++) {
        EXPECT_EQ(workers[i].faults, 0);
        given += workers[i].given;
    }
    EXPECT_GE(given, 1);
    empty_table();
    EXPECT_EQ(world_objects_out(), out); /* each is counted on both ways */
    hak_heap_default()->settings_store.remote = HAK_REMOTE_HOME;
    EXPECT_EQ(world_sum(HAK_COUNTER_REFILL_FAILED), 0);
    world_expect_nothing_lost();
}

static void threads_of_one_shard(void)
{
    pass_on_between("1", HAK_REMOTE_HOME);
}

/* What all counters of the whole say of inboxes: posted objects and bundles, less collected. */
static uint64_t on_the_way(enum hak_counter posted, enum hak_counter collected)
{
    return world_sum(posted) - world_sum(collected);
}

static void threads_of_many_shards(void)
{
    uint64_t before = world_sum(HAK_COUNTER_FOREIGN_OBJECTS_HOME);
    uint64_t objects = on_the_way(HAK_COUNTER_FOREIGN_OBJECTS_HOME, HAK_COUNTER_INBOX_OBJECTS);
    uint64_t bundles = on_the_way(HAK_COUNTER_FOREIGN_BUNDLES_HOME, HAK_COUNTER_INBOX_BUNDLES);
    pass_on_between("5", HAK_REMOTE_HOME);
    uint64_t sent = world_sum(HAK_COUNTER_FOREIGN_OBJECTS_HOME) - before;
    EXPECT_GE(sent, THREADS * STEPS / 4); /* most objects were freed away from home */
    EXPECT_EQ(on_the_way(HAK_COUNTER_FOREIGN_OBJECTS_HOME, HAK_COUNTER_INBOX_OBJECTS), objects);
    EXPECT_EQ(on_the_way(HAK_COUNTER_FOREIGN_BUNDLES_HOME, HAK_COUNTER_INBOX_BUNDLES), bundles);
}

static void threads_that_adopt(void)
{
    pass_on_between("5", HAK_REMOTE_ADOPT);
}

/* Some threads take and give while others drain, purge and unmap memory. */
static void *trim_or_pass_on(void *argument)
{
    struct worker *worker = argument;
    if (worker->number != 0)
        return pass_on(argument);
    for (unsigned i = 0; i < 100; i++)
        hak_heap_trim(hak_heap_default());
    worker->given = 1;
    return NULL;
}

static void trimmed_meanwhile(void)
{
    struct worker workers[THREADS];
    memset(workers, 0, sizeof workers);
    REQUIRE(world_by_turns("3") != NULL);
    for (unsigned i = 0; i < THREADS; i++)
        workers[i].number = i;
    shaker_run(THREADS, trim_or_pass_on, workers, sizeof workers[0]);
    for (unsigned i = 0; i < THREADS; i++)
        EXPECT_EQ(workers[i].faults, 0);
    empty_table();
    world_expect_nothing_lost();
}

/* The objects in any of the three magazines are found; objects that are out are not. A broken link
 * ends the search. */
static void holds(void)
{
    world_start();
    struct hak_front *front = world_front();
    REQUIRE(front != NULL);
    unsigned bundle = hak_classes[CLASS].bundle;
    struct hak_chain chain = world_chain(front->shard, CLASS, bundle);
    void *out = world_pop(&chain);
    struct hak_chain *magazines[] = {front->loaded, front->spare, front->foreign};
    for (unsigned i = 0; i < 3; i++) {
        struct hak_chain was = magazines[i][CLASS];
        magazines[i][CLASS] = chain;
        for (struct hak_chain rest = chain; !hak_chain_is_empty(rest);
             rest = hak_link_read(hak_chain_top(rest)))
            EXPECT(hak_front_holds(front, CLASS, hak_chain_top(rest)));
        EXPECT(!hak_front_holds(front, CLASS, out));
        magazines[i][CLASS] = was;
    }
    front->loaded[CLASS] = chain;
    void *second = hak_chain_top(hak_link_read(hak_chain_top(chain)));
    struct hak_chain link = hak_link_read(second);
    hak_link_write(second, (struct hak_chain){link.word + 1});
    EXPECT(hak_front_holds(front, CLASS, second));
    EXPECT(!hak_front_holds(front, CLASS, hak_chain_top(link)));
    hak_link_write(second, link);
    world_give(front, out);
    hak_front_destroy(front);
    world_expect_nothing_lost();
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"foreign objects travel in bundles", foreign_magazine},
        {"a foreign magazine may become the spare one", foreign_magazine_is_kept},
        {"unused objects of a front go back to slabs", what_is_left_behind},
        {"threads of one shard lose nothing", threads_of_one_shard},
        {"threads of many shards lose nothing", threads_of_many_shards},
        {"threads that adopt lose nothing", threads_that_adopt},
        {"the content of a front is counted", holds},
        {"nothing is lost while others trim", trimmed_meanwhile},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
