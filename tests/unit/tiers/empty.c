/* SPDX-License-Identifier: MIT */
/* tiers/empty.c: objects are distinct, they have no accessible memory, and pointers to no live
 * object are refused. */
#include "tiers/empty.h"

#include <stdint.h>
#include <unistd.h>

#include "tests/lib/tap.h"
#include "tests/lib/threads.h"
#include "tiers/page_map.h"

enum { THREADS = 4, MANY = 2000, ALL = 65536 };

static void *objects[ALL + 1];

/* Whether the kernel can read at this address. */
static bool is_readable(const void *object)
{
    int ends[2];
    if (!EXPECT(pipe(ends) == 0))
        return true;
    bool is_read = write(ends[1], object, 1) == 1;
    close(ends[0]);
    close(ends[1]);
    return is_read;
}

static void objects_are_addresses_without_memory(void)
{
    void *object = hak_empty_take(7);
    void *other = hak_empty_take(7);
    REQUIRE(object != NULL && other != NULL && object != other);
    EXPECT_EQ((uintptr_t)object % 16, 0);
    EXPECT_EQ(hak_page_find(object).class_id, 0);
    EXPECT_EQ(hak_page_find(object).offset, HAK_PAGE_EMPTY);
    EXPECT(is_readable(objects));
    EXPECT(!is_readable(object));
    EXPECT(hak_empty_is_live(object));
    EXPECT(!hak_empty_is_live((char *)object + 1));
    EXPECT(!hak_empty_give((char *)object + 1));
    EXPECT(hak_empty_give(object));
    EXPECT(!hak_empty_is_live(object));
    EXPECT(!hak_empty_give(object));
    EXPECT(hak_empty_begins(object) && !hak_empty_begins((char *)object + 8));
    EXPECT(hak_empty_is_live(other));
    EXPECT(hak_empty_give(other));
}

static void there_are_many_and_no_more(void)
{
    unsigned taken = 0;
    for (size_t hint = 0; hint < 1024; hint += 64)
        while (taken <= ALL && (objects[taken] = hak_empty_take(hint)) != NULL)
            taken++;
    EXPECT_EQ(taken, ALL);
    EXPECT(hak_empty_take(5) == NULL);
    for (unsigned i = 0; i < taken; i++)
        EXPECT(hak_empty_give(objects[i]));
    EXPECT(hak_empty_take(1023) != NULL);
}

struct worker {
    size_t hint;
    unsigned faults;
};

static void *take_and_give(void *argument)
{
    struct worker *worker = argument;
    void *mine[64];
    for (unsigned round = 0; round < MANY; round++) {
        for (unsigned i = 0; i < 64; i++)
            worker->faults += (mine[i] = hak_empty_take(worker->hint)) == NULL;
        for (unsigned i = 0; i < 64; i++)
            worker->faults += !hak_empty_give(mine[i]);
    }
    return NULL;
}

/* All search from the same words: the second thread could not give back an object that two got. */
static void no_two_threads_get_one(void)
{
    struct worker workers[THREADS] = {{100, 0}, {100, 0}, {101, 0}, {102, 0}};
    threads_run(THREADS, take_and_give, workers, sizeof workers[0]);
    for (unsigned i = 0; i < THREADS; i++)
        EXPECT_EQ(workers[i].faults, 0);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"objects are addresses without memory", objects_are_addresses_without_memory},
        {"there are 65,536, and no more", there_are_many_and_no_more},
        {"no two threads get one", no_two_threads_get_one},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
