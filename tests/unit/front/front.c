/* SPDX-License-Identifier: MIT */
/* front/front.c, and the pops and pushes of its header. */
#include "front/front.h"

#include <string.h>

#include "tests/lib/prng.h"
#include "tests/lib/tap.h"
#include "tests/unit/world.h"

enum { CLASS = 8 };

static void new_fronts_are_empty(void)
{
    static struct hak_front front;
    struct hak_heap *heap = world_start();
    struct hak_shard *shard = hak_heap_shard_here(heap);
    memset(&front, 0xff, sizeof front);
    hak_front_init(&front, 7, shard);
    EXPECT(hak_front_shard(&front) == shard);
    EXPECT_EQ(hak_front_home(&front), shard->id);
    EXPECT_EQ(front.sequence, 7);
    EXPECT_EQ(hak_front_bytes(&front), 0);
    EXPECT(!hak_front_knows(&front, &front));
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++) {
        EXPECT(hak_front_is_open(&front, class_id));
        EXPECT(hak_front_pop(&front, class_id) == NULL);
        EXPECT(hak_front_pop_spare(&front, class_id) == NULL);
        EXPECT(front.fill[class_id] >= 1 && front.fill[class_id] <= hak_classes[class_id].bundle);
    }
}

static void bytes_are_those_of_all_magazines(void)
{
    struct hak_front *front = world_front();
    REQUIRE(front != NULL);
    front->loaded[CLASS] = world_chain(front->shard, CLASS, 3);
    front->spare[CLASS] = world_chain(front->shard, CLASS, 4);
    front->foreign[CLASS] = world_chain(front->shard, CLASS, 5);
    front->spare_bytes = hak_magazine_bytes(CLASS);
    EXPECT_EQ(hak_front_bytes(front), 12 * hak_classes[CLASS].size);
    hak_front_destroy(front);
    world_expect_nothing_lost();
}

/* Pop and push against a stack of pointers. */
static void magazines_are_stacks(void)
{
    world_start();
    struct hak_front *front = world_front();
    REQUIRE(front != NULL);
    unsigned bundle = hak_classes[CLASS].bundle;
    struct hak_chain chain = world_chain(front->shard, CLASS, bundle);
    void *model[64];
    unsigned depth = 0;
    void *hand[64];
    for (unsigned i = 0; i < bundle; i++)
        hand[i] = world_pop(&chain);
    struct prng prng = {3};
    for (unsigned step = 0; step < 20000; step++) {
        if (prng_below(&prng, 2) == 0) {
            void *object = hak_front_pop(front, CLASS);
            EXPECT(object == (depth != 0 ? model[depth - 1] : NULL));
            if (depth != 0)
                hand[bundle - depth--] = object;
        } else if (depth < bundle) {
            void *object = hand[bundle - depth - 1];
            EXPECT_EQ(hak_magazine_push(&front->loaded[CLASS], object), 1);
            model[depth++] = object;
        } else {
            EXPECT_EQ(hak_magazine_push(&front->loaded[CLASS], model[0]), 0);
        }
        EXPECT_EQ(hak_chain_room(front->loaded[CLASS]), bundle - depth);
    }
    while (depth < bundle)
        hak_magazine_push(&front->loaded[CLASS], hand[bundle - ++depth]);
    EXPECT_EQ(world_length(front->loaded[CLASS]), bundle);
    EXPECT(hak_front_pop(front, HAK_CLASS_NONE) == NULL);
    EXPECT_EQ(hak_magazine_push(&front->loaded[HAK_CLASS_NONE], model), 0);
    hak_front_destroy(front);
    world_expect_nothing_lost();
}

/* For each class: an object is taken once, in an empty magazine and in one that is nearly full.
 * Addresses where no object of the class can begin are refused, and the magazine stays as it is. */
static void a_magazine_refuses_what_cannot_be(void)
{
    world_start();
    static char page[HAK_PAGE_SIZE] __attribute__((aligned(HAK_PAGE_SIZE)));
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++) {
        size_t unit = hak_classes[class_id].size & -hak_classes[class_id].size;
        uint32_t refused = hak_magazine_refused(class_id);
        const struct hak_chain empty = hak_magazine_empty(class_id);
        const struct hak_chain nearly = hak_chain_make(page + sizeof page / 2, 1);
        const struct hak_chain full = hak_chain_make(page + sizeof page / 2, 0);
        for (size_t offset = 0; offset < sizeof page / 2; offset += offset < 64 ? 1 : 8) {
            const struct hak_chain from[] = {empty, nearly, full};
            for (unsigned i = 0; i < 3; i++) {
                struct hak_chain chain = from[i];
                bool is_taken = hak_magazine_put(&chain, page + offset, refused);
                EXPECT_EQ(is_taken, i < 2 && offset % unit == 0);
                EXPECT_EQ(chain.word == from[i].word, !is_taken);
                struct hak_chain after = chain;
                if (is_taken)
                    EXPECT(!hak_magazine_put(&chain, page + offset, refused));
                EXPECT_EQ(chain.word, after.word);
            }
        }
    }
}

/* A full magazine with the object on top does not become the spare one, nor one with room. */
static void what_is_on_top_is_not_pushed_behind(void)
{
    world_start();
    struct hak_front *front = world_front();
    REQUIRE(front != NULL);
    unsigned bundle = hak_classes[CLASS].bundle;
    uint32_t entry = hak_page_pack(CLASS, 0, hak_front_home(front));
    for (unsigned length = bundle - 1; length <= bundle; length++) {
        struct hak_chain chain = world_chain(front->shard, CLASS, length);
        front->loaded[CLASS] = chain;
        EXPECT(!hak_front_push_behind(front, entry, hak_chain_top(chain)));
        if (length < bundle)
            EXPECT(!hak_front_push_behind(front, entry, (char *)hak_chain_top(chain) + 1));
        EXPECT_EQ(front->loaded[CLASS].word, chain.word);
        EXPECT(hak_chain_is_empty(front->spare[CLASS]));
        EXPECT(hak_front_has_on_top(front, CLASS, hak_chain_top(chain)));
        hak_front_flush(front);
    }
    hak_front_destroy(front);
    world_expect_nothing_lost();
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a new front is empty", new_fronts_are_empty},
        {"bytes are those of all magazines", bytes_are_those_of_all_magazines},
        {"a magazine is a stack", magazines_are_stacks},
        {"a magazine refuses addresses that no program can free",
         a_magazine_refuses_what_cannot_be},
        {"an object on top is not pushed behind, either", what_is_on_top_is_not_pushed_behind},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
