/* SPDX-License-Identifier: MIT */
/* The learner as the options set it: its files and its report. */
#ifndef HAK_API_LEARNING_H
#define HAK_API_LEARNING_H

#include "heap/heap.h"
#include "os/print.h"

/* Makes the heap's settings of the options for learning, reads HAKMEM_LEARN_FILE and begins
 * HAKMEM_LEARN_LOG. Called by the starting thread. */
void hak_learning_start(struct hak_heap *heap);

/* Writes HAKMEM_LEARN_FILE and the rest of the log; prints what the shadow would have done. */
void hak_learning_exit(struct hak_heap *heap);

/* Keeps the child of a fork from writing to its parent's files. */
void hak_learning_after_fork(struct hak_heap *heap);

/* Prints what was learned, and what it was worth, as a table. */
void hak_learning_report(struct hak_heap *heap, struct hak_writer *writer);

#endif
