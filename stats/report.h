/* SPDX-License-Identifier: MIT */
/* Report of what the shards did: one walk over plain data, rendered by a voice (text or JSON), so
 * the two cannot differ. It does not know shards: the caller fills in the structures. One thread a
 * report; allocates nothing. */
#ifndef HAK_STATS_REPORT_H
#define HAK_STATS_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "os/print.h"
#include "stats/snapshot.h"

/* A fact about the whole heap: mode, front, topology, page size ... */
struct hak_report_fact {
    const char *name; /* a lower-case word, the key in JSON */
    const char *text; /* NULL: left out */
};

struct hak_report_shard {
    unsigned id;
    int node;            /* the kernel's id, -1 where it has none */
    const char *cpus;    /* as the kernel writes lists: "0-3,8"; NULL: not told */
    uint64_t bytes_held; /* address space from the kernel, now */
    struct hak_snapshot counters;
};

struct hak_report {
    const char *title; /* name and version */
    const struct hak_report_fact *facts;
    size_t fact_count;
    const struct hak_report_shard *shards;
    size_t shard_count;
};

/* How a report is rendered. `rank` counts from 0 among neighbours of the same kind (for commas).
 * The total comes first, as a block whose shard has the id HAK_REPORT_TOTAL. */
enum {
    HAK_REPORT_TOTAL = 0xffffffff
};

struct hak_report_voice {
    void (*begin)(struct hak_writer *writer, const char *title);
    void (*fact)(struct hak_writer *writer, size_t rank, const struct hak_report_fact *fact);
    void (*begin_block)(struct hak_writer *writer, size_t rank,
                        const struct hak_report_shard *shard);
    void (*counter)(struct hak_writer *writer, size_t rank, const struct hak_counter_info *info,
                    uint64_t value);
    void (*end_block)(struct hak_writer *writer, const struct hak_report_shard *shard);
    void (*end)(struct hak_writer *writer);
};

extern const struct hak_report_voice hak_report_text; /* for people: counters of 0 are left out */
extern const struct hak_report_voice hak_report_json; /* one object on one line, all counters */

enum {
    HAK_REPORT_DERIVED = 2    /* figures after a block's counters, derived from them */
};

/* Writes the report, and flushes the writer. */
void hak_report_write(const struct hak_report *report, const struct hak_report_voice *voice,
                      struct hak_writer *writer);

/* Writes a counter's name in lower case. */
void hak_report_put_name(struct hak_writer *writer, const char *name);

#endif
