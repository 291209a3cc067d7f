/* SPDX-License-Identifier: MIT */
/* stats/report.c: the walk tells everything once, in order, and totals it. */
#include "stats/report.h"

#include <string.h>

#include "tests/lib/tap.h"

/* A voice that writes down what it was asked to say. */
static void begin(struct hak_writer *writer, const char *title)
{
    hak_put(writer, "begin %s;", title);
}

static void fact(struct hak_writer *writer, size_t rank, const struct hak_report_fact *fact)
{
    hak_put(writer, "fact %zu %s=%s;", rank, fact->name, fact->text);
}

static void begin_block(struct hak_writer *writer, size_t rank,
                        const struct hak_report_shard *shard)
{
    hak_put(writer, "block %zu %d held %lu;", rank, (int)shard->id, (long)shard->bytes_held);
}

static void counter(struct hak_writer *writer, size_t rank, const struct hak_counter_info *info,
                    uint64_t value)
{
    if (value == 0)
        return;
    EXPECT(rank >= HAK_COUNTER_COUNT || info == &hak_counter_infos[rank]);
    hak_report_put_name(writer, info->name);
    hak_put(writer, "=%lu;", (unsigned long)value);
}

static void end_block(struct hak_writer *writer, const struct hak_report_shard *shard)
{
    hak_put(writer, "end %d;", (int)shard->id);
}

static void end(struct hak_writer *writer)
{
    hak_put_text(writer, "end");
}

static const struct hak_report_voice recorder = {begin, fact, begin_block, counter, end_block, end};

static void walks(void)
{
    static const struct hak_report_fact facts[] = {{"mode", "cpu"}, {"none", NULL}, {"b", "c"}};
    struct hak_report_shard shards[2] = {{.id = 0, .bytes_held = 3}, {.id = 5, .bytes_held = 4}};
    shards[0].counters.value[HAK_COUNTER_WHALE_MAPS] = 1;
    shards[1].counters.value[HAK_COUNTER_WHALE_MAPS] = 2;
    shards[0].counters.value[HAK_COUNTER_FLUSH_OBJECTS] = 1;
    shards[0].counters.value[HAK_COUNTER_FOREIGN_FLUSHED] = 2;
    shards[1].counters.value[HAK_COUNTER_FLUSH_OBJECTS] = 7;
    struct hak_report report = {"title", facts, 3, shards, 2};
    char text[512];
    struct hak_writer writer = hak_writer_to_buffer(text, sizeof(text));
    hak_report_write(&report, &recorder, &writer);
    const char *wanted = "begin title;fact 0 mode=cpu;fact 1 b=c;"
                         "block 0 -1 held 7;flush_objects=8;foreign_flushed=2;whale_maps=3;"
                         "back_objects=10;back_remote=20;end -1;"
                         "block 0 0 held 3;flush_objects=1;foreign_flushed=2;whale_maps=1;"
                         "back_objects=3;back_remote=67;end 0;"
                         "block 1 5 held 4;flush_objects=7;whale_maps=2;back_objects=7;end 5;end";
    if (!EXPECT(strcmp(text, wanted) == 0))
        tap_note("got '%s'", text);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"facts, total and shards are told in order", walks},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
