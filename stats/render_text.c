/* SPDX-License-Identifier: MIT */
/* A report for people: size classes are told of all shards together. One thread a report.
 *
 * hakmem 0.1
 *   mode                       cpu
 * process: 5.0 MiB live, 6.0 MiB resident at most
 *   whales                                  1 whales
 * total: 8.0 MiB held
 *   live                             5242880 bytes
 *   refill_slab_fresh                      12 bundles
 *    size       live  live%    resident ...
 *      32      12345    88%     2097152 ...
 * shard 0: node 0, cpus 0-3, 4.0 MiB held
 *   ... */
#include "stats/render_text.h"

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

static void put_row(struct hak_writer *writer, const struct hak_counter_info *info, uint64_t value)
{
    if (value == 0)
        return;
    size_t start = writer->total;
    hak_put_text(writer, "  ");
    hak_report_put_name(writer, info->name);
    while (writer->total - start < 28)
        hak_put_text(writer, " ");
    hak_put(writer, " %14lu %s\n", (unsigned long)value, info->unit);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void put_classes(struct hak_writer *writer, const struct hak_sheet_head *head,
                        const struct hak_sheet_shard *shard)
{
    int is_begun = 0;
    for (unsigned id = 1; id < head->class_count; id++) {
        const uint64_t *figures = shard->classes[id];
        if (!hak_report_has_class(figures))
            continue;
        if (!is_begun)
            hak_put_text(writer, "   size       live  live%    resident    fronts  transfer     "
                                 "inbox      slabs    refilled     flushed\n");
        is_begun = 1;
        hak_put(writer, " %6u %10lu %5lu%% ", head->classes[id].size,
                (unsigned long)figures[HAK_CLASS_FIGURE_LIVE],
                (unsigned long)figures[HAK_CLASS_FIGURE_LIVE_PERCENT]);
        hak_put(writer, "%11lu %9lu %9lu %9lu %10lu %11lu %11lu\n",
                (unsigned long)figures[HAK_CLASS_FIGURE_RESIDENT],
                (unsigned long)figures[HAK_CLASS_FIGURE_IN_FRONTS],
                (unsigned long)figures[HAK_CLASS_FIGURE_IN_TRANSFER_CACHE],
                (unsigned long)figures[HAK_CLASS_FIGURE_IN_INBOX],
                (unsigned long)figures[HAK_CLASS_FIGURE_SLABS],
                (unsigned long)figures[HAK_CLASS_FIGURE_REFILLED],
                (unsigned long)figures[HAK_CLASS_FIGURE_FLUSHED]);
    }
}

static void put_traffic(struct hak_writer *writer, const struct hak_traffic *traffic)
{
    static const char *const kinds[HAK_TRAFFIC_KINDS] = {"posted to", "adopted from",
                                                         "stolen from"};
    for (unsigned i = 0; i <= HAK_TRAFFIC_PEERS; i++) {
        const struct hak_traffic_peer *peer = &traffic->peers[i];
        for (unsigned kind = 0; kind < HAK_TRAFFIC_KINDS; kind++) {
            if (peer->objects[kind] == 0)
                continue;
            hak_put(writer, "  %s ", kinds[kind]);
            if (peer->id != 0)
                hak_put(writer, "shard %u: ", peer->id - 1);
            else
                hak_put_text(writer, "others: ");
            hak_put(writer, "%lu objects\n", (unsigned long)peer->objects[kind]);
        }
    }
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static void put_block(struct hak_writer *writer, const struct hak_sheet_shard *shard)
{
    put_size(writer, shard->figures[HAK_FIGURE_MAPPED]);
    hak_put_text(writer, " held\n");
    for (unsigned i = HAK_FIGURE_RESIDENT; i < HAK_FIGURE_COUNT; i++)
        put_row(writer, &hak_figure_infos[i], shard->figures[i]);
    for (unsigned i = 0; i < HAK_COUNTER_COUNT; i++)
        put_row(writer, &hak_counter_infos[i], shard->counters.value[i]);
    for (unsigned i = 0; i < HAK_REPORT_DERIVED; i++)
        put_row(writer, &hak_report_derived[i], hak_report_derive(&shard->counters, i));
    put_traffic(writer, &shard->traffic);
}

static void put_shard(struct hak_writer *writer, const struct hak_sheet_shard *shard)
{
    hak_put(writer, "shard %u: ", shard->id - 1);
    if (shard->node >= 0)
        hak_put(writer, "node %d, ", shard->node);
    if (shard->cpus[0] != '\0')
        hak_put(writer, "cpus %s, ", shard->cpus);
    if (!shard->is_in_force)
        hak_put_text(writer, "retired, ");
    put_block(writer, shard);
}

static void put_process(struct hak_writer *writer, const struct hak_sheet_head *head)
{
    hak_put_text(writer, "process: ");
    put_size(writer, head->figures[HAK_PROCESS_FIGURE_LIVE]);
    hak_put_text(writer, " live, ");
    put_size(writer, head->figures[HAK_PROCESS_FIGURE_RESIDENT]);
    hak_put_text(writer, " resident at most\n");
    for (unsigned i = HAK_PROCESS_FIGURE_RETAINED; i < HAK_PROCESS_FIGURE_COUNT; i++)
        put_row(writer, &hak_process_figure_infos[i], head->figures[i]);
}

void hak_render_text(const struct hak_report *report, struct hak_writer *writer)
{
    const struct hak_sheet_head *head = &report->sheet->head;
    hak_put(writer, "%s\n", head->title);
    for (unsigned i = 0; i < HAK_SHEET_FACTS; i++) {
        if (head->facts[i].name[0] != '\0')
            hak_put(writer, "  %-26s %s\n", head->facts[i].name, head->facts[i].text);
    }
    put_process(writer, head);
    hak_put_text(writer, "total: ");
    put_block(writer, report->total);
    put_classes(writer, head, report->total);
    for (unsigned i = 0; i < head->shard_count; i++)
        put_shard(writer, &report->sheet->shards[i]);
    hak_writer_flush(writer);
}
