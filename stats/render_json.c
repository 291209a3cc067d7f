/* SPDX-License-Identifier: MIT */
/* A report for programs: one JSON object on one line. One thread a report.
 *
 * {"title":"...","facts":{"mode":"cpu",...},"total":{"bytes_held":n,"counters":{...}},
 *  "shards":[{"id":0,"node":0,"cpus":"0-3","bytes_held":n,"counters":{...}},...]} */
#include "stats/report.h"

static void put_string(struct hak_writer *writer, const char *text)
{
    hak_put_text(writer, "\"");
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            hak_put(writer, "\\%c", byte);
        else if (byte < 0x20)
            hak_put(writer, "\\u%04x", (unsigned)byte);
        else
            hak_put_bytes(writer, text, 1);
    }
    hak_put_text(writer, "\"");
}

static void begin(struct hak_writer *writer, const char *title)
{
    hak_put_text(writer, "{\"title\":");
    put_string(writer, title);
    hak_put_text(writer, ",\"facts\":{");
}

static void fact(struct hak_writer *writer, size_t rank, const struct hak_report_fact *fact)
{
    hak_put_text(writer, rank == 0 ? "" : ",");
    put_string(writer, fact->name);
    hak_put_text(writer, ":");
    put_string(writer, fact->text);
}

static void begin_block(struct hak_writer *writer, size_t rank,
                        const struct hak_report_shard *shard)
{
    if (shard->id == HAK_REPORT_TOTAL) {
        hak_put_text(writer, "},\"total\":{");
    } else {
        hak_put(writer, "%s{\"id\":%u,\"node\":%d,", rank == 0 ? "" : ",", shard->id, shard->node);
        if (shard->cpus != NULL) {
            hak_put_text(writer, "\"cpus\":");
            put_string(writer, shard->cpus);
            hak_put_text(writer, ",");
        }
    }
    hak_put(writer, "\"bytes_held\":%lu,\"counters\":{", (unsigned long)shard->bytes_held);
}

static void counter(struct hak_writer *writer, size_t rank, const struct hak_counter_info *info,
                    uint64_t value)
{
    hak_put_text(writer, rank == 0 ? "\"" : ",\"");
    hak_report_put_name(writer, info->name);
    hak_put(writer, "\":%lu", (unsigned long)value);
}

static void end_block(struct hak_writer *writer, const struct hak_report_shard *shard)
{
    /* the list of shards follows the total */
    hak_put_text(writer, shard->id == HAK_REPORT_TOTAL ? "}},\"shards\":[" : "}}");
}

static void end(struct hak_writer *writer)
{
    hak_put_text(writer, "]}\n");
}

const struct hak_report_voice hak_report_json = {
    .begin = begin,
    .fact = fact,
    .begin_block = begin_block,
    .counter = counter,
    .end_block = end_block,
    .end = end,
};
