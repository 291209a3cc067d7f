/* SPDX-License-Identifier: MIT */
/* A sheet of two shards and two classes, for tests of what reads sheets. One thread. */
#ifndef HAK_TESTS_SHEET_H
#define HAK_TESTS_SHEET_H

#include <stddef.h>
#include <string.h>

#include "stats/report.h"

enum { SHEET_TEST_SHARDS = 2 };

static union {
    struct hak_sheet sheet;
    char room[sizeof(struct hak_sheet) + SHEET_TEST_SHARDS * sizeof(struct hak_sheet_shard)];
} sheet_test;
static struct hak_sheet_shard sheet_test_total;

/* 100 objects of 16 bytes out of shard 0's slab, of which 10 lie in each kind of cache, and 40 of
 * 1024 bytes in both; shard 1 has a run and caches of 20 objects of shard 0's. */
static inline struct hak_sheet *sheet_for_test(void)
{
    struct hak_sheet *sheet = &sheet_test.sheet;
    memset(&sheet_test, 0, sizeof sheet_test);
    struct hak_sheet_head *head = &sheet->head;
    head->pid = 4711;
    head->shard_count = SHEET_TEST_SHARDS;
    head->class_count = 3;
    head->classes[1] = (struct hak_sheet_class){16, 64, 4096, 65536};
    head->classes[2] = (struct hak_sheet_class){1024, 64, 64, 65536};
    head->key_count = head->arm_count = head->state_count = 1;
    hak_sheet_put_text(head->title, sizeof head->title, "hakmem 1");
    hak_sheet_put_text(head->keys[0], HAK_SHEET_NAME, "64K");
    hak_sheet_put_text(head->arms[0], HAK_SHEET_NAME, "keep");
    hak_sheet_put_text(head->states[0], HAK_SHEET_NAME, "frozen");
    hak_sheet_put_fact(head, "by", "c\"p\\u\n");
    hak_sheet_put_fact(head, "absent", NULL);
    hak_sheet_put_fact(head, "front", "thread");
    head->figures[HAK_PROCESS_FIGURE_WHALE_BYTES] = 5 << 20;
    for (unsigned i = 0; i < SHEET_TEST_SHARDS; i++) {
        struct hak_sheet_shard *shard = &sheet->shards[i];
        shard->id = i + 1;
        shard->node = i == 0 ? 3 : -1;
        shard->is_in_force = i == 0;
        shard->figures[HAK_FIGURE_MAPPED] = i == 0 ? 2 << 20 : 1536;
    }
    struct hak_sheet_shard *first = &sheet->shards[0];
    struct hak_sheet_shard *second = &sheet->shards[1];
    hak_sheet_put_text(first->cpus, sizeof first->cpus, "0-3,8");
    uint64_t *small = first->classes[1];
    small[HAK_CLASS_FIGURE_SLABS] = 1;
    small[HAK_CLASS_FIGURE_TAKEN] = 100;
    small[HAK_CLASS_FIGURE_FREE] = 3996;
    small[HAK_CLASS_FIGURE_HOLES] = 4096;
    small[HAK_CLASS_FIGURE_IN_FRONTS] = small[HAK_CLASS_FIGURE_IN_INBOX] =
        small[HAK_CLASS_FIGURE_IN_TRANSFER_CACHE] = 10;
    small[HAK_CLASS_FIGURE_REFILLED] = 128;
    for (unsigned i = 0; i < SHEET_TEST_SHARDS; i++) {
        sheet->shards[i].classes[2][HAK_CLASS_FIGURE_SLABS] = 1;
        sheet->shards[i].classes[2][HAK_CLASS_FIGURE_TAKEN] = 40;
    }
    second->classes[1][HAK_CLASS_FIGURE_IN_FRONTS] = 20;
    second->figures[HAK_FIGURE_RUNS] = 40960;
    second->figures[HAK_FIGURE_RETAINED] = 8192;
    first->counters.value[HAK_COUNTER_SLABS_MADE] = 12;
    first->counters.value[HAK_COUNTER_FLUSH_OBJECTS] = 1;
    first->counters.value[HAK_COUNTER_FOREIGN_FLUSHED] = 2;
    second->counters.value[HAK_COUNTER_FLUSH_OBJECTS] = 7;
    first->counters.value[HAK_COUNTER_WHALE_MAPS] = 3;
    second->counters.value[HAK_COUNTER_WHALE_UNMAPS] = 1;
    hak_traffic_count(&second->traffic, HAK_TRAFFIC_ADOPTED, 1, 20);
    second->keys[0] = (struct hak_sheet_key){.matches = 9, .switches = 1, .bytes = 1 << 20};
    for (unsigned i = 0; i < SHEET_TEST_SHARDS; i++)
        hak_sheet_derive(head, &sheet->shards[i]);
    return sheet;
}

static inline struct hak_report sheet_test_report(void)
{
    struct hak_sheet *sheet = sheet_for_test();
    hak_sheet_total(sheet, &sheet_test_total);
    hak_sheet_derive_process(&sheet->head, &sheet_test_total);
    return (struct hak_report){sheet, &sheet_test_total};
}

#endif
