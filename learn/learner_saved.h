/* SPDX-License-Identifier: MIT */
/* What was learned, as text for the next run of the program: a line for each shard and size bucket,
 *
 *     hakmem-learned 2
 *     SHARD SIZE ARM RATING RATING RATING      as in 3 256K keep 1540 1485 1475
 *     SHARD retain BYTES
 *
 * and shard 0 stands for the whales. Parsed once, by the starting thread; constant thereafter. */
#ifndef HAK_LEARN_LEARNER_SAVED_H
#define HAK_LEARN_LEARNER_SAVED_H

#include <stddef.h>
#include <stdint.h>

#include "learn/settings.h"
#include "os/print.h"

struct hak_learner;

enum {
    HAK_LEARN_SAVED_SHARDS = 64, /* shards beyond share what was learned by those before them */
};

struct hak_learn_saved {
    struct {
        size_t retain_bytes;
        struct {
            uint8_t arm; /* enum hak_arm + 1; 0: nothing known */
            int32_t ratings[HAK_ARM_COUNT];
        } buckets[HAK_LEARN_BUCKETS];
    } shards[HAK_LEARN_SAVED_SHARDS + 1];
};

/* Reads the text (ended by NUL). 0, or the number of the first line that was not understood: what
 * stood before it is taken. */
unsigned hak_learn_parse(struct hak_learn_saved *saved, const char *text);

/* A learner begins with what was learned by the one of its id. */
void hak_learn_recall(const struct hak_learn_saved *saved, struct hak_learner *learner);

/* The line that the text begins with, and the lines of one learner. */
void hak_learn_write_first(struct hak_writer *writer);
void hak_learn_write(struct hak_writer *writer, const struct hak_learner *learner);

#endif
