/* SPDX-License-Identifier: MIT */
/* heap/child.c: a child of a fork has a heap that works, whatever the parent was doing. */
#include "heap/child.h"

#include <unistd.h>

#include "os/section.h"
#include "tests/lib/process.h"
#include "tests/unit/world.h"

enum { CLASS = 8 };

/* The parent's front is the child's; its placing lock is free there. */
static int child_goes_on(struct hak_front *front, const void *kept)
{
    struct hak_heap *heap = hak_heap_default();
    hak_section_start_child();
    hak_heap_start_child(heap);
    int good = hak_lock_try(&heap->placing);
    void *object = world_take(front, CLASS);
    good &= object != NULL && object != kept;
    world_give(front, object);
    hak_front_destroy(front);
    return !good;
}

static void locks_are_free(void)
{
    struct hak_heap *heap = world_start();
    struct hak_front *front = world_front();
    REQUIRE(front != NULL);
    void *kept = world_take(front, CLASS);
    hak_lock_acquire(&heap->placing); /* as another thread that waits for a lock under it */
    pid_t child = fork();
    if (child == 0)
        _exit(child_goes_on(front, kept));
    hak_lock_release(&heap->placing);
    EXPECT_EQ(process_wait(child, 10), 0);
    world_give(front, kept);
    hak_front_destroy(front);
    world_expect_nothing_lost();
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"locks of the parent's other threads are free", locks_are_free},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
