/* SPDX-License-Identifier: MIT */
/* The knobs of a shard: numbers of its slow paths with a few values each, among which UCB1 chooses
 * (ucb1.h) where HAKMEM_TUNE asks for it:
 *
 *     capacity   of its transfer cache, for all classes      default x 1, 1/2, 2, 1/4
 *     fill       what a refill cuts out of slabs (P1)        default x 1, 2, 1/2, 8
 *
 * A value is a binary shift of the default, so all zero is a shard that is as it was built. The
 * first value is the default: what holds while nothing is known.
 *
 * Time is cut into intervals, by whoever ticks. What an interval cost is made of the counters that
 * there are and of what lies in the transfer cache, and divided by the objects that refills handed
 * out; its reward is 1 less that by the greatest of late. One knob after the other is tried, an
 * interval each, while the others stand at the best they know; all values that were in force get
 * the reward. No value changes within an interval, and none after one that shows too little.
 *
 * docs/decisions/010-knobs.md says what it gains. One thread at a time writes and reads it. */
#ifndef HAK_LEARN_KNOBS_H
#define HAK_LEARN_KNOBS_H

#include <stddef.h>
#include <stdint.h>

#include "learn/ucb1.h"
#include "stats/counters.h"

enum hak_knob {
    HAK_KNOB_CAPACITY,
    HAK_KNOB_FILL,
    HAK_KNOB_COUNT
};

enum {
    HAK_KNOB_VALUES = 4,
    HAK_KNOBS_REFILLS_LEAST = 64,    /* in an interval that shows anything */
};

struct hak_knobs {
    struct hak_ucb1 ucb1[HAK_KNOB_COUNT];    /* its arms are the values */
    uint8_t value[HAK_KNOB_COUNT];           /* in force */
    uint8_t turn;                            /* whose value is being tried */
    uint8_t is_started;
    double worst;                            /* the greatest cost of an object, of late */
    uint64_t since_ns;                       /* when the interval began, */
    uint64_t seen[HAK_COUNTER_COUNT];        /* and what was counted then */
    uint32_t intervals;                      /* that counted */
};

/* What is known of an interval. */
struct hak_knobs_interval {
    uint64_t refills;
    uint64_t objects;    /* that they handed out */
    double cost_ns;      /* of all of it */
};

/* Nothing is known, the defaults are in force. */
void hak_knobs_start(struct hak_knobs *knobs);

/* The interval in force showed this. 1: a value has changed. */
int hak_knobs_observe(struct hak_knobs *knobs, const struct hak_knobs_interval *interval);

/* Whether it is time to look: hardly more often than a tick of one front comes. */
static inline int hak_knobs_are_due(const struct hak_knobs *knobs, uint64_t now_ns)
{
    return (int64_t)(now_ns - knobs->since_ns) >= 95l * 1000 * 1000;
}

/* An interval ends now, with so many bytes in the transfer cache, of which a MiB is worth price_ns
 * a second. 1: a value has changed. */
int hak_knobs_look(struct hak_knobs *knobs, const struct hak_counters *counters, size_t cached,
                   uint64_t price_ns, uint64_t now_ns);

/* The shift in force. */
int hak_knobs_shift(const struct hak_knobs *knobs, enum hak_knob knob);

/* The shift that did best so far. */
int hak_knobs_best(const struct hak_knobs *knobs, enum hak_knob knob);

/* A default by a shift; at least 1. */
static inline unsigned hak_knob_scale(unsigned standard, int shift)
{
    unsigned scaled = shift < 0 ? standard >> -shift : standard << shift;
    return scaled != 0 ? scaled : 1;
}

#endif
