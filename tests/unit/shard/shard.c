/* SPDX-License-Identifier: MIT */
/* shard/shard.c: shards are found by their ids. */
#include "shard/shard.h"

#include "tests/lib/threads.h"
#include "tests/unit/world.h"

enum { CREATORS = 8, SHARDS = 20 };

static struct hak_shard *made[CREATORS][SHARDS];

static void *create(void *argument)
{
    struct hak_shard **mine = argument;
    for (unsigned i = 0; i < SHARDS; i++) {
        mine[i] = hak_shard_create((int)i % 3 - 1, &hak_settings_default);
        if (EXPECT(mine[i] != NULL))
            EXPECT(hak_shard_of_id(mine[i]->id) == mine[i]);
    }
    return NULL;
}

static void ids_are_unique(void)
{
    world_start();
    unsigned before = hak_shard_last_id();
    EXPECT(hak_shard_of_id(0) == NULL); /* nobody's */
    threads_run(CREATORS, create, made, sizeof made[0]);
    EXPECT_EQ(hak_shard_last_id(), before + CREATORS * SHARDS);
    EXPECT(hak_shard_of_id(hak_shard_last_id() + 1) == NULL);
    for (unsigned id = 1; id <= hak_shard_last_id(); id++) {
        struct hak_shard *shard = hak_shard_of_id(id);
        REQUIRE(shard != NULL);
        EXPECT_EQ(shard->id, id);
        EXPECT_EQ(shard->source.home, id);
        EXPECT(shard->source.counters == &shard->counters);
    }
    for (unsigned i = 0; i < SHARDS; i++)
        EXPECT_EQ(made[0][i]->source.node, (int)i % 3 - 1);
}

static void pools_by_class(void)
{
    world_start();
    struct hak_shard *shard = hak_shard_create(-1, &hak_settings_default);
    REQUIRE(shard != NULL);
    for (unsigned class_id = 1; class_id <= HAK_CLASS_LAST; class_id++) {
        struct hak_pool *pool = hak_shard_pool(shard, class_id);
        EXPECT(pool == (hak_classes[class_id].size <= HAK_TINY_MAX ? &shard->tiny : &shard->mid));
        EXPECT(class_id >= pool->first_class && class_id <= pool->last_class);
        struct hak_chain word = world_chain(shard, class_id, 2);
        EXPECT_EQ(hak_page_find(hak_chain_top(word)).home, shard->id);
        hak_shard_give_to_slabs(class_id, word);
    }
    world_expect_nothing_lost();
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"ids are unique and found", ids_are_unique},
        {"each class has its pool", pools_by_class},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
