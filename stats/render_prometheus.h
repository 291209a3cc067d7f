/* SPDX-License-Identifier: MIT */
/* A report in Prometheus' text format 0.0.4. One thread a report. */
#ifndef HAK_STATS_RENDER_PROMETHEUS_H
#define HAK_STATS_RENDER_PROMETHEUS_H

#include "os/print.h"
#include "stats/report.h"

/* Writes size classes only for all shards together. */
void hak_render_prometheus(const struct hak_report *report, struct hak_writer *writer);

#endif
