/* SPDX-License-Identifier: MIT */
/* front/pause.c: a thread that its front serves comes to look at the clock, and what that costs. */
#include "front/pause.h"

#include <string.h>

#include "tests/unit/world.h"

enum { CLASS = 6, OTHER = 9 };

static struct hak_front *paused_front(unsigned objects)
{
    world_by_turns("1");
    struct hak_front *front = world_front();
    if (!EXPECT(front != NULL))
        return NULL;
    struct hak_chain chain = world_chain(hak_front_shard(front), CLASS, objects);
    while (!hak_chain_is_empty(chain))
        world_give(front, world_pop(&chain));
    hak_front_shrink_and_pause(front);
    return front;
}

/* A malloc and a free past the fast paths, which find nothing there. */
static void call_slowly(struct hak_front *front, unsigned class_id)
{
    EXPECT(hak_front_pop(front, class_id) == NULL);
    EXPECT(hak_front_pop_spare(front, class_id) == NULL);
    void *object = hak_front_refill(front, class_id);
    REQUIRE(object != NULL);
    struct hak_page page = hak_page_find(object);
    uint32_t entry = hak_page_pack(page.class_id, page.offset, page.home);
    EXPECT(!hak_magazine_put(&front->loaded[class_id], object, front->refused[class_id]) ||
           !hak_front_is_paused(front, class_id));
    if (hak_front_is_paused(front, class_id)) {
        EXPECT(!hak_front_push_behind(front, entry, object));
        hak_front_overflow(front, class_id, object);
    }
}

static void paused_classes_refuse_and_serve(void)
{
    enum { OBJECTS = 5 };
    struct hak_front *front = paused_front(OBJECTS);
    REQUIRE(front != NULL);
    EXPECT(hak_front_is_paused(front, CLASS) && hak_front_is_paused(front, OTHER));
    EXPECT(hak_front_is_open(front, CLASS));
    EXPECT_EQ(world_length(front->spare[CLASS]), OBJECTS);
    EXPECT_EQ(front->spare_bytes, hak_magazine_bytes(CLASS));
    EXPECT_EQ(hak_front_bytes(front), OBJECTS * hak_classes[CLASS].size);
    int64_t out = world_objects_out();
    for (unsigned call = 0; call < HAK_PAUSE_CALLS / 2; call++)
        call_slowly(front, CLASS);
    EXPECT_EQ(world_objects_out(), out); /* by what waited */
    EXPECT_EQ(world_length(front->spare[CLASS]), OBJECTS);
    EXPECT_EQ(front->spare_bytes, hak_magazine_bytes(CLASS));
    hak_front_destroy(front);
    world_expect_nothing_lost();
}

/* Not paused is what was refilled since the last tick, and what has no room to wait in. */
static void classes_in_demand_are_not_paused(void)
{
    struct hak_front *front = paused_front(0);
    REQUIRE(front != NULL);
    front->slow_calls = 0; /* no tick but the test's */
    hak_pause_end(front, CLASS);
    void *object = world_take(front, CLASS);
    hak_front_shrink_and_pause(front);
    EXPECT(!hak_front_is_paused(front, CLASS));
    world_give(front, object);
    hak_front_shrink_and_pause(front);
    EXPECT(hak_front_is_paused(front, CLASS));
    size_t waiting = 0;
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++) {
        struct hak_chain chain = world_chain(hak_front_shard(front), class_id, 1);
        if (hak_front_is_paused(front, class_id))
            hak_pause_end(front, class_id);
        world_give(front, world_pop(&chain));
    }
    hak_front_shrink_and_pause(front);
    for (unsigned class_id = 1; class_id < HAK_CLASS_COUNT; class_id++)
        waiting += !hak_chain_is_empty(front->spare[class_id]) ? hak_magazine_bytes(class_id) : 0;
    EXPECT_EQ(front->spare_bytes, waiting);
    EXPECT_LE(waiting, HAK_FRONT_SPARE_BYTES);
    hak_front_destroy(front);
    world_expect_nothing_lost();
}

/* Calls until the class is open; each is one of malloc and one of free. */
static unsigned calls_until_open(struct hak_front *front, unsigned class_id)
{
    unsigned calls = 0;
    while (hak_front_is_paused(front, class_id) && calls < 10 * HAK_PAUSE_CALLS_OF_LAST) {
        call_slowly(front, class_id);
        calls += 2;
    }
    return calls;
}

static void classes_open_but_the_last(void)
{
    struct hak_front *front = paused_front(1);
    REQUIRE(front != NULL);
    call_slowly(front, OTHER);
    EXPECT_LE(calls_until_open(front, CLASS), HAK_PAUSE_CALLS + 2);
    EXPECT(hak_front_is_paused(front, OTHER)); /* goes on, for it is the last */
    unsigned calls = calls_until_open(front, OTHER);
    EXPECT_GE(calls, HAK_PAUSE_CALLS_OF_LAST - 2);
    EXPECT_LE(calls, HAK_PAUSE_CALLS_OF_LAST + 2);
    hak_front_destroy(front);
    world_expect_nothing_lost();
}

static void ticks_count_anew(void)
{
    struct hak_front *front = paused_front(1);
    REQUIRE(front != NULL);
    for (unsigned tick = 0; tick < 8; tick++) {
        for (unsigned call = 0; call < HAK_PAUSE_CALLS / 2; call++)
            call_slowly(front, CLASS);
        EXPECT(hak_front_is_paused(front, CLASS));
        EXPECT_EQ(world_length(front->spare[CLASS]), 1); /* it is used, so it stays */
        hak_front_shrink_and_pause(front);
    }
    for (unsigned tick = 0; tick <= HAK_FRONT_IDLE_TICKS; tick++)
        hak_front_shrink_and_pause(front);
    EXPECT_EQ(world_length(front->spare[CLASS]), 0); /* and goes back when it is not */
    EXPECT_EQ(front->spare_bytes, 0);
    hak_front_destroy(front);
    world_expect_nothing_lost();
}

/* The call that matters: one visit of a paused class ticks, where others need 64. */
static void paused_calls_look_at_the_clock(void)
{
    struct hak_front *front = paused_front(1);
    REQUIRE(front != NULL);
    front->slow_calls = 0;
    front->last_tick_ns = 0;
    hak_pause_end(front, OTHER);
    hak_heap_visit_for_class(hak_heap_default(), front, OTHER);
    EXPECT_EQ(front->last_tick_ns, 0);
    hak_heap_visit_for_class(hak_heap_default(), front, CLASS);
    EXPECT_GE(front->last_tick_ns, 1);
    hak_front_destroy(front);
    world_expect_nothing_lost();
}

/* With HAKMEM_DECAY=0 such a call empties the front if a tick is due, and not each time. */
static void watches_empty_once_a_tick(void)
{
    struct hak_front *front = paused_front(3);
    REQUIRE(front != NULL);
    struct hak_heap *heap = hak_heap_default();
    const struct hak_settings *usual = heap->settings;
    struct hak_settings at_once = *usual;
    at_once.decay_ns = 0;
    heap->settings = &at_once;
    front->last_tick_ns = hak_os_coarse_now_ns();
    hak_heap_visit_for_class(heap, front, CLASS);
    EXPECT_EQ(world_length(front->spare[CLASS]), 3);
    front->last_tick_ns = 0;
    hak_heap_visit_for_class(heap, front, CLASS);
    EXPECT_EQ(hak_front_bytes(front), 0);
    heap->settings = usual;
    hak_front_destroy(front);
    world_expect_nothing_lost();
}

/* While another thread forks nobody looks at the clock, so the class opens. */
static void pauses_end_beside_forks(void)
{
    enum { OBJECTS = 3 };
    struct hak_front *front = paused_front(OBJECTS);
    REQUIRE(front != NULL);
    EXPECT(!hak_pause_ends_beside(NULL, CLASS));
    EXPECT(hak_pause_ends_beside(front, CLASS));
    EXPECT(!hak_pause_ends_beside(front, CLASS));
    EXPECT_EQ(world_length(front->loaded[CLASS]), OBJECTS);
    EXPECT_EQ(front->spare_bytes, 0);
    EXPECT(hak_front_is_paused(front, OTHER));
    hak_front_destroy(front);
    world_expect_nothing_lost();
}

static void top_object_is_known_while_paused(void)
{
    struct hak_front *front = paused_front(0);
    REQUIRE(front != NULL);
    hak_pause_end(front, CLASS);
    void *below = world_take(front, CLASS);
    void *top = world_take(front, CLASS);
    world_give(front, below);
    EXPECT(!hak_front_has_on_top(front, CLASS, top));
    world_give(front, top);
    EXPECT(hak_front_has_on_top(front, CLASS, top));
    hak_front_shrink_and_pause(front);
    hak_front_shrink_and_pause(front);
    REQUIRE(hak_front_is_paused(front, CLASS));
    EXPECT(hak_front_has_on_top(front, CLASS, top));
    EXPECT(!hak_front_has_on_top(front, CLASS, below));
    hak_front_destroy(front);
    world_expect_nothing_lost();
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a paused class is served by what waits", paused_classes_refuse_and_serve},
        {"classes in demand are not paused", classes_in_demand_are_not_paused},
        {"classes open, but the last watches longer", classes_open_but_the_last},
        {"each tick counts calls anew", ticks_count_anew},
        {"a call of a paused class looks at the clock", paused_calls_look_at_the_clock},
        {"with DECAY=0 it empties the front once a tick", watches_empty_once_a_tick},
        {"a class opens while another thread forks", pauses_end_beside_forks},
        {"what lies on top of a paused class is known", top_object_is_known_while_paused},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
