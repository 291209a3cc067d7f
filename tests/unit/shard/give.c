/* SPDX-License-Identifier: MIT */
/* shard/give.c: chains that are accepted, go home, or are adopted. */
#define _GNU_SOURCE
#include "shard/give.h"

#include <string.h>
#include <unistd.h>

#include "tests/lib/process.h"
#include "tests/unit/world.h"

enum { CLASS = 6, ROOM = 60 };

/* The transfer cache first; when it is full, slabs. */
static void accepted(void)
{
    const struct hak_shard_map *map = world_by_turns("4");
    REQUIRE(map != NULL);
    struct hak_shard *shard = map->shards[1];
    unsigned capacity = hak_transfer_cache_capacity(&shard->bundles, CLASS);
    uint64_t bundles = world_count(shard, HAK_COUNTER_FLUSH_BUNDLES);
    uint64_t to_slabs = world_count(shard, HAK_COUNTER_FLUSH_TO_SLABS);
    unsigned bundle = hak_classes[CLASS].bundle;
    struct hak_chain *words = calloc(capacity + 3, sizeof *words);
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

/* Objects that are freed and never missed leave nothing in bundles: slabs become empty. */
static void freed_in_vain(void)
{
    enum { CHAINS = 300 };
    const struct hak_shard_map *map = world_by_turns("4");
    REQUIRE(map != NULL);
    struct hak_shard *shard = map->shards[1];
    static struct hak_chain chains[CHAINS];
    for (unsigned i = 0; i < CHAINS; i++)
        chains[i] = world_chain(shard, CLASS, hak_classes[CLASS].bundle);
    for (unsigned i = 0; i < CHAINS; i++)
        hak_shard_accept(shard, CLASS, chains[i]);
    EXPECT_EQ(hak_transfer_cache_depth(&shard->bundles, CLASS), 0);
    hak_transfer_cache_note_demand(&shard->bundles, CLASS, false);
    hak_shard_accept(shard, CLASS, world_chain(shard, CLASS, hak_classes[CLASS].bundle));
    EXPECT_EQ(hak_transfer_cache_depth(&shard->bundles, CLASS), 1);
    world_expect_nothing_lost();
}

/* One chain, more homes than can be sorted apart, in any order: each object goes home. */
static void sent_home(void)
{
    enum { SHARDS = 12, EACH = 5 };
    const struct hak_shard_map *map = world_by_turns("12");
    REQUIRE(map != NULL && map->count == SHARDS);
    struct hak_chain chains[SHARDS];
    for (unsigned i = 0; i < SHARDS; i++)
        chains[i] = world_chain(map->shards[i], CLASS, EACH);
    struct hak_chain mixed = hak_magazine_empty(CLASS);
    for (unsigned i = 0; i < SHARDS * EACH; i++)
        EXPECT(hak_magazine_push(&mixed, world_pop(&chains[i * 7 % SHARDS])));
    struct hak_shard *sender = map->shards[3];
    uint64_t objects = world_count(sender, HAK_COUNTER_FOREIGN_OBJECTS_HOME);
    hak_shard_send_home(sender, CLASS, mixed);
    EXPECT(hak_inbox_is_empty(&sender->inbox)); /* its own need no inbox */
    EXPECT_EQ(hak_transfer_cache_depth(&sender->bundles, CLASS), 1);
    unsigned posted = 0;
    for (unsigned i = 0; i < SHARDS; i++) {
        struct hak_bundle bundle = hak_inbox_collect(&map->shards[i]->inbox);
        if (hak_bundle_is_none(bundle))
            continue;
        EXPECT_EQ(hak_bundle_count(bundle), EACH);
        EXPECT(hak_bundle_is_none(hak_bundle_next(hak_bundle_top(bundle))));
        struct hak_chain chain = hak_bundle_chain(CLASS, bundle);
        EXPECT_EQ(world_length(chain), EACH);
        for (struct hak_chain rest = chain; hak_chain_top(rest) != NULL; world_pop(&rest))
            EXPECT_EQ(hak_page_find(hak_chain_top(rest)).home, map->shards[i]->id);
        hak_shard_give_to_slabs(CLASS, chain);
        posted++;
    }
    EXPECT_EQ(posted, 7); /* eight homes at once, the sender's among them; the rest to slabs */
    EXPECT_EQ(world_count(sender, HAK_COUNTER_FOREIGN_OBJECTS_HOME) - objects, 7 * EACH);
    world_expect_nothing_lost();
}

/* Within a node objects may stay where they are freed, if the heap says so; never across nodes.
 * Those of another node go to one shard there, in one bundle. */
static void adopted(void)
{
    static const struct world_machine machine = {4, 2, 2, "cpu"}; /* node 0: 0 1, node 1: 2 3 */
    const struct hak_shard_map *map = world_place(&machine);
    REQUIRE(map != NULL && map->count >= 4);
    struct hak_heap *heap = hak_heap_default();
    struct hak_chain chains[4];
    for (unsigned i = 0; i < 4; i++)
        chains[i] = world_chain(map->shards[i], CLASS, 4);
    struct hak_chain mixed = hak_magazine_empty(CLASS);
    for (unsigned i = 0; i < 16; i++)
        hak_magazine_push(&mixed, world_pop(&chains[i % 4]));
    heap->settings_store.remote = HAK_REMOTE_ADOPT;
    hak_shard_take_foreign(map->shards[0], CLASS, mixed);
    heap->settings_store.remote = HAK_REMOTE_HOME;
    struct hak_chain kept = hak_shard_pop_bundle(map->shards[0], CLASS);
    EXPECT_EQ(world_length(kept), 8);
    for (struct hak_chain rest = kept; hak_chain_top(rest) != NULL; world_pop(&rest)) {
        unsigned home = hak_page_find(hak_chain_top(rest)).home;
        EXPECT(home == map->shards[0]->id || home == map->shards[1]->id);
    }
    EXPECT(hak_inbox_is_empty(&map->shards[1]->inbox));
    EXPECT_EQ(hak_bundle_count(map->shards[2]->inbox.head) +
                  hak_bundle_count(map->shards[3]->inbox.head),
              8);
    EXPECT(hak_inbox_is_empty(&map->shards[2]->inbox) ||
           hak_inbox_is_empty(&map->shards[3]->inbox));
    hak_shard_give_to_slabs(CLASS, kept);
    world_expect_nothing_lost();
}

/* Also more homes on another node than a chain can be sorted by: none goes the long way to slabs. */
static void many_homes_afar(void)
{
    enum { AFAR = 12, EACH = 4 };
    static const struct world_machine machine = {2 * AFAR, AFAR, AFAR, "24"};
    const struct hak_shard_map *map = world_place(&machine);
    REQUIRE(map != NULL && map->count == 2 * AFAR);
    struct hak_heap *heap = hak_heap_default();
    struct hak_shard *sender = map->shards[0];
    struct hak_chain chains[AFAR];
    struct hak_chain mixed = hak_magazine_empty(CLASS);
    for (unsigned i = 0; i < AFAR; i++)
        chains[i] = world_chain(map->shards[AFAR + i], CLASS, EACH);
    for (unsigned i = 0; i < AFAR * EACH; i++)
        EXPECT(hak_magazine_push(&mixed, world_pop(&chains[i % AFAR])));
    uint64_t posts = world_count(sender, HAK_COUNTER_FOREIGN_BUNDLES_HOME);
    uint64_t objects = world_count(sender, HAK_COUNTER_FOREIGN_OBJECTS_HOME);
    heap->settings_store.remote = HAK_REMOTE_ADOPT;
    hak_shard_take_foreign(sender, CLASS, mixed);
    heap->settings_store.remote = HAK_REMOTE_HOME;
    EXPECT_EQ(world_count(sender, HAK_COUNTER_FOREIGN_BUNDLES_HOME) - posts, 1);
    EXPECT_EQ(world_count(sender, HAK_COUNTER_FOREIGN_OBJECTS_HOME) - objects, AFAR * EACH);
    world_expect_nothing_lost();
}

/* Foreign objects that must not be kept go to slabs, or home if that may be far. */
static void given_up(void)
{
    static const struct world_machine machine = {4, 2, 2, "cpu"};
    const struct hak_shard_map *map = world_place(&machine);
    REQUIRE(map != NULL && map->count >= 4);
    hak_shard_give_up_foreign(map->shards[0], CLASS, world_chain(map->shards[2], CLASS, 4));
    EXPECT_EQ(hak_bundle_count(map->shards[2]->inbox.head), 4);
    map = world_by_turns("2");
    REQUIRE(map != NULL);
    struct hak_shard *home = map->shards[1];
    size_t free = hak_pool_free_objects(hak_shard_pool(home, CLASS), CLASS);
    struct hak_chain chain = world_chain(home, CLASS, 4);
    hak_shard_give_up_foreign(map->shards[0], CLASS, chain);
    EXPECT(hak_inbox_is_empty(&home->inbox));
    EXPECT_GE(hak_pool_free_objects(hak_shard_pool(home, CLASS), CLASS), free + (free == 0));
    world_expect_nothing_lost();
}

/* On several nodes, too, a front keeps a chain that is entirely near; one far object sends the
 * chain the longer way. */
static void near_foreign_is_kept(void)
{
    static const struct world_machine machine = {4, 2, 2, "cpu"}; /* as above */
    const struct hak_shard_map *map = world_place(&machine);
    REQUIRE(map != NULL && map->count >= 4);
    struct hak_heap *heap = hak_heap_default();
    struct hak_chain near = world_chain(map->shards[1], CLASS, 8);
    struct hak_chain far = world_chain(map->shards[2], CLASS, 1);
    heap->settings_store.remote = HAK_REMOTE_ADOPT;
    EXPECT_EQ(hak_shard_leaves_foreign(map->shards[0], CLASS, near), 1);
    EXPECT_EQ(hak_shard_leaves_foreign(map->shards[3], CLASS, near), 0);
    for (unsigned i = 0; i < 8; i++)
        hak_magazine_push(&far, world_pop(&near)); /* far is at the bottom */
    EXPECT_EQ(hak_shard_leaves_foreign(map->shards[0], CLASS, far), 0);
    heap->settings_store.remote = HAK_REMOTE_HOME;
    hak_shard_give_to_slabs(CLASS, far);
    world_expect_nothing_lost();
}

/* Objects freed twice and pointers to no object are left out and counted, and no thread waits for
 * them for ever. */
static int bad_frees_child(void)
{
    struct hak_shard *shard = world_by_turns("2")->shards[0];
    struct hak_chain chain = world_chain(shard, CLASS, 4);
    char *objects[4];
    for (unsigned i = 0; i < 4; i++)
        objects[i] = world_pop(&chain);
    hak_magazine_push(&chain, objects[0]);
    hak_magazine_push(&chain, objects[1] + 16);
    hak_magazine_push(&chain, objects[2]);
    hak_shard_give_to_slabs(CLASS, chain);
    int good = EXPECT_EQ(world_count(shard, HAK_COUNTER_BAD_FREES), 1);

    chain = hak_magazine_empty(CLASS);
    hak_magazine_push(&chain, objects[3]);
    hak_magazine_push(&chain, objects[2]); /* free in its slab already */
    hak_shard_give_to_slabs(CLASS, chain);
    good &= EXPECT_EQ(world_count(shard, HAK_COUNTER_BAD_FREES), 2);

    chain = hak_magazine_empty(CLASS);
    hak_magazine_push(&chain, objects[1]);
    hak_magazine_push(&chain, objects[1]); /* free(p); free(p): the chain bites its tail */
    hak_shard_give_to_slabs(CLASS, chain);
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

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"bundles are accepted by cache, then slabs", accepted},
        {"objects that no thread misses go to slabs", freed_in_vain},
        {"a mixed chain goes home, each object to its own", sent_home},
        {"adopted within the node, sent home across", adopted},
        {"objects that must not be kept go to slabs or home", given_up},
        {"objects of many homes on another node travel together", many_homes_afar},
        {"near foreign objects stay with the front", near_foreign_is_kept},
        {"bad frees do no harm", bad_frees},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
