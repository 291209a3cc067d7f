/* SPDX-License-Identifier: MIT */
/* shard/found.c: damage that a program did to freed memory is found wherever a chain is walked,
 * reported once, and does no harm: the broken chain is left alone with all objects behind it. */
#include "shard/found.h"

#include "tests/lib/tap.h"
#include "tests/unit/world.h"

enum { CLASS = 4, COUNT = 8, SLOTS = 16 };

static struct hak_shard *shard(void)
{
    return world_by_turns("2")->shards[0];
}

/* The one finding that waits. */
static enum hak_found only(const void **object)
{
    const void *other;
    *object = NULL;
    EXPECT(hak_found_any());
    enum hak_found found = hak_found_take(object);
    EXPECT_EQ(hak_found_take(&other), HAK_FOUND_NOTHING);
    EXPECT(!hak_found_any());
    return found;
}

/* A chain of COUNT objects, of which `objects` tells the addresses, top first. */
static struct hak_chain chain(uint64_t **objects)
{
    struct hak_chain word = world_chain(shard(), CLASS, COUNT);
    struct hak_chain rest = word;
    for (unsigned i = 0; i < COUNT; i++)
        objects[i] = world_pop(&rest);
    return word;
}

static void findings_are_kept_and_bounded(void)
{
    const void *object;
    char some[SLOTS * 2];
    EXPECT_EQ(hak_found_take(&object), HAK_FOUND_NOTHING);
    for (unsigned i = 0; i < SLOTS * 2; i++)
        hak_found_bad_free(&shard()->counters, &some[i], HAK_FOUND_FREED);
    EXPECT_EQ(world_count(shard(), HAK_COUNTER_BAD_FREES), SLOTS * 2);
    for (unsigned i = 0; i < SLOTS; i++) {
        EXPECT_EQ(hak_found_take(&object), HAK_FOUND_FREED);
        EXPECT(object == &some[i]);
    }
    EXPECT_EQ(hak_found_take(&object), HAK_FOUND_NOTHING);
}

static void each_walk_ends_at_a_broken_link(void)
{
    void (*const walks[])(struct hak_shard *, unsigned, struct hak_chain) = {
        hak_shard_send_home,
        hak_shard_take_foreign,
        hak_shard_accept_part,
    };
    for (unsigned walk = 0; walk < TAP_COUNT(walks); walk++) {
        uint64_t *objects[COUNT];
        const void *object;
        struct hak_chain word = chain(objects);
        *objects[3] ^= 0x7f;
        uint64_t before = world_sum(HAK_COUNTER_BROKEN_LINKS);
        walks[walk](shard(), CLASS, word);
        hak_shard_drain(shard());
        EXPECT_EQ(only(&object), HAK_FOUND_OVERWRITTEN);
        EXPECT(object == objects[3]);
        EXPECT_EQ(world_sum(HAK_COUNTER_BROKEN_LINKS), before + 1);
    }
}

/* A thread's front hands out the objects above the broken link, and none below. */
static void a_front_goes_on_without_it(void)
{
    struct hak_front *front = world_front();
    uint64_t *objects[COUNT];
    const void *object;
    front->loaded[CLASS] = chain(objects);
    memset(objects[2], 0x41, 8);
    EXPECT(world_take(front, CLASS) == objects[0]);
    EXPECT(world_take(front, CLASS) == objects[1]);
    for (unsigned i = 0; i < 1000; i++) {
        void *next = world_take(front, CLASS);
        for (unsigned lost = 0; lost < COUNT; lost++)
            EXPECT(next != objects[lost] && next != NULL);
    }
    EXPECT_EQ(only(&object), HAK_FOUND_OVERWRITTEN);
    EXPECT(object == objects[2]);
    front->spare[CLASS] = chain(objects);
    front->spare_bytes += hak_magazine_bytes(CLASS);
    front->loaded[CLASS] = hak_magazine_empty(CLASS);
    memset(objects[0], 0x41, 8);
    EXPECT(world_take(front, CLASS) != NULL);
    EXPECT_EQ(only(&object), HAK_FOUND_OVERWRITTEN);
    EXPECT(object == objects[0]);
    EXPECT_EQ(front->spare_bytes, 0);
    hak_front_destroy(front);
}

/* free(p); ...; free(p), with this many other frees between. */
static void what_is_freed_twice_is_handed_out_once(void)
{
    struct hak_front *front = world_front();
    for (unsigned between = 0; between < COUNT; between++) {
        const void *object;
        void *mine[COUNT + 2];
        for (unsigned i = 0; i < TAP_COUNT(mine); i++)
            mine[i] = world_take(front, CLASS);
        for (unsigned i = 0; i <= between; i++)
            hak_magazine_push(&front->loaded[CLASS], mine[i]);
        EXPECT_EQ(hak_magazine_push(&front->loaded[CLASS], mine[0]), 1);
        unsigned times = 0;
        for (unsigned i = 0; i < 1000; i++)
            times += world_take(front, CLASS) == mine[0];
        EXPECT_EQ(times, 1);
        EXPECT_EQ(only(&object), HAK_FOUND_FREED);
        EXPECT(object == mine[0]);
    }
    hak_front_destroy(front);
}

/* The second word of a bundle's top object, in the transfer cache and in the inbox. */
static void bundles_end_at_a_broken_link(void)
{
    for (unsigned where = 0; where < 2; where++) {
        uint64_t *lower[COUNT];
        uint64_t *upper[COUNT];
        const void *object;
        struct hak_chain words[2] = {chain(lower), chain(upper)};
        for (unsigned i = 0; i < 2; i++)
            if (where == 0)
                EXPECT_EQ(hak_transfer_cache_push(&shard()->bundles, CLASS, words[i]), 1);
            else
                hak_inbox_post(&shard()->inbox, hak_bundle_of(CLASS, words[i]));
        upper[0][1] = hak_bundle_make(lower[2], 1).word;
        EXPECT_EQ(hak_shard_refill(shard(), CLASS, COUNT).word, words[1].word);
        EXPECT_EQ(only(&object), HAK_FOUND_OVERWRITTEN);
        EXPECT(object == upper[0]);
        EXPECT_EQ(hak_transfer_cache_depth(&shard()->bundles, CLASS), 0);
        EXPECT(!hak_shard_has_mail(shard()));
    }
}

/* Bundles behind a broken link are lost, and no longer counted as cached; by a peek (a tiny class)
 * and by taking all (a mid class). */
static void lost_bundles_are_not_cached(void)
{
    enum { BUNDLES = 4, BROKEN = 1, MID = HAK_CLASS_TINY_LAST + 1 };
    const unsigned classes[] = {CLASS + 1, MID};
    for (unsigned i = 0; i < TAP_COUNT(classes); i++) {
        unsigned class_id = classes[i];
        unsigned length = hak_classes[class_id].bundle;
        const uint64_t *cached = &shard()->classes[class_id].cached;
        const void *object;
        struct hak_chain chains[BUNDLES];
        for (unsigned bundle = 0; bundle < BUNDLES; bundle++)
            chains[bundle] = world_chain(shard(), class_id, length);
        for (unsigned bundle = BUNDLES; bundle-- != 0;)
            hak_shard_accept(shard(), class_id, chains[bundle]);
        EXPECT_EQ(*cached, BUNDLES * length);
        ((uint64_t *)hak_chain_top(chains[BROKEN]))[1] = UINT64_MAX;
        EXPECT_EQ(hak_shard_pop_bundle(shard(), class_id).word, chains[0].word);
        EXPECT_EQ(*cached, (BUNDLES - 1) * length);
        EXPECT_EQ(hak_shard_pop_bundle(shard(), class_id).word, chains[BROKEN].word);
        EXPECT_EQ(only(&object), HAK_FOUND_OVERWRITTEN);
        EXPECT_EQ(*cached, 0);
        EXPECT(hak_chain_is_empty(hak_shard_pop_bundle(shard(), class_id)));
    }
}

static void only_bundles_of_the_class_are_sound(void)
{
    uint64_t *objects[COUNT];
    chain(objects);
    EXPECT(hak_found_bundle_is_sound(CLASS, HAK_NO_BUNDLE));
    EXPECT(hak_found_bundle_is_sound(CLASS, hak_bundle_make(objects[0], 1)));
    EXPECT(hak_found_bundle_is_sound(HAK_CLASS_NONE, hak_bundle_make(objects[0], 1)));
    EXPECT(!hak_found_bundle_is_sound(CLASS + 1, hak_bundle_make(objects[0], 1)));
    EXPECT(!hak_found_bundle_is_sound(CLASS, hak_bundle_make(objects[0], 0)));
    EXPECT(!hak_found_bundle_is_sound(CLASS,
                                      hak_bundle_make(objects[0], hak_classes[CLASS].bundle + 1u)));
    EXPECT(!hak_found_bundle_is_sound(CLASS, hak_bundle_make((char *)objects[0] + 8, 1)));
    EXPECT(!hak_found_bundle_is_sound(HAK_CLASS_NONE, hak_bundle_make(&objects, 1)));
    EXPECT(!hak_found_bundle_is_sound(CLASS, (struct hak_bundle){UINT64_MAX}));
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"findings are kept as far as there is room", findings_are_kept_and_bounded},
        {"each walk ends at a broken link", each_walk_ends_at_a_broken_link},
        {"a front goes on without the broken chain", a_front_goes_on_without_it},
        {"an object that is freed twice is handed out once",
         what_is_freed_twice_is_handed_out_once},
        {"bundles end at a broken link", bundles_end_at_a_broken_link},
        {"lost bundles are not cached", lost_bundles_are_not_cached},
        {"only bundles of the class are sound", only_bundles_of_the_class_are_sound},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
