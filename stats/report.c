/* SPDX-License-Identifier: MIT */
/* The one walk over a report: title, facts, total, shards. One thread a report. */
#include "stats/report.h"

void hak_report_put_name(struct hak_writer *writer, const char *name)
{
    for (; *name != '\0'; name++) {
        char byte = *name;
        if (byte >= 'A' && byte <= 'Z')
            byte = (char)(byte - 'A' + 'a');
        hak_put_bytes(writer, &byte, 1);
    }
}

static void write_block(const struct hak_report_voice *voice, struct hak_writer *writer,
                        size_t rank, const struct hak_report_shard *shard)
{
    voice->begin_block(writer, rank, shard);
    for (unsigned i = 0; i < HAK_COUNTER_COUNT; i++)
        voice->counter(writer, i, &hak_counter_infos[i], shard->counters.value[i]);
    voice->end_block(writer, shard);
}

static void write_total(const struct hak_report *report, const struct hak_report_voice *voice,
                        struct hak_writer *writer)
{
    struct hak_report_shard total = {.id = HAK_REPORT_TOTAL, .node = -1};
    for (size_t i = 0; i < report->shard_count; i++) {
        total.bytes_held += report->shards[i].bytes_held;
        hak_snapshot_merge(&total.counters, &report->shards[i].counters);
    }
    write_block(voice, writer, 0, &total);
}

void hak_report_write(const struct hak_report *report, const struct hak_report_voice *voice,
                      struct hak_writer *writer)
{
    voice->begin(writer, report->title);
    size_t told = 0;
    for (size_t i = 0; i < report->fact_count; i++) {
        if (report->facts[i].text != NULL)
            voice->fact(writer, told++, &report->facts[i]);
    }
    write_total(report, voice, writer);
    for (size_t i = 0; i < report->shard_count; i++)
        write_block(voice, writer, i, &report->shards[i]);
    voice->end(writer);
    hak_writer_flush(writer);
}
