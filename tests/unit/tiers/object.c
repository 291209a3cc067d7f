/* SPDX-License-Identifier: MIT */
/* tiers/object.h: chains of free objects as words. */
#include "tiers/object.h"

#include <stdlib.h>

#include "tests/lib/prng.h"
#include "tests/lib/tap.h"

static void words_keep_both_parts(void)
{
    const uintptr_t addresses[] = {0, 16, 0x7fffffffffff0, 0xfffffffffff0, 0x555555555550};
    for (unsigned i = 0; i < TAP_COUNT(addresses); i++) {
        void *object = (void *)(addresses[i] & 0xffffffffffff);
        for (unsigned room = 0; room <= UINT16_MAX; room += 13) {
            struct hak_chain word = hak_chain_make(object, room);
            EXPECT(hak_chain_top(word) == object);
            EXPECT_EQ(hak_chain_room(word), room);
            struct hak_bundle bundle = hak_bundle_make(object, room);
            EXPECT(hak_bundle_top(bundle) == object);
            EXPECT_EQ(hak_bundle_count(bundle), room);
        }
    }
}

/* Push n objects, pop them: last in, first out, with the room there was; the rest untouched. */
static void chains_are_stacks(void)
{
    enum { OBJECTS = 64, SIZE = 48 };
    char *memory = malloc(OBJECTS * SIZE);
    memset(memory, 0x5a, OBJECTS * SIZE);
    struct hak_chain word = hak_chain_make(NULL, OBJECTS);
    for (unsigned i = 0; i < OBJECTS; i++) {
        char *object = memory + i * SIZE;
        hak_link_write(object, word);
        word = hak_chain_make(object, hak_chain_room(word) - 1);
    }
    EXPECT_EQ(hak_chain_room(word), 0);
    for (unsigned i = OBJECTS; i-- > 0;) {
        char *object = hak_chain_top(word);
        REQUIRE(object == memory + i * SIZE);
        for (unsigned byte = sizeof(uint64_t); byte < SIZE; byte++)
            EXPECT_EQ(object[byte], 0x5a);
        word = hak_link_read(object);
        EXPECT_EQ(hak_chain_room(word), OBJECTS - i);
    }
    EXPECT(hak_chain_top(word) == NULL);
    free(memory);
}

/* A chain and its bundle describe the same objects: the length of one is the count of the other. */
static void bundles_are_chains(void)
{
    uint64_t object[8];
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++)
        for (unsigned count = 1; count <= hak_classes[class_id].bundle; count++) {
            struct hak_chain chain = hak_chain_make(object, hak_classes[class_id].bundle - count);
            struct hak_bundle bundle = hak_bundle_of(class_id, chain);
            EXPECT_EQ(hak_chain_length(class_id, chain), count);
            EXPECT_EQ(hak_bundle_count(bundle), count);
            EXPECT_EQ(hak_bundle_chain(class_id, bundle).word, chain.word);
        }
    EXPECT(hak_chain_is_empty(HAK_NO_CHAIN) && hak_bundle_is_none(HAK_NO_BUNDLE));
}

static void bundles_link_by_the_second_word(void)
{
    uint64_t object[2] = {0, 0};
    hak_link_write(object, (struct hak_chain){1});
    hak_bundle_set_next(object, (struct hak_bundle){2});
    EXPECT_EQ(hak_link_read(object).word, 1);
    EXPECT_EQ(hak_bundle_next(object).word, 2);
    EXPECT(object[0] != 1 && object[1] != 2); /* neither can be read there */
    uint64_t elsewhere[2] = {object[0], object[1]};
    EXPECT(hak_bundle_next(elsewhere).word != 2);
}

/* Of the words that a program may write over a link, all but one in a million are recognised. */
static void what_is_no_link_is_not_sound(void)
{
    enum { WORDS = 1 << 20, ROOM = 20 };
    uint64_t object[8];
    struct prng prng = {3};
    struct hak_chain word = hak_chain_make(object, ROOM);
    hak_link_write(object, hak_chain_make(object, ROOM + 1));
    EXPECT(hak_link_is_sound(word, hak_link_read(object)));
    for (unsigned room = 0; room <= UINT16_MAX; room++) {
        hak_link_write(object, hak_chain_make(object, room));
        EXPECT_EQ(hak_link_is_sound(word, hak_link_read(object)), room == ROOM + 1);
        object[0] =
            hak_chain_make(object, room).word; /* the right one, by code that does not know the
                                                  secret */
        EXPECT(!hak_link_is_sound(word, hak_link_read(object)) || room != ROOM + 1);
    }
    for (unsigned off = 1; off < 16; off++) {
        hak_link_write(object, hak_chain_make((char *)object + off, ROOM + 1));
        EXPECT(!hak_link_is_sound(word, hak_link_read(object)));
    }
    unsigned sound = 0;
    for (unsigned i = 0; i < WORDS; i++) {
        object[0] = prng_next(&prng);
        sound += hak_link_is_sound(word, hak_link_read(object));
    }
    EXPECT_LE(sound, 16);
}

int main(int argc, char **argv)
{
    hak_link_start(0x6a09e667f3bcc909);
    hak_size_class_start();
    static const struct tap_case cases[] = {
        {"a word keeps address and room", words_keep_both_parts},
        {"a chain is a stack", chains_are_stacks},
        {"a chain and its bundle describe the same objects", bundles_are_chains},
        {"bundles are linked by the second word", bundles_link_by_the_second_word},
        {"words that are no links are not sound", what_is_no_link_is_not_sound},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
