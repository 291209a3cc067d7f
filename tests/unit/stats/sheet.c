/* SPDX-License-Identifier: MIT */
/* stats/sheet.c: figures that follow from others; sums; sequences; rows of the table; and the table
 * of peers of stats/traffic.h. */
#include "stats/sheet.h"

#include "tests/lib/sheet.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

static void described(void)
{
    static const struct {
        const struct hak_counter_info *infos;
        unsigned count;
    } tables[] = {{hak_figure_infos, HAK_FIGURE_COUNT},
                  {hak_class_figure_infos, HAK_CLASS_FIGURE_COUNT},
                  {hak_process_figure_infos, HAK_PROCESS_FIGURE_COUNT}};
    for (unsigned t = 0; t < TAP_COUNT(tables); t++) {
        for (unsigned i = 0; i < tables[t].count; i++) {
            const struct hak_counter_info *info = &tables[t].infos[i];
            REQUIRE(info->name != NULL);
            EXPECT_LE(strlen(info->name), 24);
            EXPECT_GE(strlen(info->sentence), 10);
            EXPECT(info->kind == HAK_COUNTER_SUM || info->kind == HAK_COUNTER_GAUGE);
            for (unsigned k = 0; k < i; k++)
                EXPECT(strcmp(info->name, tables[t].infos[k].name) != 0);
        }
    }
}

static void live_follows(void)
{
    struct hak_sheet *sheet = sheet_for_test();
    const struct hak_sheet_shard *first = &sheet->shards[0];
    const struct hak_sheet_shard *second = &sheet->shards[1];
    EXPECT_EQ(first->classes[1][HAK_CLASS_FIGURE_LIVE], 70);
    EXPECT_EQ(first->classes[1][HAK_CLASS_FIGURE_RESIDENT], 61440);
    EXPECT_EQ(first->classes[1][HAK_CLASS_FIGURE_LIVE_PERCENT], 2);
    EXPECT_EQ(first->figures[HAK_FIGURE_LIVE], 70 * 16 + 40 * 1024);
    EXPECT_EQ(first->figures[HAK_FIGURE_FREE], 3996 * 16);
    EXPECT_EQ(first->figures[HAK_FIGURE_RESIDENT], 61440 + 65536);
    /* A shard that holds another's objects is not below zero. */
    EXPECT_EQ(second->classes[1][HAK_CLASS_FIGURE_LIVE], 0);
    EXPECT_EQ(second->figures[HAK_FIGURE_LIVE], 40 * 1024 + 40960);
    EXPECT_EQ(second->figures[HAK_FIGURE_RESIDENT], 65536 + 40960 + 8192);
}

static void total_is_exact(void)
{
    struct hak_report report = sheet_test_report();
    const struct hak_sheet_head *head = &report.sheet->head;
    EXPECT_EQ(report.total->id, 0);
    EXPECT_EQ(report.total->classes[1][HAK_CLASS_FIGURE_LIVE], 50);
    EXPECT_EQ(report.total->figures[HAK_FIGURE_LIVE], 50 * 16 + 80 * 1024 + 40960);
    EXPECT_EQ(report.total->figures[HAK_FIGURE_MAPPED], (2 << 20) + 1536);
    EXPECT_EQ(report.total->counters.value[HAK_COUNTER_FLUSH_OBJECTS], 8);
    EXPECT_EQ(report.total->keys[0].matches, 9);
    EXPECT_EQ(head->figures[HAK_PROCESS_FIGURE_WHALES], 2);
    EXPECT_EQ(head->figures[HAK_PROCESS_FIGURE_LIVE],
              report.total->figures[HAK_FIGURE_LIVE] + (5 << 20));
}

static void texts_are_cut(void)
{
    char field[8];
    memset(field, 'x', sizeof field);
    hak_sheet_put_text(field, sizeof field, "ab");
    EXPECT_EQ(memcmp(field, "ab\0\0\0\0\0", 8), 0);
    hak_sheet_put_text(field, sizeof field, "0123456789");
    EXPECT(strcmp(field, "0123456") == 0);
    struct hak_sheet *sheet = sheet_for_test();
    for (unsigned i = 0; i < 2 * HAK_SHEET_FACTS; i++)
        hak_sheet_put_fact(&sheet->head, "more", "and more");
    EXPECT(strcmp(sheet->head.facts[HAK_SHEET_FACTS - 1].name, "more") == 0);
}

static void sequence_is_odd_inside(void)
{
    uint64_t sequence = 0;
    for (unsigned i = 1; i < 4; i++) {
        hak_sheet_begin(&sequence);
        EXPECT_EQ(sequence % 2, 1);
        hak_sheet_begin(&sequence); /* the child of a fork that came in between */
        EXPECT_EQ(sequence % 2, 1);
        hak_sheet_end(&sequence);
        EXPECT_EQ(sequence, 2 * i);
    }
}

static struct hak_traffic traffic;

static void *exchange(void *argument)
{
    unsigned first = *(unsigned *)argument;
    for (unsigned i = 0; i < 100000; i++)
        hak_traffic_count(&traffic, HAK_TRAFFIC_POSTED, first + i % 60 + 1, 3);
    return NULL;
}

/* More peers than there is room for, from many threads: no count is lost, and no peer has two
 * entries. */
static void peers_have_bounds(void)
{
    unsigned first[4] = {0, 20, 0, 40};
    uint64_t objects = 0;
    threads_run(4, exchange, first, sizeof first[0]);
    for (unsigned i = 0; i <= HAK_TRAFFIC_PEERS; i++) {
        objects += traffic.peers[i].objects[HAK_TRAFFIC_POSTED];
        for (unsigned k = 0; k < i && i < HAK_TRAFFIC_PEERS; k++)
            EXPECT(traffic.peers[i].id == 0 || traffic.peers[i].id != traffic.peers[k].id);
    }
    EXPECT_EQ(objects, 4 * 100000 * 3);
    EXPECT_EQ(traffic.peers[HAK_TRAFFIC_PEERS].id, 0);
    EXPECT_GE(traffic.peers[HAK_TRAFFIC_PEERS].objects[HAK_TRAFFIC_POSTED], 1);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"each figure is described once", described},
        {"live objects follow from the other figures", live_follows},
        {"the total is exact where shards are not", total_is_exact},
        {"texts and facts are cut", texts_are_cut},
        {"a sequence is odd while somebody writes", sequence_is_odd_inside},
        {"peers beyond the table share an entry", peers_have_bounds},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
