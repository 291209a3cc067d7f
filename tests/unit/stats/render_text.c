/* SPDX-License-Identifier: MIT */
/* stats/render_text.c: what people read. */
#include <string.h>

#include "stats/report.h"
#include "tests/lib/tap.h"

static void renders(void)
{
    static const struct hak_report_fact facts[] = {{"mode", "node"}};
    struct hak_report_shard shards[2] = {
        {.id = 0, .node = 3, .cpus = "0-3,8", .bytes_held = 2 << 20},
        {.id = 1, .node = -1, .bytes_held = 1536},
    };
    shards[0].counters.value[HAK_COUNTER_SLABS_MADE] = 12;
    struct hak_report report = {"hakmem 1", facts, 1, shards, 2};
    char text[1024];
    struct hak_writer writer = hak_writer_to_buffer(text, sizeof(text));
    hak_report_write(&report, &hak_report_text, &writer);
    const char *wanted = "hakmem 1\n"
                         "  mode                       node\n"
                         "total: 2.0 MiB held\n"
                         "  slabs_made                             12 slabs\n"
                         "shard 0: node 3, cpus 0-3,8, 2.0 MiB held\n"
                         "  slabs_made                             12 slabs\n"
                         "shard 1: 1.5 KiB held\n";
    if (!EXPECT(strcmp(text, wanted) == 0))
        tap_note("got\n%s", text);
}

static void sizes(void)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {
        {0, "total: 0 B held"},
        {1023, "total: 1023 B held"},
        {1024, "total: 1.0 KiB held"},
        {(uint64_t)5 << 40, "total: 5.0 TiB held"},
    };
    for (unsigned i = 0; i < TAP_COUNT(rows); i++) {
        struct hak_report_shard shard = {.node = -1, .bytes_held = rows[i].bytes};
        struct hak_report report = {"t", NULL, 0, &shard, 1};
        char text[256];
        struct hak_writer writer = hak_writer_to_buffer(text, sizeof(text));
        hak_report_write(&report, &hak_report_text, &writer);
        if (!EXPECT(strstr(text, rows[i].text) != NULL))
            tap_note("got %s", text);
    }
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"counters that are not 0 stand under their shard", renders},
        {"sizes have units", sizes},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
