/* SPDX-License-Identifier: MIT */
/* Collecting: fills in a sheet (stats/sheet.h) with the figures of a heap, a portion at a time.
 * Nobody is stopped for it. A round reads threads' fronts, CPUs' fronts, shards, and last the heap
 * as a whole, each once.
 *
 * By one thread at a time, inside a section. It takes the lock of the list of fronts, and those of
 * large caches and whales, each for a few loads. Shards that are made meanwhile come in the next
 * round. */
#ifndef HAK_HEAP_COLLECT_H
#define HAK_HEAP_COLLECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "front/fronts.h"
#include "heap/heap.h"
#include "stats/sheet.h"

enum hak_collect_phase {
    HAK_COLLECT_THREADS,
    HAK_COLLECT_CPUS,
    HAK_COLLECT_SHARDS,
    HAK_COLLECT_HEAP,
};

/* How much of a phase one step does. */
struct hak_collect_portion {
    unsigned threads; /* fronts, of all in a round: the others are counted as unseen */
    unsigned cpus;    /* fronts */
    unsigned shards;
};

extern const struct hak_collect_portion hak_collect_all;
extern const struct hak_collect_portion hak_collect_some; /* some 100 us */

struct hak_collect {
    struct hak_sheet *sheet;
    unsigned room; /* shards that the sheet has room for */
    enum hak_collect_phase phase;
    unsigned next;   /* CPU or shard id, the phase's next */
    unsigned shards; /* in this round */
    struct hak_front_rows rows;
    size_t in_thread_fronts;
    size_t in_cpu_fronts;
};

/* Bytes of the rows for this many shards, in which the objects of fronts are counted. */
size_t hak_collect_rows_size(unsigned shards);

/* For a sheet of zeroes with room for this many shards; rows: zero memory of hak_collect_rows_size.
 * Enters the constant parts: classes, names. */
void hak_collect_start(struct hak_collect *collect, struct hak_sheet *sheet, uint32_t *rows,
                       unsigned room);

/* Goes on with the round, by one portion. true: the round is over, and the head is complete but for
 * what only the caller knows; the next step begins another round. */
bool hak_collect_step(struct hak_heap *heap, struct hak_collect *collect,
                      const struct hak_collect_portion *portion);

#endif
