/* SPDX-License-Identifier: MIT */
/* tiers/slab.c: the two-level bitmap against a byte for each object. */
#include "tiers/slab.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "os/memory.h"
#include "tests/lib/prng.h"
#include "tests/lib/tap.h"
#include "tiers/object.h"
#include "tiers/page_map.h"
#include "tiers/size_class.h"

enum { OBJECTS_MAX = HAK_SLAB_WORDS * 64, ROUNDS = 3000 };

static struct hak_slab slab;
static char taken[OBJECTS_MAX]; /* the model */
static unsigned taken_count;
static char hidden[OBJECTS_MAX]; /* free, and on a page that is a hole */

static void build(unsigned class_id)
{
    hak_size_class_start();
    size_t bytes = hak_classes[class_id].slab_pages * (size_t)HAK_PAGE_SIZE;
    free(slab.base);
    memset(&slab, 0xa5, sizeof slab); /* a slab that had another class before */
    hak_slab_build(&slab, aligned_alloc(HAK_PAGE_SIZE, bytes), class_id);
    memset(slab.base, 0xcc, bytes);
    memset(taken, 0, sizeof taken);
    memset(hidden, 0, sizeof hidden);
    taken_count = 0;
}

/* The lowest free object of the model: one that has its pages, if there is one. */
static unsigned lowest_free(void)
{
    unsigned index = 0;
    while (index < slab.capacity && (taken[index] || hidden[index]))
        index++;
    for (unsigned i = 0; i < slab.capacity && index == slab.capacity; i++)
        if (hidden[i])
            index = i;
    return index;
}

static size_t page_size(void)
{
    return hak_os_page_size();
}

static bool is_hole(size_t page)
{
    return (slab.holes.words[page / 64] >> page % 64 & 1) != 0;
}

static unsigned pages_of_slab(void)
{
    return (unsigned)(slab.pages * (size_t)HAK_PAGE_SIZE / page_size());
}

/* The model, from the holes. A hole is of free objects alone. */
static void look_at_holes(void)
{
    unsigned holes = 0;
    memset(hidden, 0, sizeof hidden);
    for (unsigned page = 0; page < pages_of_slab(); page++) {
        holes += is_hole(page);
        for (size_t index = page * page_size() / slab.size;
             is_hole(page) && index < slab.capacity && index * slab.size < (page + 1) * page_size();
             index++) {
            EXPECT(!taken[index]);
            hidden[index] = 1;
        }
    }
    EXPECT_EQ(slab.hole_count, holes);
}

/* Takes `count`; each object is the lowest free one, the lowest on top, the old chain below. */
static void take(unsigned count)
{
    static uint64_t sentinel[2];
    struct hak_chain below = hak_chain_make(sentinel, 1000);
    struct hak_chain word = hak_slab_take(&slab, count, below);
    for (unsigned i = 0; i < count; i++) {
        char *object = hak_chain_top(word);
        unsigned index = lowest_free();
        REQUIRE(index < slab.capacity);
        REQUIRE(object == slab.base + (size_t)index * slab.size);
        EXPECT_EQ(hak_chain_room(word), 1000 - count + i);
        if (hidden[index])
            look_at_holes();
        taken[index] = 1;
        taken_count++;
        word = hak_link_read(object);
        memset(object, 0xcc, slab.size); /* the chain is the test's now: nothing of the slab may
                                            depend on it */
    }
    EXPECT_EQ(word.word, below.word);
}

/* The same without a chain: no byte of the objects changes. */
static void claim(unsigned count)
{
    void *objects[OBJECTS_MAX];
    hak_slab_claim(&slab, count, objects);
    for (unsigned i = 0; i < count; i++) {
        unsigned index = lowest_free();
        REQUIRE(index < slab.capacity);
        const char *object = objects[i];
        REQUIRE(object == slab.base + (size_t)index * slab.size);
        EXPECT_EQ((uint8_t)object[0], 0xcc);
        EXPECT(memcmp(object, object + 1, slab.size - 1) == 0);
        if (hidden[index])
            look_at_holes();
        taken[index] = 1;
        taken_count++;
    }
}

static void give(unsigned index)
{
    char *object = slab.base + (size_t)index * slab.size;
    enum hak_slab_give expected = taken[index] ? HAK_SLAB_GIVEN : HAK_SLAB_ALREADY_FREE;
    EXPECT_EQ(hak_slab_is_free(&slab, object), !taken[index]);
    EXPECT_EQ(hak_slab_give(&slab, object), expected);
    EXPECT(hak_slab_is_free(&slab, object));
    taken_count -= taken[index] != 0;
    taken[index] = 0;
}

/* The slab's own accounts agree with the model's. */
static void agree(void)
{
    EXPECT_EQ(slab.free_count, slab.capacity - taken_count);
    unsigned free_bits = 0;
    for (unsigned word = 0; word < (slab.capacity + 63u) / 64; word++) {
        EXPECT_EQ(slab.summary >> word & 1, slab.words[word] != 0);
        free_bits += (unsigned)__builtin_popcountll(slab.words[word]);
    }
    unsigned hidden_count = 0;
    for (unsigned index = 0; index < slab.capacity; index++)
        hidden_count += hidden[index] != 0;
    EXPECT_EQ(free_bits + hidden_count, slab.free_count);
    unsigned used_words = (slab.capacity + 63u) / 64;
    if (used_words < 64)
        EXPECT_EQ(slab.summary >> used_words, 0);
}

static void play(unsigned class_id)
{
    struct prng prng = {class_id};
    build(class_id);
    agree();
    for (unsigned round = 0; round < ROUNDS / (1 + slab.capacity / 512u); round++) {
        /* waves of taking and giving, so that both ends are reached */
        int filling = round / 64 % 2 == 0;
        if (prng_below(&prng, 4) < (filling ? 3 : 1) && slab.free_count != 0) {
            unsigned most = slab.free_count < 64 ? slab.free_count : 64;
            unsigned count = 1 + (unsigned)prng_below(&prng, most);
            if (prng_below(&prng, 2) != 0)
                take(count);
            else
                claim(count);
        } else {
            for (unsigned i = 0; i < 32; i++)
                give((unsigned)prng_below(&prng, slab.capacity));
        }
        agree();
    }
    for (unsigned index = 0; index < slab.capacity; index++)
        if (taken[index])
            give(index);
    agree();
    EXPECT_EQ(slab.free_count, slab.capacity);
}

static void every_class(void)
{
    hak_size_class_start();
    for (unsigned class_id = 1; class_id <= HAK_CLASS_LAST; class_id += class_id < 9 ? 1 : 3)
        play(class_id);
    play(HAK_CLASS_LAST);
}

/* To the last object, and all back in the order in which they were taken. */
static void whole_slab(void)
{
    const unsigned classes[] = {1, 3, HAK_CLASS_TINY_LAST, HAK_CLASS_LAST};
    for (unsigned i = 0; i < TAP_COUNT(classes); i++) {
        build(classes[i]);
        while (slab.free_count != 0)
            take(slab.free_count < 50 ? slab.free_count : 50);
        EXPECT_EQ(slab.summary, 0);
        agree();
        for (unsigned index = 0; index < slab.capacity; index++)
            give(index);
        agree();
    }
}

/* Pages whose objects are all free, in the model. */
static bool is_free_by_model(unsigned page)
{
    for (unsigned index = 0; index < slab.capacity; index++) {
        size_t start = (size_t)index * slab.size;
        if (taken[index] && start < (page + 1) * page_size() &&
            start + slab.size > page * page_size())
            return false;
    }
    return !is_hole(page);
}

/* Makes holes of some of the free pages; the model finds the same pages. */
static void make_holes(struct prng *prng)
{
    struct hak_slab_pages pages;
    unsigned found = hak_slab_find_free_pages(&slab, &pages);
    unsigned wrong = 0;
    for (unsigned page = 0; page < 128; page++) {
        bool is_found = (pages.words[page / 64] >> page % 64 & 1) != 0;
        wrong += is_found != (page < pages_of_slab() && is_free_by_model(page));
        found -= is_found;
        if (is_found && prng_below(prng, 3) == 0)
            pages.words[page / 64] &= ~(UINT64_C(1) << page % 64);
    }
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(found, 0);
    hak_slab_make_holes(&slab, &pages);
    look_at_holes();
}

/* Waves of taking and giving, with holes made in between: takes prefer objects that have their
 * pages, and fill holes when there is nothing else. An object in a hole is free, so a second give
 * is refused. */
static void play_with_holes(unsigned class_id)
{
    struct prng prng = {class_id};
    build(class_id);
    for (unsigned round = 0; round < 300 / (1 + slab.capacity / 256u); round++) {
        int filling = round / 16 % 2 == 0;
        for (unsigned i = 0; i < slab.capacity / 8u + 1; i++)
            if (filling && slab.free_count != 0)
                take(slab.free_count < 4 ? slab.free_count : 1 + (unsigned)prng_below(&prng, 4));
            else
                give((unsigned)prng_below(&prng, slab.capacity));
        if (round % 4 == 0)
            make_holes(&prng);
        agree();
    }
    while (slab.free_count != 0)
        take(1);
    agree();
}

static void holes_in_every_class(void)
{
    hak_size_class_start();
    for (unsigned class_id = 1; class_id <= HAK_CLASS_LAST; class_id++)
        play_with_holes(class_id);
}

/* Only pages from which no object was taken for a while are idle. */
static void takes_end_idleness(void)
{
    build(16);
    slab.idle.words[0] = 0xff;
    give(0);
    EXPECT_EQ(slab.idle.words[0], 0xff);
    take(1);
    EXPECT_EQ(slab.idle.words[0] | slab.idle.words[1], 0);
}

/* Only the first byte of an object is an object; the tail behind the last is none. */
static void interior_pointers(void)
{
    const unsigned classes[] = {1, 5, 11, 37, 50, 71};
    for (unsigned i = 0; i < TAP_COUNT(classes); i++) {
        build(classes[i]);
        unsigned bytes = slab.pages * HAK_PAGE_SIZE;
        unsigned wrong = 0;
        for (unsigned offset = 0; offset < bytes; offset++) {
            int is_start = offset % slab.size == 0 && offset / slab.size < slab.capacity;
            enum hak_slab_give given = hak_slab_give(&slab, slab.base + offset);
            wrong += given != (is_start ? HAK_SLAB_ALREADY_FREE : HAK_SLAB_NOT_AN_OBJECT);
            wrong += hak_slab_is_object(&slab, slab.base + offset) != is_start;
        }
        EXPECT_EQ(wrong, 0);
        agree();
    }
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"takes and gives agree with the model", every_class},
        {"a slab is emptied to the last object", whole_slab},
        {"holes hide free objects until there are no others", holes_in_every_class},
        {"pages of a slab that objects are taken from are not idle", takes_end_idleness},
        {"interior pointers are told from objects", interior_pointers},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
