/* SPDX-License-Identifier: MIT */
/* A report as JSON: docs/stats.schema.json. One thread a report. */
#ifndef HAK_STATS_RENDER_JSON_H
#define HAK_STATS_RENDER_JSON_H

#include "os/print.h"
#include "stats/report.h"

/* One object on one line, with every counter. */
void hak_render_json(const struct hak_report *report, struct hak_writer *writer);

/* The same without the closing brace, and not flushed: the caller appends more members. */
void hak_render_json_open(const struct hak_report *report, struct hak_writer *writer);

#endif
