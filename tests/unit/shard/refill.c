/* SPDX-License-Identifier: MIT */
/* shard/refill.c: the six sources in their order, and how far a front is filled. Eight shards: CPUs
 * 0-1 and 2-3 share an L3 each on node 0, 4-5 and 6-7 on node 1. */
#include "front/front.h"

#include "shard/rest.h"
#include "tests/lib/process.h"
#include "tests/unit/tiers/child.h"
#include "tests/unit/world.h"

enum { CLASS = 12, FILL = 3 };

static const struct hak_shard_map *eight(void)
{
    static const struct world_machine machine = {8, 2, 4, "cpu"};
    static const struct hak_shard_map *map;
    if (map == NULL)
        map = world_place(&machine);
    return map;
}

/* Refills from shard `index`, and says which source was counted. */
static struct hak_chain refill(unsigned index, enum hak_counter expected)
{
    struct hak_shard *shard = eight()->shards[index];
    const enum hak_counter sources[] = {
        HAK_COUNTER_REFILL_TRANSFER_CACHE, HAK_COUNTER_REFILL_INBOX,
        HAK_COUNTER_REFILL_SLAB_PARTIAL,   HAK_COUNTER_REFILL_STOLEN_L3,
        HAK_COUNTER_REFILL_STOLEN_NODE,    HAK_COUNTER_REFILL_SLAB_FRESH,
        HAK_COUNTER_REFILL_OTHER_NODE,     HAK_COUNTER_REFILL_FAILED,
    };
    uint64_t before[TAP_COUNT(sources)];
    uint64_t objects = world_count(shard, HAK_COUNTER_REFILL_OBJECTS);
    for (unsigned i = 0; i < TAP_COUNT(sources); i++)
        before[i] = world_count(shard, sources[i]);
    struct hak_chain word = hak_shard_refill(shard, CLASS, FILL);
    for (unsigned i = 0; i < TAP_COUNT(sources); i++)
        EXPECT_EQ(world_count(shard, sources[i]) - before[i], sources[i] == expected);
    unsigned length = world_length(word);
    EXPECT_EQ(world_count(shard, HAK_COUNTER_REFILL_OBJECTS) - objects, length);
    if (length != 0)
        EXPECT_EQ(length, hak_chain_length(CLASS, word));
    return word;
}

static void push_bundle(unsigned to, struct hak_chain word)
{
    EXPECT(hak_transfer_cache_push(&eight()->shards[to]->bundles, CLASS, word));
}

static void post_bundle(unsigned to, struct hak_chain word)
{
    hak_inbox_post(&eight()->shards[to]->inbox, hak_bundle_of(CLASS, word));
}

static struct hak_chain chain(unsigned from, unsigned count)
{
    return world_chain(eight()->shards[from], CLASS, count);
}

static void own_sources_in_order(void)
{
    REQUIRE(eight() != NULL);
    EXPECT_EQ(eight()->count, 8);
    struct hak_chain first = refill(0, HAK_COUNTER_REFILL_SLAB_FRESH);
    EXPECT_EQ(world_length(first), FILL);
    struct hak_chain bundle = chain(0, 9);
    struct hak_chain posted = chain(0, 4);
    push_bundle(0, bundle);
    post_bundle(0, posted);
    EXPECT_EQ(refill(0, HAK_COUNTER_REFILL_TRANSFER_CACHE).word,
              bundle.word); /* whole, not cut to FILL */
    EXPECT_EQ(refill(0, HAK_COUNTER_REFILL_INBOX).word, posted.word);
    struct hak_chain second = refill(0, HAK_COUNTER_REFILL_SLAB_PARTIAL);
    EXPECT_EQ(world_length(second), FILL);
    const struct hak_chain all[] = {first, bundle, posted, second};
    for (unsigned i = 0; i < TAP_COUNT(all); i++)
        hak_shard_give_to_slabs(CLASS, all[i]);
    world_expect_nothing_lost();
}

/* The inbox is emptied at once: the first bundle of the class is kept, the rest sorted away. */
static void inbox_is_sorted(void)
{
    enum { OTHER_CLASS = HAK_CLASS_LAST };
    struct hak_shard *shard = eight()->shards[1];
    struct hak_chain other = world_chain(shard, OTHER_CLASS, 2);
    struct hak_chain words[3];
    for (unsigned i = 0; i < 3; i++) {
        words[i] = chain(1, 2 + i);
        post_bundle(1, words[i]);
    }
    hak_inbox_post(&shard->inbox, hak_bundle_make(hak_chain_top(other), 2));
    uint64_t peak = world_count(shard, HAK_COUNTER_INBOX_PEAK);
    struct hak_chain kept = refill(1, HAK_COUNTER_REFILL_INBOX);
    EXPECT_EQ(kept.word, words[2].word);
    EXPECT(hak_inbox_is_empty(&shard->inbox));
    EXPECT_LE(peak, 4);
    EXPECT_EQ(world_count(shard, HAK_COUNTER_INBOX_PEAK), 4);
    EXPECT_EQ(world_count(shard, HAK_COUNTER_INBOX_OBJECTS), 2 + 3 + 4 + 2);
    EXPECT_EQ(hak_transfer_cache_depth(&shard->bundles, CLASS), 2);
    EXPECT_EQ(hak_shard_pop_bundle(shard, OTHER_CLASS).word, other.word);
    EXPECT_EQ(refill(1, HAK_COUNTER_REFILL_TRANSFER_CACHE).word, words[0].word);
    EXPECT_EQ(refill(1, HAK_COUNTER_REFILL_TRANSFER_CACHE).word, words[1].word);
    hak_shard_give_to_slabs(OTHER_CLASS, other);
    for (unsigned i = 0; i < 3; i++)
        hak_shard_give_to_slabs(CLASS, words[i]);
    world_expect_nothing_lost();
}

/* A call sorts a portion, whichever shards' inboxes it asks; the next calls, also a neighbour's, go
 * on where it stopped, in the order in which the bundles came. */
static void sorting_has_a_budget(void)
{
    enum { POSTED = 5 * HAK_PORTION_BUNDLES, OTHER_CLASS = CLASS + 1 };
    static struct hak_chain words[POSTED + 1];
    for (unsigned index = 1; index <= 2; index++)
        for (unsigned i = 0; i < POSTED; i++) {
            struct hak_chain other = world_chain(eight()->shards[1], OTHER_CLASS, 1);
            hak_inbox_post(&eight()->shards[index]->inbox, hak_bundle_of(OTHER_CLASS, other));
        }
    uint64_t sorted = world_sum(HAK_COUNTER_INBOX_BUNDLES);
    struct hak_chain fresh =
        hak_shard_refill(eight()->shards[1], CLASS, FILL); /* none of that class */
    EXPECT_EQ(world_sum(HAK_COUNTER_INBOX_BUNDLES) - sorted, HAK_PORTION_BUNDLES);
    hak_shard_give_to_slabs(CLASS, fresh);
    EXPECT(hak_shard_has_mail(eight()->shards[1]) && hak_shard_has_mail(eight()->shards[2]));
    words[0] = chain(1, 2);
    words[1] = chain(1, 2);
    for (unsigned i = 0; i < 2; i++)
        post_bundle(1, words[i]);
    struct hak_chain word;
    unsigned refills = 0;
    do {
        sorted = world_sum(HAK_COUNTER_INBOX_BUNDLES);
        word = hak_shard_refill(eight()->shards[refills % 2], CLASS, FILL);
        EXPECT_LE(world_sum(HAK_COUNTER_INBOX_BUNDLES) - sorted, HAK_PORTION_BUNDLES);
        if (word.word != words[1].word)
            hak_shard_give_to_slabs(CLASS, word);
        refills++;
    } while (word.word != words[1].word && refills < 4 * POSTED);
    EXPECT(word.word == words[1].word);
    EXPECT_GE(refills, 4);
    hak_shard_give_to_slabs(CLASS, word);
    world_expect_nothing_lost();
}

/* If another thread is at it, the inbox counts as empty. */
static void sorting_is_one_threads(void)
{
    struct hak_shard *shard = eight()->shards[1];
    struct hak_chain word = chain(1, 2);
    post_bundle(1, word);
    EXPECT(hak_lock_try(&shard->backlog.sorting));
    uint64_t sorted = world_sum(HAK_COUNTER_INBOX_BUNDLES);
    struct hak_chain other = hak_shard_refill(shard, CLASS, FILL);
    EXPECT_EQ(world_sum(HAK_COUNTER_INBOX_BUNDLES) - sorted, 0);
    hak_lock_release(&shard->backlog.sorting);
    EXPECT(!hak_chain_is_empty(other) && other.word != word.word);
    EXPECT_EQ(refill(1, HAK_COUNTER_REFILL_INBOX).word, word.word);
    hak_shard_give_to_slabs(CLASS, word);
    hak_shard_give_to_slabs(CLASS, other);
    world_expect_nothing_lost();
}

/* All that is free in the shard's slab of the class, as chains; how many. */
static unsigned exhaust(unsigned index, struct hak_chain *chains)
{
    struct hak_shard *shard = eight()->shards[index];
    unsigned count = 0;
    for (;; count++) {
        chains[count] = hak_magazine_empty(CLASS);
        if (hak_pool_take(hak_shard_pool(shard, CLASS), CLASS, 16, &chains[count]) == 0)
            return count;
    }
}

/* Shard 2 asks 3 (its L3), then 0 and 1 (its node), then makes a slab of its own; it does not ask
 * node 1. Of each shard it takes the objects in cache or inbox before those in slabs. */
static void neighbours_are_asked_by_distance(void)
{
    static struct hak_chain chains[1024];
    struct hak_chain words[8];
    unsigned count = 0;
    for (unsigned i = 0; i < 8; i++)
        words[i] = chain(i, 2);
    count = exhaust(2, chains);
    for (unsigned i = 0; i < 8; i++)
        if (i != 2 && i % 2 == 0)
            push_bundle(i, words[i]);
        else if (i != 2)
            post_bundle(i, words[i]);
    struct hak_chain got[4];
    got[0] = refill(2, HAK_COUNTER_REFILL_STOLEN_L3);
    EXPECT_EQ(got[0].word, words[3].word);
    count += exhaust(3, chains + count);
    count += exhaust(0, chains + count);
    count += exhaust(1, chains + count);
    got[1] = refill(2, HAK_COUNTER_REFILL_STOLEN_NODE);
    got[2] = refill(2, HAK_COUNTER_REFILL_STOLEN_NODE);
    EXPECT((got[1].word == words[0].word && got[2].word == words[1].word) ||
           (got[1].word == words[1].word && got[2].word == words[0].word));
    got[3] = refill(2, HAK_COUNTER_REFILL_SLAB_FRESH);
    for (unsigned i = 0; i < 4; i++)
        hak_shard_give_to_slabs(CLASS, got[i]);
    hak_shard_give_to_slabs(CLASS, words[2]);
    for (unsigned i = 0; i < count; i++)
        hak_shard_give_to_slabs(CLASS, chains[i]);
    world_expect_nothing_lost(); /* the trim finds what lies with node 1 */
}

/* The partly free slab of a neighbour at rest is better than a fresh one; a neighbour at work keeps
 * its own. */
static void neighbours_slabs_are_shared(void)
{
    struct hak_chain near = chain(5, 1);
    hak_rest_end(eight()->shards[5]);
    struct hak_chain fresh = refill(4, HAK_COUNTER_REFILL_SLAB_FRESH);
    EXPECT_EQ(hak_page_find(hak_chain_top(fresh)).home, eight()->shards[4]->id);
    hak_shard_give_to_slabs(CLASS, fresh);
    hak_rest_advance(HAK_REST_BYTES + 1);
    static struct hak_chain chains[1024];
    unsigned count = exhaust(4, chains);
    struct hak_chain stolen = refill(4, HAK_COUNTER_REFILL_STOLEN_L3);
    EXPECT_EQ(hak_page_find(hak_chain_top(stolen)).home, eight()->shards[5]->id);
    EXPECT_EQ(world_length(stolen), FILL);
    for (unsigned i = 0; i < count; i++)
        hak_shard_give_to_slabs(CLASS, chains[i]);
    hak_shard_give_to_slabs(CLASS, near);
    hak_shard_give_to_slabs(CLASS, stolen);
    world_expect_nothing_lost();
}

/* When the kernel gives no more, any free memory serves; then the answer is no. */
static int far_child(void)
{
    struct hak_chain far = chain(7, 5);
    struct hak_chain near = chain(0, 1);
    push_bundle(7, far);
    if (!child_limit(RLIMIT_AS, (size_t)1 << 30))
        return CHILD_CANNOT;
    /* Own slab, own region, and what the limit leaves are used up first. */
    struct hak_shard *shard = eight()->shards[0];
    unsigned fresh = 0;
    for (struct hak_chain word = near; !hak_chain_is_empty(word); fresh++) {
        word = hak_magazine_empty(CLASS);
        if (hak_pool_take(&shard->tiny, CLASS, 32, &word) == 0 &&
            hak_pool_take_fresh(&shard->tiny, CLASS, 32, &word) == 0)
            break;
    }
    int good = EXPECT_EQ(refill(0, HAK_COUNTER_REFILL_OTHER_NODE).word, far.word);
    struct hak_chain slab =
        refill(0, HAK_COUNTER_REFILL_OTHER_NODE); /* out of 7's partly free slab */
    good &= EXPECT_EQ(hak_page_find(hak_chain_top(slab)).home, eight()->shards[7]->id);
    unsigned rounds = 0;
    while (rounds++ < 10000 && !hak_chain_is_empty(hak_shard_refill(shard, CLASS, 32)))
        continue;
    good &= EXPECT_LE(rounds, 9999);
    good &= EXPECT_EQ(refill(0, HAK_COUNTER_REFILL_FAILED).word, 0);
    return good ? CHILD_HELD : CHILD_FAILED;
}

static void far_memory_is_better_than_none(void)
{
    REQUIRE(eight() != NULL);
    child_run(far_child, "an address-space limit");
}

/* After re-sharding, heirs use the memory of retired shards, slabs included. */
static void heirs_live_off_the_retired(void)
{
    const struct hak_shard_map *map = world_by_turns("6");
    REQUIRE(map != NULL && map->count == 6);
    struct hak_chain word = world_chain(map->shards[4], CLASS, 5);
    struct hak_chain cached = world_chain(map->shards[4], CLASS, 7);
    const struct hak_shard_map *fewer = world_by_turns("3");
    REQUIRE(fewer != NULL && fewer->count == 3);
    EXPECT(fewer->shards[1] == map->shards[1]);
    EXPECT_EQ(hak_shard_map_heir(hak_heap_map(hak_heap_default()), map->shards[4]->id),
              fewer->shards[1]->id);
    hak_shard_accept(map->shards[4], CLASS, cached);
    EXPECT_EQ(hak_shard_refill(fewer->shards[1], CLASS, FILL).word, cached.word);
    struct hak_chain partial = hak_shard_refill(fewer->shards[1], CLASS, FILL);
    EXPECT_EQ(hak_page_find(hak_chain_top(partial)).home, map->shards[4]->id);
    hak_shard_send_home(fewer->shards[0], CLASS, word); /* freed late: the heir gets it */
    EXPECT_EQ(hak_bundle_count(fewer->shards[1]->inbox.head), 5);
    word = hak_shard_refill(fewer->shards[1], CLASS, FILL);
    EXPECT_EQ(world_length(word), 5);
    hak_shard_give_to_slabs(CLASS, word);
    hak_shard_give_to_slabs(CLASS, cached);
    hak_shard_give_to_slabs(CLASS, partial);
    world_expect_nothing_lost();
}

/* P1: a class that is missed again and again is filled farther, up to a bundle; one that is not is
 * filled less, down to one object. */
static void fill_grows_and_shrinks(void)
{
    world_by_turns("1");
    struct hak_front *front = world_front();
    REQUIRE(front != NULL);
    for (unsigned class_id = 1; class_id <= HAK_CLASS_LAST; class_id += 7) {
        unsigned bundle = hak_classes[class_id].bundle;
        for (unsigned turn = 0; turn < 10; turn++) {
            unsigned fill = front->fill[class_id];
            front->slow_calls = 0; /* no tick between */
            void *object = world_refill(front, class_id);
            REQUIRE(object != NULL);
            EXPECT_LE(world_length(front->loaded[class_id]) + 1, fill);
            EXPECT_EQ(front->fill[class_id], fill * 2 < bundle ? fill * 2 : bundle);
            EXPECT_EQ(front->missed[class_id], 1);
            hak_shard_give_to_slabs(class_id, front->loaded[class_id]);
            front->loaded[class_id] = hak_magazine_empty(class_id);
            struct hak_chain mine = hak_magazine_empty(class_id);
            hak_magazine_push(&mine, object);
            hak_shard_give_to_slabs(class_id, mine);
        }
        EXPECT_EQ(front->fill[class_id], bundle);
        hak_front_shrink(front); /* it was missed */
        EXPECT_EQ(front->fill[class_id], bundle);
        hak_front_shrink(front);
        EXPECT_EQ(front->fill[class_id], bundle / 2 != 0 ? bundle / 2 : 1);
        for (unsigned turn = 0; turn < 8; turn++)
            hak_front_shrink(front);
        EXPECT_EQ(front->fill[class_id], 1);
    }
    hak_front_destroy(front);
    world_expect_nothing_lost();
}

/* The spare magazine comes first, and nothing else is asked. */
static void spare_comes_first(void)
{
    world_by_turns("1");
    struct hak_front *front = world_front();
    REQUIRE(front != NULL);
    unsigned bundle = hak_classes[CLASS].bundle;
    front->spare[CLASS] = world_chain(front->shard, CLASS, bundle);
    front->spare_bytes = bundle * hak_classes[CLASS].size;
    void *top = hak_chain_top(front->spare[CLASS]);
    uint64_t refilled = world_sum(HAK_COUNTER_REFILL_OBJECTS);
    EXPECT(world_refill(front, CLASS) == top);
    EXPECT_EQ(world_sum(HAK_COUNTER_REFILL_OBJECTS), refilled);
    EXPECT_EQ(world_length(front->loaded[CLASS]), bundle - 1);
    EXPECT(hak_chain_is_empty(front->spare[CLASS]));
    EXPECT_EQ(front->spare_bytes, 0);
    world_give(front, top);
    hak_front_destroy(front);
    world_expect_nothing_lost();
}

/* Bundles of mid classes that no thread touched while slabs were made go to slabs: first at the
 * shard that needs memory, then at others. */
static void stale_bundles_are_swept(void)
{
    enum { WANTED = HAK_CLASS_MID_LAST, STALE = WANTED - 3, ROUNDS = 16 };
    struct hak_shard *shards[2] = {eight()->shards[2], eight()->shards[6]};
    struct hak_chain wanted[ROUNDS];
    for (unsigned i = 0; i < 2; i++)
        EXPECT(
            hak_transfer_cache_push(&shards[i]->bundles, STALE, world_chain(shards[i], STALE, 2)));
    for (unsigned round = 0; round < ROUNDS; round++) {
        hak_rest_advance(HAK_SWEEP_BYTES + 1);
        wanted[round] = hak_shard_refill(shards[0], WANTED, hak_classes[WANTED].capacity);
        if (round == 0)
            EXPECT_EQ(hak_transfer_cache_depth(&shards[0]->bundles, STALE), 1);
        if (round == 1)
            EXPECT_EQ(hak_transfer_cache_depth(&shards[0]->bundles, STALE), 0);
    }
    EXPECT_EQ(hak_transfer_cache_depth(&shards[1]->bundles, STALE), 0);
    for (unsigned round = 0; round < ROUNDS; round++)
        hak_shard_give_to_slabs(WANTED, wanted[round]);
    world_expect_nothing_lost();
}

/* Leaves the shard with unused pages of that many slabs, but for one that the class keeps. */
static void leave_unused(struct hak_shard *shard, unsigned class_id, unsigned slabs)
{
    struct hak_chain chains[64];
    REQUIRE(slabs <= TAP_COUNT(chains));
    for (unsigned i = 0; i < slabs; i++)
        chains[i] = world_chain(shard, class_id, hak_classes[class_id].capacity);
    for (unsigned i = 0; i < slabs; i++)
        hak_shard_give_to_slabs(class_id, chains[i]);
}

/* A fresh slab is cut from pages of the neighbour that keeps far more unused ones. */
static void far_more_pages_come_first(void)
{
    enum { MANY = 64, MID = HAK_CLASS_MID_LAST };
    struct hak_shard *own = eight()->shards[0];
    struct hak_shard *neighbour = eight()->shards[1];
    struct hak_settings *settings = (struct hak_settings *)own->settings;
    size_t retain = hak_settings_bytes(&settings->slab_retain_bytes);
    hak_settings_set_bytes(&settings->slab_retain_bytes, SIZE_MAX); /* nothing is purged */
    leave_unused(neighbour, MID, MANY);
    leave_unused(own, MID, 2);
    EXPECT_GE(hak_pool_dirty_bytes(&own->mid),
              (size_t)hak_classes[MID].slab_pages << HAK_PAGE_SHIFT);
    struct hak_chain chain = hak_shard_refill(own, MID - 1, 1);
    EXPECT_EQ(hak_page_find(hak_chain_top(chain)).home, neighbour->id);
    hak_shard_give_to_slabs(MID - 1, chain);
    hak_pool_purge(&neighbour->mid);
    chain = hak_shard_refill(own, MID - 2, 1);
    EXPECT_EQ(hak_page_find(hak_chain_top(chain)).home, own->id);
    hak_shard_give_to_slabs(MID - 2, chain);
    hak_settings_set_bytes(&settings->slab_retain_bytes, retain);
    world_expect_nothing_lost();
}

/* Where the own shard has no unused pages, and the first neighbour's do not serve, the next one's
 * do. */
static void next_neighbour_serves(struct hak_shard *own, unsigned class_id)
{
    struct hak_shard *next = eight()->shards[2];
    leave_unused(next, class_id, 2);
    hak_pool_purge(&own->mid);
    EXPECT_EQ(hak_pool_dirty_bytes(&own->mid), 0);
    struct hak_chain chain = hak_shard_refill(own, class_id - 1, 1);
    EXPECT_EQ(hak_page_find(hak_chain_top(chain)).home, next->id);
    EXPECT(hak_shard_map_neighbour(hak_shard_map_of(own), own, own->rich) == next);
    hak_shard_give_to_slabs(class_id - 1, chain);
}

/* Unused pages of a neighbour in pieces that are too short: it maps nothing for another shard. */
static void short_pieces_serve_nobody(void)
{
    enum { SHORT = HAK_CLASS_TINY_LAST + 1, LONG = HAK_CLASS_MID_LAST };
    enum { SLABS = HAK_REGION_PAGES - 1 }; /* a page of each region is never used */
    struct hak_shard *own = eight()->shards[0];
    struct hak_shard *neighbour = eight()->shards[1];
    struct hak_chain chains[SLABS];
    struct hak_settings *settings = (struct hak_settings *)own->settings;
    size_t retain = hak_settings_bytes(&settings->slab_retain_bytes);
    REQUIRE(hak_classes[SHORT].slab_pages == 1 && hak_classes[LONG].slab_pages > 1);
    hak_settings_set_bytes(&settings->slab_retain_bytes, SIZE_MAX); /* nothing is purged */
    for (unsigned i = 0; i < SLABS; i++)
        chains[i] = world_chain(neighbour, SHORT, hak_classes[SHORT].capacity);
    for (unsigned i = 0; i < SLABS; i += 2)
        hak_shard_give_to_slabs(SHORT, chains[i]);
    EXPECT_GE(hak_pool_dirty_bytes(&neighbour->mid),
              (size_t)hak_classes[LONG].slab_pages << HAK_PAGE_SHIFT);
    uint64_t mapped = world_count(neighbour, HAK_COUNTER_BYTES_MAPPED);
    struct hak_chain chain = hak_shard_refill(own, LONG, 1);
    EXPECT_EQ(hak_page_find(hak_chain_top(chain)).home, own->id);
    EXPECT_EQ(world_count(neighbour, HAK_COUNTER_BYTES_MAPPED), mapped);
    hak_shard_give_to_slabs(LONG, chain);
    next_neighbour_serves(own, LONG);
    for (unsigned i = 1; i < SLABS; i += 2)
        hak_shard_give_to_slabs(SHORT, chains[i]);
    hak_settings_set_bytes(&settings->slab_retain_bytes, retain);
    world_expect_nothing_lost();
}

/* A refill touches few pages, however long the bundles of its class are. */
static void slabs_give_few_pages(void)
{
    enum { FEW = 16 * 1024 };
    struct hak_shard *shard = eight()->shards[0];
    for (unsigned class_id = 1; class_id <= HAK_CLASS_LAST; class_id++) {
        const struct hak_class *class = &hak_classes[class_id];
        bool is_tiny = class_id <= HAK_CLASS_TINY_LAST;
        unsigned most =
            is_tiny && class->bundle > FEW / class->size ? FEW / class->size : class->bundle;
        if (most > class->capacity)
            most = class->capacity;
        for (unsigned round = 0; round < 2; round++) { /* fresh, then partly free */
            struct hak_chain chain = hak_shard_refill(shard, class_id, class->bundle);
            EXPECT_LE(world_length(chain), most);
            EXPECT_GE(world_length(chain), 1);
            if (round == 0)
                EXPECT_EQ(world_length(chain), most);
            hak_shard_give_to_slabs(class_id, chain);
        }
    }
    world_expect_nothing_lost();
}

/* Eight neighbours of a node are asked who keeps far more; another one that did so last, too. */
static void the_rich_one_is_asked(void)
{
    enum { MANY = 32, MID = HAK_CLASS_MID_LAST, FAR = 12 };
    static const struct world_machine machine = {32, 2, 32, "l3"};
    const struct hak_shard_map *map = world_place(&machine);
    REQUIRE(map != NULL && map->count == 16);
    struct hak_shard *own = map->shards[0];
    struct hak_shard *rich = hak_shard_map_neighbour(map, own, FAR);
    struct hak_settings *settings = (struct hak_settings *)own->settings;
    size_t retain = hak_settings_bytes(&settings->slab_retain_bytes);
    hak_settings_set_bytes(&settings->slab_retain_bytes, SIZE_MAX); /* nothing is purged */
    leave_unused(rich, MID, MANY);
    leave_unused(own, MID, 4);
    for (unsigned last = 0; last <= FAR; last += FAR) {
        own->probe = 0;
        own->rich = last;
        struct hak_chain chain = hak_shard_refill(own, MID - 1 - last / FAR, 1);
        EXPECT_EQ(hak_page_find(hak_chain_top(chain)).home, last == FAR ? rich->id : own->id);
        hak_shard_give_to_slabs(MID - 1 - last / FAR, chain);
    }
    hak_settings_set_bytes(&settings->slab_retain_bytes, retain);
    world_expect_nothing_lost();
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"own sources are asked in order", own_sources_in_order},
        {"the inbox is sorted", inbox_is_sorted},
        {"a call sorts a portion of the inboxes", sorting_has_a_budget},
        {"an inbox is sorted by one thread at a time", sorting_is_one_threads},
        {"neighbours are asked by distance", neighbours_are_asked_by_distance},
        {"a resting neighbour's slab is better than a fresh one", neighbours_slabs_are_shared},
        {"stale bundles are swept", stale_bundles_are_swept},
        {"far more unused pages come first", far_more_pages_come_first},
        {"pages in short pieces serve nobody", short_pieces_serve_nobody},
        {"slabs give few pages at once", slabs_give_few_pages},
        {"far memory is better than none", far_memory_is_better_than_none},
        {"an heir uses the memory of its retired shard", heirs_live_off_the_retired},
        {"the neighbour that had pages last is asked, too", the_rich_one_is_asked},
        {"fill grows with misses and shrinks without", fill_grows_and_shrinks},
        {"the spare magazine comes first", spare_comes_first},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
