/* SPDX-License-Identifier: MIT */
/* A report as Prometheus reads it, text format 0.0.4: each name once, with all its samples. One
 * thread a report.
 *
 *     # HELP hakmem_refill_inbox_total Refills from a bundle that came home through the inbox
 *     # TYPE hakmem_refill_inbox_total counter
 *     hakmem_refill_inbox_total{shard="0",node="0"} 12
 *
 * hakmem_NAME is of a shard, hakmem_class_NAME of a size class of all shards together,
 * hakmem_process_NAME of the process. Names of sums end in _total, others in their unit. */
#include "stats/render_prometheus.h"

struct family {
    const char *prefix;
    const struct hak_counter_info *info;
};

static void put_name(struct hak_writer *writer, const struct family *family)
{
    const struct hak_counter_info *info = family->info;
    hak_put_text(writer, family->prefix);
    hak_report_put_name(writer, info->name);
    if (info->kind == HAK_COUNTER_SUM)
        hak_put_text(writer, "_total");
    else if (info->unit[0] != '\0')
        hak_put(writer, "_%s", info->unit);
}

static void begin(struct hak_writer *writer, const struct family *family)
{
    hak_put_text(writer, "# HELP ");
    put_name(writer, family);
    hak_put(writer, " %s\n# TYPE ", family->info->sentence);
    put_name(writer, family);
    hak_put_text(writer, family->info->kind == HAK_COUNTER_SUM ? " counter\n" : " gauge\n");
}

static void put_shard_sample(struct hak_writer *writer, const struct family *family,
                             const struct hak_sheet_shard *shard, uint64_t value)
{
    put_name(writer, family);
    hak_put(writer, "{shard=\"%u\",node=\"%d\"} %lu\n", shard->id - 1, shard->node,
            (unsigned long)value);
}

static void put_of_shards(struct hak_writer *writer, const struct hak_sheet *sheet)
{
    for (unsigned i = 0; i < HAK_FIGURE_COUNT; i++) {
        const struct family family = {"hakmem_", &hak_figure_infos[i]};
        begin(writer, &family);
        for (unsigned shard = 0; shard < sheet->head.shard_count; shard++)
            put_shard_sample(writer, &family, &sheet->shards[shard],
                             sheet->shards[shard].figures[i]);
    }
    for (unsigned i = 0; i < HAK_COUNTER_COUNT; i++) {
        const struct family family = {"hakmem_", &hak_counter_infos[i]};
        begin(writer, &family);
        for (unsigned shard = 0; shard < sheet->head.shard_count; shard++)
            put_shard_sample(writer, &family, &sheet->shards[shard],
                             sheet->shards[shard].counters.value[i]);
    }
}

static void put_of_classes(struct hak_writer *writer, const struct hak_report *report)
{
    const struct hak_sheet_head *head = &report->sheet->head;
    for (unsigned i = 0; i < HAK_CLASS_FIGURE_COUNT; i++) {
        const struct family family = {"hakmem_class_", &hak_class_figure_infos[i]};
        begin(writer, &family);
        for (unsigned id = 1; id < head->class_count; id++) {
            const uint64_t *figures = report->total->classes[id];
            if (!hak_report_has_class(figures))
                continue;
            put_name(writer, &family);
            /* by its number, too: classes of pages have the sizes of others */
            hak_put(writer, "{class=\"%u\",size=\"%u\"} %lu\n", id, head->classes[id].size,
                    (unsigned long)figures[i]);
        }
    }
}

static void put_of_process(struct hak_writer *writer, const struct hak_sheet_head *head)
{
    static const struct hak_counter_info info = {"INFO", "", "What is in force", HAK_COUNTER_GAUGE};
    const struct family facts = {"hakmem_", &info};
    begin(writer, &facts);
    put_name(writer, &facts);
    hak_put_text(writer, "{version=");
    hak_report_put_string(writer, head->title);
    for (unsigned i = 0; i < HAK_SHEET_FACTS; i++) {
        if (head->facts[i].name[0] == '\0')
            continue;
        hak_put(writer, ",%s=", head->facts[i].name);
        hak_report_put_string(writer, head->facts[i].text);
    }
    hak_put_text(writer, "} 1\n");
    for (unsigned i = 0; i < HAK_PROCESS_FIGURE_COUNT; i++) {
        const struct family family = {"hakmem_process_", &hak_process_figure_infos[i]};
        begin(writer, &family);
        put_name(writer, &family);
        hak_put(writer, " %lu\n", (unsigned long)head->figures[i]);
    }
}

void hak_render_prometheus(const struct hak_report *report, struct hak_writer *writer)
{
    put_of_process(writer, &report->sheet->head);
    put_of_shards(writer, report->sheet);
    put_of_classes(writer, report);
    hak_writer_flush(writer);
}
