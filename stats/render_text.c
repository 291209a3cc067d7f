/* SPDX-License-Identifier: MIT */
/* A report for people. One thread a report.
 *
 * hakmem 0.1
 *   mode                       cpu
 * total: 8.0 MiB held
 *   refill_slab_fresh                      12 bundles
 * shard 0: node 0, cpus 0-3, 4.0 MiB held
 *   ... */
#include "stats/report.h"

static void begin(struct hak_writer *writer, const char *title)
{
    hak_put(writer, "%s\n", title);
}

static void fact(struct hak_writer *writer, size_t rank, const struct hak_report_fact *fact)
{
    (void)rank;
    hak_put(writer, "  %-26s %s\n", fact->name, fact->text);
}

/* Bytes in the largest unit that gives at least 1, to a tenth. */
static void put_size(struct hak_writer *writer, uint64_t bytes)
{
    static const char units[][4] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    unsigned unit = 0;
    uint64_t tenths = bytes < UINT64_MAX / 10 ? bytes * 10 : UINT64_MAX;
    while (tenths >= 10240 && unit + 1 < HAK_ARRAY_LENGTH(units)) {
        tenths /= 1024;
        unit++;
    }
    if (unit == 0)
        hak_put(writer, "%lu B", (unsigned long)bytes);
    else
        hak_put(writer, "%lu.%lu %s", (unsigned long)(tenths / 10), (unsigned long)(tenths % 10),
                units[unit]);
}

static void begin_block(struct hak_writer *writer, size_t rank,
                        const struct hak_report_shard *shard)
{
    (void)rank;
    if (shard->id == HAK_REPORT_TOTAL) {
        hak_put_text(writer, "total: ");
    } else {
        hak_put(writer, "shard %u: ", shard->id);
        if (shard->node >= 0)
            hak_put(writer, "node %d, ", shard->node);
        if (shard->cpus != NULL)
            hak_put(writer, "cpus %s, ", shard->cpus);
    }
    put_size(writer, shard->bytes_held);
    hak_put_text(writer, " held\n");
}

static void counter(struct hak_writer *writer, size_t rank, const struct hak_counter_info *info,
                    uint64_t value)
{
    (void)rank;
    if (value == 0)
        return;
    size_t start = writer->total;
    hak_put_text(writer, "  ");
    hak_report_put_name(writer, info->name);
    while (writer->total - start < 28)
        hak_put_text(writer, " ");
    hak_put(writer, " %14lu %s\n", (unsigned long)value, info->unit);
}

static void end_block(struct hak_writer *writer, const struct hak_report_shard *shard)
{
    (void)writer;
    (void)shard;
}

static void end(struct hak_writer *writer)
{
    (void)writer;
}

const struct hak_report_voice hak_report_text = {
    .begin = begin,
    .fact = fact,
    .begin_block = begin_block,
    .counter = counter,
    .end_block = end_block,
    .end = end,
};
