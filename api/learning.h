/* SPDX-License-Identifier: MIT */
/* The learner as options want it: its files, its report. */
#ifndef HAK_API_LEARNING_H
#define HAK_API_LEARNING_H

#include "heap/heap.h"
#include "os/print.h"

/* Makes the heap's policy what the options say of learning, reads HAKMEM_LEARN_FILE, begins
 * HAKMEM_LEARN_LOG. By the starting thread. */
void hak_learning_start(struct hak_heap *heap);

/* Writes what was learned, and what waits for the log; tells what the shadow would have done. */
void hak_learning_exit(struct hak_heap *heap);

/* The child of a fork writes into its parent's files no more. */
void hak_learning_after_fork(struct hak_heap *heap);

/* What was learned, and what it was worth, as a table. */
void hak_learning_report(struct hak_heap *heap, struct hak_writer *writer);

#endif
