/* SPDX-License-Identifier: MIT */
/* A report for people. One thread a report. */
#ifndef HAK_STATS_RENDER_TEXT_H
#define HAK_STATS_RENDER_TEXT_H

#include "os/print.h"
#include "stats/report.h"

/* Omits zeroes, and size classes of single shards. Flushes the writer, as the others do. */
void hak_render_text(const struct hak_report *report, struct hak_writer *writer);

#endif
