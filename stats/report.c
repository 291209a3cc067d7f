/* SPDX-License-Identifier: MIT */
/* Walks over a report: title, facts, total, shards. One thread a report. */
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

/* Figures that combine counters. A free whose object stays in the front, or is handed out again, is
 * counted nowhere, so these figures cover only what came back from fronts: in the end every foreign
 * free, and of the frees at home those that the front did not use again. */
static uint64_t back_objects(const struct hak_snapshot *counters)
{
    return counters->value[HAK_COUNTER_FLUSH_OBJECTS] +
           counters->value[HAK_COUNTER_FOREIGN_FLUSHED];
}

static uint64_t back_remote_percent(const struct hak_snapshot *counters)
{
    double remote = (double)counters->value[HAK_COUNTER_FOREIGN_FLUSHED];
    uint64_t all = back_objects(counters);
    return all != 0 ? (uint64_t)(remote * 100 / (double)all + 0.5) : 0;
}

static const struct derived {
    struct hak_counter_info info;
    uint64_t (*value)(const struct hak_snapshot *counters);
} derived[HAK_REPORT_DERIVED] = {
    {{"BACK_OBJECTS", "objects", "Objects that fronts here gave back", HAK_COUNTER_SUM},
     back_objects},
    {{"BACK_REMOTE", "percent", "Share of these that belongs to other shards", HAK_COUNTER_SUM},
     back_remote_percent},
};

static void write_block(const struct hak_report_voice *voice, struct hak_writer *writer,
                        size_t rank, const struct hak_report_shard *shard)
{
    voice->begin_block(writer, rank, shard);
    for (unsigned i = 0; i < HAK_COUNTER_COUNT; i++)
        voice->counter(writer, i, &hak_counter_infos[i], shard->counters.value[i]);
    for (unsigned i = 0; i < HAK_ARRAY_LENGTH(derived); i++)
        voice->counter(writer, HAK_COUNTER_COUNT + i, &derived[i].info,
                       derived[i].value(&shard->counters));
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
