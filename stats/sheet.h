/* SPDX-License-Identifier: MIT */
/* A sheet: all figures of a process at about one moment, as plain data without a pointer.
 * heap/collect.c fills it in, report.h prints it, and published.h puts it into shared memory as it
 * is. One thread at a time writes a sheet.
 *
 *     | head: who, facts, classes, names, figures of the process | shard 1 | shard 2 | ... |
 *
 * Head and shards each carry a sequence, odd while they are being written, for readers of other
 * processes. Every number is one that its counter had at some moment, but not all at the same
 * moment. */
#ifndef HAK_STATS_SHEET_H
#define HAK_STATS_SHEET_H

#include <stddef.h>
#include <stdint.h>

#include "stats/counters.h"
#include "stats/snapshot.h"
#include "stats/traffic.h"

/* The enums are made from stats/figures.def. */
enum hak_figure {
#define FIGURE(name, unit, kind, sentence) HAK_FIGURE_##name,
#include "stats/figures.def"
    HAK_FIGURE_COUNT
};

enum hak_class_figure {
#define CLASS_FIGURE(name, unit, kind, sentence) HAK_CLASS_FIGURE_##name,
#include "stats/figures.def"
    HAK_CLASS_FIGURE_COUNT
};

enum hak_process_figure {
#define PROCESS_FIGURE(name, unit, kind, sentence) HAK_PROCESS_FIGURE_##name,
#include "stats/figures.def"
    HAK_PROCESS_FIGURE_COUNT
};

extern const struct hak_counter_info hak_figure_infos[HAK_FIGURE_COUNT];
extern const struct hak_counter_info hak_class_figure_infos[HAK_CLASS_FIGURE_COUNT];
extern const struct hak_counter_info hak_process_figure_infos[HAK_PROCESS_FIGURE_COUNT];

enum {
    HAK_SHEET_CLASSES = 80, /* size classes, including class 0 */
    HAK_SHEET_KEYS = 12,    /* of a learner: size buckets */
    HAK_SHEET_ARMS = 6,
    HAK_SHEET_STATES = 4,
    HAK_SHEET_NAME = 16, /* bytes of a name with its NUL, as below */
    HAK_SHEET_TEXT = 96,
    HAK_SHEET_FACTS = 10,
    HAK_SHEET_CPUS = 128,
    HAK_SHEET_SHARDS = 1 << 16, /* no process has more */
};

/* What a learner does with freed memory of one size, in all lanes of a shard. */
struct hak_sheet_key {
    uint64_t matches;
    uint64_t switches;
    uint64_t bytes; /* freed so far */
    uint32_t arm;   /* in force at the first lane that has one: an index of arms */
    uint32_t state; /* likewise of states */
};

struct hak_sheet_shard {
    uint64_t sequence;
    uint32_t id;          /* from 1 on */
    int32_t node;         /* the kernel's id, -1 where it has none */
    uint32_t is_in_force; /* 0: retired */
    uint32_t reserved;
    char cpus[HAK_SHEET_CPUS]; /* "0-3,8"; empty: not told */
    uint64_t figures[HAK_FIGURE_COUNT];
    struct hak_snapshot counters;
    uint64_t classes[HAK_SHEET_CLASSES][HAK_CLASS_FIGURE_COUNT];
    struct hak_traffic traffic;
    struct hak_sheet_key keys[HAK_SHEET_KEYS];
};

struct hak_sheet_class {
    uint32_t size;     /* bytes of an object */
    uint32_t bundle;   /* objects in a bundle */
    uint32_t capacity; /* objects in a slab */
    uint32_t slab_bytes;
};

/* A fact about the whole heap: mode, front, binding ... */
struct hak_sheet_fact {
    char name[HAK_SHEET_NAME]; /* a lower-case word, the key in JSON; empty: none */
    char text[HAK_SHEET_TEXT];
};

struct hak_sheet_head {
    uint64_t sequence;
    uint64_t pid;          /* in the process's own namespace */
    uint64_t rounds;       /* how often the sheet was filled in */
    uint64_t collected_ns; /* CLOCK_MONOTONIC at the last time */
    uint32_t shard_count;  /* ids 1 .. shard_count */
    uint32_t class_count;  /* ids 1 .. class_count - 1 */
    uint32_t key_count;
    uint32_t arm_count;
    uint32_t state_count;
    uint32_t reserved;
    char title[HAK_SHEET_TEXT]; /* name and version */
    struct hak_sheet_fact facts[HAK_SHEET_FACTS];
    struct hak_sheet_class classes[HAK_SHEET_CLASSES];
    char keys[HAK_SHEET_KEYS][HAK_SHEET_NAME];
    char arms[HAK_SHEET_ARMS][HAK_SHEET_NAME];
    char states[HAK_SHEET_STATES][HAK_SHEET_NAME];
    uint64_t figures[HAK_PROCESS_FIGURE_COUNT];
};

struct hak_sheet {
    struct hak_sheet_head head;
    struct hak_sheet_shard shards[];
};

/* Bytes of a sheet for this many shards. */
static inline size_t hak_sheet_size(size_t shards)
{
    return sizeof(struct hak_sheet) + shards * sizeof(struct hak_sheet_shard);
}

/* Copies a text into a field of the sheet and cuts it if it is too long; the rest of the field
 * becomes zero. */
void hak_sheet_put_text(char *field, size_t size, const char *text);

/* Enters a fact in the next free place; value NULL: none. */
void hak_sheet_put_fact(struct hak_sheet_head *head, const char *name, const char *text);

/* Before and after writing to the head or a shard, whose sequence this is. */
void hak_sheet_begin(uint64_t *sequence);
void hak_sheet_end(uint64_t *sequence);

/* Fills in the figures of a shard that follow from others: live objects were taken, and are free
 * nowhere else. `head` has the classes. */
void hak_sheet_derive(const struct hak_sheet_head *head, struct hak_sheet_shard *shard);

/* The sum over the sheet's shards, with id 0. If one shard's caches hold another's objects, single
 * shards count too few live objects here and too many there; the sum is right. */
void hak_sheet_total(const struct hak_sheet *sheet, struct hak_sheet_shard *total);

/* Fills in the figures of the process that follow from the total. */
void hak_sheet_derive_process(struct hak_sheet_head *head, const struct hak_sheet_shard *total);

#endif
