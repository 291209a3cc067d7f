/* SPDX-License-Identifier: MIT */
/* heap/collect.c: a sheet agrees with the objects taken, wherever they lie; portions make the same
 * sheet as one step; counters never go back. */
#include "heap/collect.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/world.h"

enum { CLASS = 10, OTHER_CLASS = 30, ROOM = 64, LARGE = 300 * 1024 };

static struct hak_sheet *sheet;
static struct hak_sheet_shard total;
static struct hak_collect collect;

static void start(unsigned room)
{
    free(sheet);
    free(collect.rows.objects);
    sheet = calloc(1, hak_sheet_size(room));
    uint32_t *rows = calloc(1, hak_collect_rows_size(room));
    REQUIRE(sheet != NULL && rows != NULL);
    hak_collect_start(&collect, sheet, rows, room);
}

static void fill_in(void)
{
    EXPECT(hak_collect_step(hak_heap_default(), &collect, &hak_collect_all));
    hak_sheet_total(sheet, &total);
    hak_sheet_derive_process(&sheet->head, &total);
}

static uint64_t live(unsigned class_id)
{
    return total.classes[class_id][HAK_CLASS_FIGURE_LIVE];
}

static uint64_t of_class(unsigned class_id, enum hak_class_figure figure)
{
    return total.classes[class_id][figure];
}

/* An object that the program holds, one in a front, a bundle in a transfer cache, one in an inbox:
 * each is counted where it is. */
static void tells_where(void)
{
    const struct hak_shard_map *map = world_by_turns("3");
    REQUIRE(map != NULL);
    hak_heap_trim(hak_heap_default());
    start(ROOM);
    fill_in();
    uint64_t live_before = sheet->head.figures[HAK_PROCESS_FIGURE_LIVE];
    EXPECT_EQ(live(CLASS), 0);
    unsigned bundle = hak_classes[CLASS].bundle;
    struct hak_chain mine = world_chain(map->shards[0], CLASS, 20);
    hak_shard_accept(map->shards[1], CLASS, world_chain(map->shards[0], CLASS, bundle));
    struct hak_chain foreign = world_chain(map->shards[2], CLASS, 7);
    struct hak_front *front = world_front();
    REQUIRE(front != NULL);
    void *object = world_take(front, OTHER_CLASS);
    hak_shard_send_home(map->shards[0], CLASS, foreign); /* now: a refill sorts inboxes */
    void *run =
        hak_large_take(&map->shards[1]->large, LARGE, 4096, HAK_ZERO_NO, map->shards[1]->settings);
    fill_in();
    EXPECT_EQ(live(CLASS), 20);
    EXPECT_EQ(of_class(CLASS, HAK_CLASS_FIGURE_IN_TRANSFER_CACHE), bundle);
    EXPECT_EQ(of_class(CLASS, HAK_CLASS_FIGURE_IN_INBOX), 7);
    EXPECT_EQ(sheet->shards[2].classes[CLASS][HAK_CLASS_FIGURE_IN_INBOX], 7);
    EXPECT_EQ(sheet->shards[0].traffic.peers[3].objects[HAK_TRAFFIC_POSTED], 7);
    EXPECT_EQ(live(OTHER_CLASS), 1);
    EXPECT_EQ(of_class(OTHER_CLASS, HAK_CLASS_FIGURE_IN_FRONTS) + 1,
              of_class(OTHER_CLASS, HAK_CLASS_FIGURE_REFILLED));
    EXPECT_EQ(total.figures[HAK_FIGURE_RUNS], hak_large_round(LARGE));
    EXPECT_EQ(sheet->head.figures[HAK_PROCESS_FIGURE_LIVE] - live_before,
              20 * hak_classes[CLASS].size + hak_classes[OTHER_CLASS].size +
                  hak_large_round(LARGE));
    EXPECT_GE(sheet->head.figures[HAK_PROCESS_FIGURE_RESIDENT],
              sheet->head.figures[HAK_PROCESS_FIGURE_LIVE]);
    EXPECT_GE(total.figures[HAK_FIGURE_MAPPED], total.figures[HAK_FIGURE_RESIDENT]);
    world_give(front, object);
    hak_front_destroy(front);
    EXPECT_EQ(hak_large_give(run, map->shards[1]->settings), 1);
    hak_shard_give_to_slabs(CLASS, mine);
    fill_in();
    EXPECT_EQ(live(CLASS) + live(OTHER_CLASS) + total.figures[HAK_FIGURE_RUNS], 0);
    EXPECT_GE(total.figures[HAK_FIGURE_RETAINED], hak_large_round(LARGE));
    for (unsigned id = 1; id <= map->count; id++)
        hak_shard_drain(hak_shard_of_id(id));
    world_expect_nothing_lost();
    fill_in();
    EXPECT_EQ(sheet->head.figures[HAK_PROCESS_FIGURE_LIVE], 0);
    EXPECT_EQ(total.figures[HAK_FIGURE_RESIDENT], 0);
}

/* Free kernel pages inside a slab are no longer counted as resident. */
static void tells_of_holes(void)
{
    const struct hak_shard_map *map = world_by_turns("3");
    REQUIRE(map != NULL);
    enum { BIG = 40 };
    REQUIRE(hak_classes[BIG].capacity <= hak_classes[BIG].bundle);
    struct hak_chain word = world_chain(map->shards[0], BIG, hak_classes[BIG].capacity);
    void *kept = world_pop(&word);
    hak_shard_give_to_slabs(BIG, word);
    hak_shard_purge(map->shards[0]);
    fill_in();
    uint64_t holes = of_class(BIG, HAK_CLASS_FIGURE_HOLES);
    tap_note("%lu bytes of holes in %lu of slabs", (unsigned long)holes,
             (unsigned long)total.figures[HAK_FIGURE_SLABS]);
    EXPECT_GE(holes, 4096);
    EXPECT_EQ(of_class(BIG, HAK_CLASS_FIGURE_RESIDENT) + holes, total.figures[HAK_FIGURE_SLABS]);
    /* Takes them again, and the rest: no hole is left in the count. */
    word = world_chain(map->shards[0], BIG, hak_classes[BIG].capacity - 1u);
    fill_in();
    EXPECT_EQ(of_class(BIG, HAK_CLASS_FIGURE_HOLES), 0);
    hak_magazine_push(&word, kept);
    hak_shard_give_to_slabs(BIG, word);
    hak_shard_purge(map->shards[0]);
    world_expect_nothing_lost();
    fill_in();
    EXPECT_EQ(of_class(BIG, HAK_CLASS_FIGURE_HOLES), 0);
}

static void portions_make_the_same(void)
{
    static const struct hak_collect_portion small = {UINT32_MAX, 1, 3};
    REQUIRE(world_by_turns("9") != NULL);
    start(ROOM);
    fill_in();
    struct hak_sheet_shard whole = total;
    start(ROOM);
    unsigned steps = 1;
    while (!hak_collect_step(hak_heap_default(), &collect, &small) && steps < 100)
        steps++;
    EXPECT_GE(steps, 3);
    EXPECT_LE(steps, 4);
    hak_sheet_total(sheet, &total);
    EXPECT_EQ(sheet->head.shard_count, hak_shard_last_id());
    EXPECT_EQ(memcmp(&whole.figures, &total.figures, sizeof total.figures), 0);
    EXPECT_EQ(memcmp(&whole.classes, &total.classes, sizeof total.classes), 0);
    for (unsigned i = 0; i < sheet->head.shard_count; i++)
        EXPECT_EQ(sheet->shards[i].sequence, 2);
}

static void room_is_a_bound(void)
{
    start(2);
    fill_in();
    EXPECT_EQ(sheet->head.shard_count, 2);
}

/* Threads and shards come and go; the counts stay. */
static void counters_never_go_back(void)
{
    static const char *const requests[] = {"3", "9", "1", "3"};
    struct hak_snapshot before = {{0}};
    start(ROOM);
    for (unsigned i = 0; i < TAP_COUNT(requests); i++) {
        REQUIRE(world_by_turns(requests[i]) != NULL);
        struct hak_front *front = world_front();
        REQUIRE(front != NULL);
        world_give(front, world_take(front, CLASS));
        hak_front_destroy(front);
        fill_in();
        for (unsigned k = 0; k < HAK_COUNTER_COUNT; k++)
            EXPECT_GE(total.counters.value[k], before.value[k]);
        EXPECT_GE(total.counters.value[HAK_COUNTER_THREADS_EXITED],
                  before.value[HAK_COUNTER_THREADS_EXITED] + 1);
        EXPECT_EQ(sheet->head.figures[HAK_PROCESS_FIGURE_SHARDS_IN_FORCE],
                  (unsigned)atoi(requests[i]));
        before = total.counters;
    }
    EXPECT_EQ(sheet->shards[8].is_in_force, 0);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"each object is counted where it is", tells_where},
        {"holes are not resident", tells_of_holes},
        {"portions make the same sheet as one step", portions_make_the_same},
        {"shards beyond the room are left out", room_is_a_bound},
        {"counters never go back", counters_never_go_back},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
