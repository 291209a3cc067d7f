/* SPDX-License-Identifier: MIT */
/* A report for programs: one JSON object on one line. One thread a report. docs/stats.schema.json
 * has the form, docs/statistics.md the meaning. */
#include "stats/render_json.h"

static const char *const traffic_names[HAK_TRAFFIC_KINDS] = {"posted", "adopted", "stolen"};

static void put_key(struct hak_writer *writer, unsigned rank, const char *name)
{
    hak_put_text(writer, rank == 0 ? "\"" : ",\"");
    hak_report_put_name(writer, name);
    hak_put_text(writer, "\":");
}

static void put_numbers(struct hak_writer *writer, const struct hak_counter_info *infos,
                        const uint64_t *values, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        put_key(writer, i, infos[i].name);
        hak_put(writer, "%lu", (unsigned long)values[i]);
    }
}

static void put_classes(struct hak_writer *writer, const struct hak_sheet_head *head,
                        const struct hak_sheet_shard *shard)
{
    const char *comma = "";
    hak_put_text(writer, ",\"classes\":[");
    for (unsigned id = 1; id < head->class_count; id++) {
        if (!hak_report_has_class(shard->classes[id]))
            continue;
        hak_put(writer, "%s{\"class\":%u,\"size\":%u,", comma, id, head->classes[id].size);
        put_numbers(writer, hak_class_figure_infos, shard->classes[id], HAK_CLASS_FIGURE_COUNT);
        hak_put_text(writer, "}");
        comma = ",";
    }
    hak_put_text(writer, "]");
}

static void put_block(struct hak_writer *writer, const struct hak_sheet_head *head,
                      const struct hak_sheet_shard *shard)
{
    hak_put(writer, "\"bytes_held\":%lu,\"figures\":{",
            (unsigned long)shard->figures[HAK_FIGURE_MAPPED]);
    put_numbers(writer, hak_figure_infos, shard->figures, HAK_FIGURE_COUNT);
    hak_put_text(writer, "},\"counters\":{");
    put_numbers(writer, hak_counter_infos, shard->counters.value, HAK_COUNTER_COUNT);
    for (unsigned i = 0; i < HAK_REPORT_DERIVED; i++) {
        put_key(writer, 1, hak_report_derived[i].name);
        hak_put(writer, "%lu", (unsigned long)hak_report_derive(&shard->counters, i));
    }
    hak_put_text(writer, "}");
    put_classes(writer, head, shard);
}

static void put_traffic(struct hak_writer *writer, const struct hak_traffic *traffic)
{
    const char *comma = "";
    hak_put_text(writer, ",\"traffic\":[");
    for (unsigned i = 0; i <= HAK_TRAFFIC_PEERS; i++) {
        const struct hak_traffic_peer *peer = &traffic->peers[i];
        if (peer->id == 0 && i < HAK_TRAFFIC_PEERS)
            continue;
        if (peer->objects[0] + peer->objects[1] + peer->objects[2] == 0)
            continue;
        /* -1: all others */
        hak_put(writer, "%s{\"shard\":%d", comma, (int)peer->id - 1);
        for (unsigned kind = 0; kind < HAK_TRAFFIC_KINDS; kind++)
            hak_put(writer, ",\"%s\":%lu", traffic_names[kind], (unsigned long)peer->objects[kind]);
        hak_put_text(writer, "}");
        comma = ",";
    }
    hak_put_text(writer, "]");
}

static void put_learner(struct hak_writer *writer, const struct hak_sheet_head *head,
                        const struct hak_sheet_shard *shard)
{
    const char *comma = "";
    hak_put_text(writer, ",\"learner\":[");
    for (unsigned i = 0; i < head->key_count; i++) {
        const struct hak_sheet_key *key = &shard->keys[i];
        if (key->matches == 0)
            continue;
        hak_put(writer, "%s{\"key\":", comma);
        hak_report_put_string(writer, head->keys[i]);
        hak_put_text(writer, ",\"arm\":");
        hak_report_put_string(writer, key->arm < head->arm_count ? head->arms[key->arm] : "");
        hak_put_text(writer, ",\"state\":");
        hak_report_put_string(writer,
                              key->state < head->state_count ? head->states[key->state] : "");
        hak_put(writer, ",\"matches\":%lu,\"switches\":%lu,\"bytes\":%lu}",
                (unsigned long)key->matches, (unsigned long)key->switches,
                (unsigned long)key->bytes);
        comma = ",";
    }
    hak_put_text(writer, "]");
}

static void put_shard(struct hak_writer *writer, const struct hak_sheet_head *head,
                      const struct hak_sheet_shard *shard)
{
    hak_put(writer, "{\"id\":%u,\"node\":%d,\"retired\":%s,", shard->id - 1, shard->node,
            shard->is_in_force ? "false" : "true");
    if (shard->cpus[0] != '\0') {
        hak_put_text(writer, "\"cpus\":");
        hak_report_put_string(writer, shard->cpus);
        hak_put_text(writer, ",");
    }
    put_block(writer, head, shard);
    put_traffic(writer, &shard->traffic);
    put_learner(writer, head, shard);
    hak_put_text(writer, "}");
}

static void put_head(struct hak_writer *writer, const struct hak_sheet_head *head)
{
    const char *comma = "";
    hak_put_text(writer, "{\"format\":1,\"title\":");
    hak_report_put_string(writer, head->title);
    hak_put(writer, ",\"pid\":%lu,\"collected_ns\":%lu,\"facts\":{", (unsigned long)head->pid,
            (unsigned long)head->collected_ns);
    for (unsigned i = 0; i < HAK_SHEET_FACTS; i++) {
        if (head->facts[i].name[0] == '\0')
            continue;
        hak_put_text(writer, comma);
        hak_report_put_string(writer, head->facts[i].name);
        hak_put_text(writer, ":");
        hak_report_put_string(writer, head->facts[i].text);
        comma = ",";
    }
    hak_put_text(writer, "},\"process\":{");
    put_numbers(writer, hak_process_figure_infos, head->figures, HAK_PROCESS_FIGURE_COUNT);
    hak_put_text(writer, "}");
}

void hak_render_json_open(const struct hak_report *report, struct hak_writer *writer)
{
    const struct hak_sheet_head *head = &report->sheet->head;
    put_head(writer, head);
    hak_put_text(writer, ",\"total\":{");
    put_block(writer, head, report->total);
    hak_put_text(writer, "},\"shards\":[");
    for (unsigned i = 0; i < head->shard_count; i++) {
        hak_put_text(writer, i == 0 ? "" : ",");
        put_shard(writer, head, &report->sheet->shards[i]);
    }
    hak_put_text(writer, "]");
}

void hak_render_json(const struct hak_report *report, struct hak_writer *writer)
{
    hak_render_json_open(report, writer);
    hak_put_text(writer, "}\n");
    hak_writer_flush(writer);
}
