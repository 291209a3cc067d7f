/* SPDX-License-Identifier: MIT */
/* Reports: a sheet (sheet.h), written for people (render_text.h), as JSON (render_json.h), or as
 * Prometheus reads it (render_prometheus.h). All three walk the same tables, so they have the same
 * figures. Shards are numbered from 0. One thread a report; allocates nothing. This header has what
 * the three share. */
#ifndef HAK_STATS_REPORT_H
#define HAK_STATS_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "os/print.h"
#include "stats/sheet.h"

struct hak_report {
    const struct hak_sheet *sheet;
    const struct hak_sheet_shard *total; /* of its shards: hak_sheet_total */
};

enum {
    HAK_REPORT_DERIVED = 2 /* figures that follow from a block's counters */
};

extern const struct hak_counter_info hak_report_derived[HAK_REPORT_DERIVED];

uint64_t hak_report_derive(const struct hak_snapshot *counters, unsigned derived);

/* Whether there is anything to report of a size class. */
int hak_report_has_class(const uint64_t *figures);

/* Writes a counter's name in lower case. */
void hak_report_put_name(struct hak_writer *writer, const char *name);

/* Writes a text between quotation marks, as JSON wants it; Prometheus' labels are the same. */
void hak_report_put_string(struct hak_writer *writer, const char *text);

#endif
