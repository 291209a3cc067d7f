/* SPDX-License-Identifier: MIT */
/* os/known_stacks.c: a stack that was learned is found while all its return addresses are in place,
 * and no longer. The stack is an array. */
#include "os/known_stacks.h"

#include <string.h>

#include "tests/lib/tap.h"

enum { WORDS = 64, DEPTH = 3 };

static uint64_t stack[WORDS];

/* A stack of three frames, the second of which is `middle` words long. */
static struct hak_walk walk_of(uint32_t middle)
{
    struct hak_walk walk = {.frame = (uintptr_t)stack, .depth = DEPTH};
    memset(stack, 0, sizeof stack);
    uint32_t word = 1;
    for (unsigned i = 0; i < DEPTH; i++) {
        walk.words[i] = word;
        walk.returns[i] = stack[word] = 1000 + i;
        word += middle;
    }
    return walk;
}

static struct hak_walk asked(void)
{
    struct hak_walk walk = {.frame = (uintptr_t)stack};
    return walk;
}

static void found_while_in_place(void)
{
    hak_known_stacks_start();
    struct hak_walk other = asked();
    stack[1] = 7;
    EXPECT(!hak_known_stacks_find(&other));
    struct hak_walk walk = walk_of(5);
    hak_known_stacks_learn(&walk);
    REQUIRE(hak_known_stacks_find(&other));
    EXPECT_EQ(other.depth, DEPTH);
    EXPECT_EQ(memcmp(other.returns, walk.returns, DEPTH * sizeof walk.returns[0]), 0);
    for (unsigned i = 0; i < DEPTH; i++) {
        uint64_t was = stack[walk.words[i]];
        stack[walk.words[i]]++;
        EXPECT(!hak_known_stacks_find(&other));
        stack[walk.words[i]] = was;
    }
    EXPECT(hak_known_stacks_find(&other));
}

/* Different callers at one place. */
static void several_of_one_frame(void)
{
    hak_known_stacks_start();
    for (uint32_t middle = 2; middle < 6; middle++) {
        struct hak_walk walk = walk_of(middle);
        hak_known_stacks_learn(&walk);
    }
    for (uint32_t middle = 2; middle < 6; middle++) {
        struct hak_walk walk = walk_of(middle);
        struct hak_walk found = asked();
        REQUIRE(hak_known_stacks_find(&found));
        EXPECT_EQ(found.words[2], walk.words[2]);
    }
}

static void not_learned(void)
{
    hak_known_stacks_start();
    struct hak_walk walk = walk_of(7);
    stack[8] = 0; /* as of a frame that a signal interrupted */
    hak_known_stacks_learn(&walk);
    struct hak_walk found = asked();
    EXPECT(!hak_known_stacks_find(&found));
    walk = walk_of(7);
    walk.depth = HAK_WALK_MOST;
    hak_known_stacks_learn(&walk);
    walk.depth = 0;
    hak_known_stacks_learn(&walk);
    EXPECT(!hak_known_stacks_find(&found));
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a stack is found while its return addresses are in place", found_while_in_place},
        {"stacks of one frame are told apart", several_of_one_frame},
        {"a stack that is not in place, too deep or empty is not learned", not_learned},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
