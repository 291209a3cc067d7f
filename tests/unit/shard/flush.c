/* SPDX-License-Identifier: MIT */
/* shard/flush.c: the way out of fronts and the way home. Several shards stand on one CPU of the
 * test's machine, so that threads get them by turns wherever they run. */
#include "shard/front.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/prng.h"
#include "tests/lib/process.h"
#include "tests/lib/threads.h"
#include "tests/unit/shard/shaker.h"
#include "tests/unit/shard/world.h"

enum { CLASS = 6, ROOM = 60 };

/* ---- one thread ------------------------------------------------------------------------- */

/* The transfer cache first; when it is full, slabs. */
static void accepted(void)
{
    const struct hak_placement *placement = world_by_turns("4");
    REQUIRE(placement != NULL);
    struct hak_shard *shard = placement->shards[1];
    unsigned capacity = shard->bundles.bins[CLASS].capacity;
    uint64_t bundles = world_count(shard, HAK_COUNTER_FLUSH_BUNDLES);
    uint64_t to_slabs = world_count(shard, HAK_COUNTER_FLUSH_TO_SLABS);
    unsigned bundle = hak_classes[CLASS].bundle;
    uint64_t *words = calloc(capacity + 3, sizeof *words);
    for (unsigned i = 0; i < capacity + 3; i++)
        words[i] = world_chain(shard, CLASS, bundle);
    for (unsigned i = 0; i < capacity + 3; i++)
        hak_shard_accept(shard, CLASS, words[i]);
    EXPECT_EQ(hak_transfer_cache_depth(&shard->bundles, CLASS), capacity);
    EXPECT_EQ(world_count(shard, HAK_COUNTER_FLUSH_BUNDLES) - bundles, capacity);
    EXPECT_EQ(world_count(shard, HAK_COUNTER_FLUSH_TO_SLABS) - to_slabs, 3);
    free(words);
    world_expect_nothing_lost();
}

/* One chain, more homes than can be sorted apart, in any order: each object goes home. */
static void sent_home(void)
{
    enum { SHARDS = 12, EACH = 5 };
    const struct hak_placement *placement = world_by_turns("12");
    REQUIRE(placement != NULL && placement->count == SHARDS);
    uint64_t chains[SHARDS];
    for (unsigned i = 0; i < SHARDS; i++)
        chains[i] = world_chain(placement->shards[i], CLASS, EACH);
    uint64_t mixed = hak_magazine_empty(CLASS);
    for (unsigned i = 0; i < SHARDS * EACH; i++)
        EXPECT(hak_magazine_push(&mixed, world_pop(&chains[i * 7 % SHARDS])));
    struct hak_shard *sender = placement->shards[3];
    uint64_t objects = world_count(sender, HAK_COUNTER_FOREIGN_OBJECTS_HOME);
    hak_shard_send_home(sender, CLASS, mixed);
    EXPECT(hak_inbox_is_empty(&sender->inbox)); /* its own need no inbox */
    EXPECT_EQ(hak_transfer_cache_depth(&sender->bundles, CLASS), 1);
    unsigned posted = 0;
    for (unsigned i = 0; i < SHARDS; i++) {
        uint64_t bundle = hak_inbox_collect(&placement->shards[i]->inbox);
        if (bundle == 0)
            continue;
        EXPECT_EQ(hak_word_room(bundle), EACH);
        EXPECT_EQ(hak_next_bundle(hak_word_object(bundle)), 0);
        uint64_t word = hak_word_make(hak_word_object(bundle), hak_classes[CLASS].bundle - EACH);
        EXPECT_EQ(world_length(word), EACH);
        for (uint64_t rest = word; hak_word_object(rest) != NULL; world_pop(&rest))
            EXPECT_EQ(hak_page_find(hak_word_object(rest)).home, placement->shards[i]->id);
        hak_shard_give_to_slabs(CLASS, word);
        posted++;
    }
    EXPECT_EQ(posted, 7); /* eight homes at once, the sender's among them; the rest to slabs */
    EXPECT_EQ(world_count(sender, HAK_COUNTER_FOREIGN_OBJECTS_HOME) - objects, 7 * EACH);
    world_expect_nothing_lost();
}

/* Foreign objects are kept together until they are a bundle, then go; a flush sends the rest. */
static void foreign_magazine(void)
{
    const struct hak_placement *placement = world_by_turns("2");
    REQUIRE(placement != NULL);
    struct hak_front *front = hak_front_create();
    REQUIRE(front != NULL);
    struct hak_shard *home = placement->shards[front->shard == placement->shards[0]];
    unsigned bundle = hak_classes[CLASS].bundle;
    uint64_t first = world_chain(home, CLASS, bundle);
    uint64_t more = world_chain(home, CLASS, 3);
    for (unsigned i = 0; i < bundle; i++)
        world_give(front, world_pop(&first));
    EXPECT(hak_inbox_is_empty(&home->inbox));
    front->slow_calls = 0;
    world_give(front, world_pop(&more));
    EXPECT_EQ(hak_word_room(home->inbox.head), bundle);
    EXPECT_EQ(world_length(front->foreign[CLASS]), 1);
    while (hak_word_object(more) != NULL)
        world_give(front, world_pop(&more));
    hak_front_flush(front);
    EXPECT_EQ(front->foreign[CLASS], hak_magazine_empty(CLASS));
    EXPECT_EQ(hak_word_room(home->inbox.head), 3);
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
    const struct hak_placement *placement = world_by_turns("2");
    REQUIRE(placement != NULL);
    struct hak_front *front = hak_front_create();
    REQUIRE(front != NULL);
    struct hak_shard *own = front->shard;
    struct hak_shard *home = placement->shards[own == placement->shards[0]];
    struct hak_heap *heap = hak_heap_default();
    unsigned bundle = hak_classes[CLASS].bundle;
    uint64_t adopted = world_count(own, HAK_COUNTER_FOREIGN_ADOPTED);
    uint64_t chains[3];
    for (unsigned i = 0; i < TAP_COUNT(chains); i++)
        chains[i] = world_chain(home, CLASS, bundle);
    heap->remote = HAK_REMOTE_ADOPT;
    front->slow_calls = 0;
    for (unsigned i = 0; i < TAP_COUNT(chains); i++)
        while (hak_word_object(chains[i]) != NULL)
            world_give(front, world_pop(&chains[i]));
    EXPECT_EQ(world_length(front->spare[CLASS]), bundle);
    EXPECT_EQ(front->spare_bytes, hak_magazine_bytes(CLASS));
    EXPECT_EQ(world_length(front->foreign[CLASS]), bundle);
    EXPECT_EQ(hak_transfer_cache_depth(&own->bundles, CLASS), 1);
    EXPECT_EQ(world_count(own, HAK_COUNTER_FOREIGN_ADOPTED) - adopted, 2 * bundle);
    void *object = hak_front_refill(front, CLASS);
    EXPECT(object != NULL && hak_page_find(object).home == home->id);
    EXPECT_EQ(front->spare_bytes, 0);
    world_give(front, object);
    heap->remote = HAK_REMOTE_HOME;
    hak_front_destroy(front);
    world_expect_nothing_lost();
}

/* Within a node objects may stay where they are freed, if the heap says so; never across nodes. */
static void adopted(void)
{
    static const struct world_machine machine = {4, 2, 2, "cpu"}; /* node 0: 0 1, node 1: 2 3 */
    const struct hak_placement *placement = world_place(&machine);
    REQUIRE(placement != NULL && placement->count >= 4);
    struct hak_heap *heap = hak_heap_default();
    uint64_t chains[4];
    for (unsigned i = 0; i < 4; i++)
        chains[i] = world_chain(placement->shards[i], CLASS, 4);
    uint64_t mixed = hak_magazine_empty(CLASS);
    for (unsigned i = 0; i < 16; i++)
        hak_magazine_push(&mixed, world_pop(&chains[i % 4]));
    heap->remote = HAK_REMOTE_ADOPT;
    hak_shard_take_foreign(placement->shards[0], CLASS, mixed);
    heap->remote = HAK_REMOTE_HOME;
    uint64_t kept = hak_transfer_cache_pop(&placement->shards[0]->bundles, CLASS);
    EXPECT_EQ(world_length(kept), 8);
    for (uint64_t rest = kept; hak_word_object(rest) != NULL; world_pop(&rest)) {
        unsigned home = hak_page_find(hak_word_object(rest)).home;
        EXPECT(home == placement->shards[0]->id || home == placement->shards[1]->id);
    }
    EXPECT(hak_inbox_is_empty(&placement->shards[1]->inbox));
    EXPECT_EQ(hak_word_room(placement->shards[2]->inbox.head), 4);
    EXPECT_EQ(hak_word_room(placement->shards[3]->inbox.head), 4);
    hak_shard_give_to_slabs(CLASS, kept);
    world_expect_nothing_lost();
}

/* What was freed twice or is no object is left out, counted, and nobody waits for it for ever. */
static int bad_frees_child(void)
{
    struct hak_shard *shard = world_by_turns("2")->shards[0];
    uint64_t word = world_chain(shard, CLASS, 4);
    char *objects[4];
    for (unsigned i = 0; i < 4; i++)
        objects[i] = world_pop(&word);
    hak_magazine_push(&word, objects[0]);
    hak_magazine_push(&word, objects[1] + 16);
    hak_magazine_push(&word, objects[2]);
    hak_shard_give_to_slabs(CLASS, word);
    int good = EXPECT_EQ(world_count(shard, HAK_COUNTER_BAD_FREES), 1);

    word = hak_magazine_empty(CLASS);
    hak_magazine_push(&word, objects[3]);
    hak_magazine_push(&word, objects[2]); /* free in its slab already */
    hak_shard_give_to_slabs(CLASS, word);
    good &= EXPECT_EQ(world_count(shard, HAK_COUNTER_BAD_FREES), 2);

    word = hak_magazine_empty(CLASS);
    hak_magazine_push(&word, objects[1]);
    hak_magazine_push(&word, objects[1]); /* free(p); free(p): the chain bites its tail */
    hak_shard_give_to_slabs(CLASS, word);
    good &= EXPECT_EQ(world_count(shard, HAK_COUNTER_BAD_FREES), 2);
    good &= EXPECT_EQ(world_sum(HAK_COUNTER_BROKEN_LINKS), 1);
    return good ? 0 : 1;
}

static void bad_frees(void)
{
    world_by_turns("2");
    pid_t child = fork();
    if (child == 0)
        _exit(bad_frees_child());
    EXPECT_EQ(process_wait(child, 10), 0); /* 124: it hung */
}

/* ---- many threads ----------------------------------------------------------------------- */

enum { THREADS = 8, STEPS = 150000, TABLE = 1024, KINDS = 6 };

static const unsigned kinds[KINDS] = {1, 3, 20, HAK_CLASS_TINY_LAST + 1,
                                        HAK_CLASS_MID_LAST - 12, HAK_CLASS_LAST};
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

/* Objects change hands in a table: whoever finds one there frees it. */
static void *pass_on(void *argument)
{
    struct worker *worker = argument;
    struct prng prng = {worker->number};
    struct hak_front *front = hak_front_create();
    for (unsigned step = 0; step < STEPS && front != NULL; step++) {
        unsigned kind = (unsigned)prng_below(&prng, KINDS);
        size_t size = hak_classes[kinds[kind]].size;
        int only_frees = worker->number % 4 == 3;
        void *fresh = only_frees ? NULL : world_take(front, kinds[kind]);
        if (fresh != NULL)
            sign(fresh, size);
        /* acq_rel: what is in the object goes with it */
        void *old = __atomic_exchange_n(&table[kind][prng_below(&prng, TABLE)], fresh,
                                        __ATOMIC_ACQ_REL);
        if (old == NULL)
            continue;
        worker->faults += !is_signed(old, size);
        worker->given++;
        world_give(front, old);
        worker->faults += front->spare_bytes > HAK_FRONT_SPARE_BYTES;
        if (step % 5000 == 17) { /* a thread ends, another begins */
            hak_front_destroy(front);
            front = hak_front_create();
        }
    }
    hak_front_destroy(front);
    return NULL;
}

static void empty_table(void)
{
    struct hak_front *front = hak_front_create();
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

static void pass_on_between(const char *shards, enum hak_heap_remote remote)
{
    struct worker workers[THREADS];
    memset(workers, 0, sizeof workers);
    REQUIRE(world_by_turns(shards) != NULL);
    hak_heap_default()->remote = remote;
    int64_t out = world_objects_out();
    for (unsigned i = 0; i < THREADS; i++)
        workers[i].number = i;
    shaker_run(THREADS, pass_on, workers, sizeof workers[0]);
    unsigned long given = 0;    /* by all: on a busy machine one may come too late for any */
    for (unsigned i = 0; i < THREADS; i++) {
        EXPECT_EQ(workers[i].faults, 0);
        given += workers[i].given;
    }
    EXPECT_GE(given, 1);
    empty_table();
    EXPECT_EQ(world_objects_out(), out); /* each is counted on both ways */
    hak_heap_default()->remote = HAK_REMOTE_HOME;
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

/* Some take and give while others drain, purge and unmap under them. */
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

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"bundles are accepted by cache, then slabs", accepted},
        {"a mixed chain goes home, each object to its own", sent_home},
        {"foreign objects travel in bundles", foreign_magazine},
        {"a foreign magazine may become the spare one", foreign_magazine_is_kept},
        {"adopted within the node, sent home across", adopted},
        {"threads of one shard lose nothing", threads_of_one_shard},
        {"threads of many shards lose nothing", threads_of_many_shards},
        {"threads that adopt lose nothing", threads_that_adopt},
        {"nothing is lost while others trim", trimmed_meanwhile},
        {"bad frees harm nobody", bad_frees},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
