/* SPDX-License-Identifier: MIT */
/* front/front_shared.c: each front has one holder at a time, no thread waits, and the objects in
 * them come back. */
#include "front/front_shared.h"

#include "os/section.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"
#include "tests/unit/world.h"

enum {
    CLASS = 3,
    COUNT = HAK_SHARED_FRONTS_PER_CPU, /* of one CPU */
    THREADS = 8,
    STEPS = 20000,
    HELD = 16,
};

static void none_before_they_are_made(void)
{
    world_start();
    EXPECT(hak_shared_front_take() == NULL);
    EXPECT_EQ(hak_shared_fronts_bytes(), 0);
    hak_shared_fronts_flush();
    hak_shared_fronts_start(1, hak_heap_map(hak_heap_default()));
}

static void one_holder_each(void)
{
    struct hak_front *held[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        held[i] = hak_shared_front_take();
        REQUIRE(held[i] != NULL);
        for (unsigned j = 0; j < i; j++)
            EXPECT(held[i] != held[j]);
    }
    EXPECT(hak_shared_front_take() == NULL);
    hak_shared_front_put(held[0]);
    EXPECT(hak_shared_front_take() == held[0]);
    for (unsigned i = 0; i < COUNT; i++)
        hak_shared_front_put(held[i]);
    hak_shared_fronts_start(8, hak_heap_map(hak_heap_default())); /* they are made already */
    for (unsigned i = 0; i < COUNT; i++)
        held[i] = hak_shared_front_take();
    EXPECT(hak_shared_front_take() == NULL);
    for (unsigned i = 0; i < COUNT; i++)
        hak_shared_front_put(held[i]);
}

static void flushed_but_for_what_is_held(void)
{
    struct hak_front *front = hak_shared_front_take();
    REQUIRE(front != NULL);
    world_give(front, world_take(front, CLASS));
    EXPECT_GE(hak_shared_fronts_bytes(), hak_classes[CLASS].size);
    hak_shared_fronts_flush();
    EXPECT_GE(hak_shared_fronts_bytes(), hak_classes[CLASS].size);
    hak_shared_front_put(front);
    hak_shared_fronts_flush();
    EXPECT_EQ(hak_shared_fronts_bytes(), 0);
    world_expect_nothing_lost();
}

/* An object belongs to the thread that got it, whose number it holds. */
static void *use(void *argument)
{
    unsigned number = *(unsigned *)argument;
    void *held[HELD] = {NULL};
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned place = step * 7 % HELD;
        struct hak_front *front = hak_shared_front_take();
        if (front == NULL)
            continue;
        if (held[place] != NULL) {
            EXPECT_EQ(((unsigned *)held[place])[4], number);
            world_give(front, held[place]);
        }
        held[place] = world_take(front, CLASS);
        ((unsigned *)held[place])[4] = number;
        hak_shared_front_put(front);
    }
    struct hak_front *front;
    while ((front = hak_shared_front_take()) == NULL)
        continue;
    for (unsigned place = 0; place < HELD; place++)
        if (held[place] != NULL)
            world_give(front, held[place]);
    hak_shared_front_put(front);
    return NULL;
}

static void threads_take_turns(void)
{
    unsigned numbers[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        numbers[i] = i;
    threads_run(THREADS, use, numbers, sizeof numbers[0]);
    hak_shared_fronts_flush();
    EXPECT_EQ(hak_shared_fronts_bytes(), 0);
    world_expect_nothing_lost();
}

/* As if another thread had held it when this one forked. */
static void free_in_a_child(void)
{
    struct hak_front *front = hak_shared_front_take();
    REQUIRE(front != NULL);
    hak_section_nest(-1);
    hak_shared_fronts_after_fork();
    for (unsigned i = 0; i < COUNT; i++)
        EXPECT(hak_shared_front_take() != NULL);
    for (unsigned i = 0; i < COUNT; i++)
        hak_section_nest(-1);
    hak_shared_fronts_after_fork();
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"before the start there are no shared fronts", none_before_they_are_made},
        {"each has one holder, and no thread waits for it", one_holder_each},
        {"a flush gets the objects of all but held fronts", flushed_but_for_what_is_held},
        {"threads that take turns lose nothing, and get nothing twice", threads_take_turns},
        {"in the child of a fork they are free", free_in_a_child},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
