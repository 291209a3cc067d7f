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
            uint64_t word = hak_word_make(object, room);
            EXPECT(hak_word_object(word) == object);
            EXPECT_EQ(hak_word_room(word), room);
        }
    }
}

/* Push n objects, pop them: last in, first out, with the room there was; the rest untouched. */
static void chains_are_stacks(void)
{
    enum { OBJECTS = 64, SIZE = 48 };
    char *memory = malloc(OBJECTS * SIZE);
    memset(memory, 0x5a, OBJECTS * SIZE);
    uint64_t word = hak_word_make(NULL, OBJECTS);
    for (unsigned i = 0; i < OBJECTS; i++) {
        char *object = memory + i * SIZE;
        hak_link_write(object, word);
        word = hak_word_make(object, hak_word_room(word) - 1);
    }
    EXPECT_EQ(hak_word_room(word), 0);
    for (unsigned i = OBJECTS; i-- > 0;) {
        char *object = hak_word_object(word);
        REQUIRE(object == memory + i * SIZE);
        for (unsigned byte = sizeof(uint64_t); byte < SIZE; byte++)
            EXPECT_EQ(object[byte], 0x5a);
        word = hak_link_read(object);
        EXPECT_EQ(hak_word_room(word), OBJECTS - i);
    }
    EXPECT(hak_word_object(word) == NULL);
    free(memory);
}

static void bundles_link_by_the_second_word(void)
{
    uint64_t object[2] = {0, 0};
    hak_link_write(object, 1);
    hak_set_next_bundle(object, 2);
    EXPECT_EQ(hak_link_read(object), 1);
    EXPECT_EQ(hak_next_bundle(object), 2);
    EXPECT(object[0] != 1 && object[1] != 2); /* neither is there to be read */
    uint64_t elsewhere[2] = {object[0], object[1]};
    EXPECT(hak_next_bundle(elsewhere) != 2);
}

/* Of what a program may write over a link, all but one word in a million is told from a link. */
static void what_is_no_link_is_not_sound(void)
{
    enum { WORDS = 1 << 20, ROOM = 20 };
    uint64_t object[8];
    struct prng prng = {3};
    uint64_t word = hak_word_make(object, ROOM);
    hak_link_write(object, hak_word_make(object, ROOM + 1));
    EXPECT(hak_link_is_sound(word, hak_link_read(object)));
    for (unsigned room = 0; room <= UINT16_MAX; room++) {
        hak_link_write(object, hak_word_make(object, room));
        EXPECT_EQ(hak_link_is_sound(word, hak_link_read(object)), room == ROOM + 1);
        object[0] = hak_word_make(object, room); /* the right one, by who does not know the secret */
        EXPECT(!hak_link_is_sound(word, hak_link_read(object)) || room != ROOM + 1);
    }
    for (unsigned off = 1; off < 16; off++) {
        hak_link_write(object, hak_word_make((char *)object + off, ROOM + 1));
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
    static const struct tap_case cases[] = {
        {"a word keeps address and room", words_keep_both_parts},
        {"a chain is a stack", chains_are_stacks},
        {"bundles are linked by the second word", bundles_link_by_the_second_word},
        {"what is no link is not sound", what_is_no_link_is_not_sound},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
