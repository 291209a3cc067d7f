/* SPDX-License-Identifier: MIT */
/* learn/knobs.c: the better value is found in simulated shards, a change is followed, too little
 * evidence moves nothing, and costs are made of counters as they should be. */
#include "learn/knobs.h"

#include "tests/lib/prng.h"
#include "tests/lib/tap.h"

enum {
    MINUTE = 600,    /* intervals of a tenth of a second */
    TICK_NS = 100 * 1000 * 1000
};

static int is_near(double found, double right, double within)
{
    double distance = found < right ? right - found : found - right;
    int near = distance <= within; /* never of something that is no number */
    if (!near)
        tap_note("%.12g is not within %g of %.12g", found, within, right);
    return near;
}

/* A shard in which an object costs 2 ns with a knob as it should be and 10 ns otherwise, 20 % more
 * or less; how often the knob was right. */
static unsigned simulate(struct hak_knobs *knobs, struct prng *prng, enum hak_knob knob, int right,
                         unsigned intervals)
{
    unsigned hits = 0;
    for (unsigned i = 0; i < intervals; i++) {
        int is_right = hak_knobs_shift(knobs, knob) == right;
        double noise = (double)(800 + prng_below(prng, 401)) / 1000;
        struct hak_knobs_interval interval = {1000, 64000, 64000 * noise * (is_right ? 2 : 10)};
        hak_knobs_observe(knobs, &interval);
        hits += (unsigned)is_right;
    }
    return hits;
}

static void starts_with_defaults(void)
{
    struct hak_knobs knobs;
    hak_knobs_start(&knobs);
    EXPECT_EQ(hak_knobs_shift(&knobs, HAK_KNOB_CAPACITY), 0);
    EXPECT_EQ(hak_knobs_shift(&knobs, HAK_KNOB_FILL), 0);
    EXPECT_EQ(hak_knob_scale(8, 0), 8);
    EXPECT_EQ(hak_knob_scale(8, -2), 2);
    EXPECT_EQ(hak_knob_scale(8, 3), 64);
    EXPECT_EQ(hak_knob_scale(1, -2), 1);
}

static void finds_the_better_value(void)
{
    static const int capacities[] = {0, -1, 1, -2};
    static const int fills[] = {0, 1, -1, 3};
    for (unsigned seed = 1; seed <= 8; seed++) {
        enum hak_knob knob = seed % 2 == 0 ? HAK_KNOB_CAPACITY : HAK_KNOB_FILL;
        int right = knob == HAK_KNOB_CAPACITY ? capacities[seed / 2 % 4] : fills[seed / 2 % 4];
        struct prng prng = {seed};
        struct hak_knobs knobs;
        hak_knobs_start(&knobs);
        simulate(&knobs, &prng, knob, right, MINUTE);
        unsigned hits = simulate(&knobs, &prng, knob, right, MINUTE);
        if (seed == 1)
            tap_note("right in %u of %u", hits, (unsigned)MINUTE);
        EXPECT_GE(hits, MINUTE * 3 / 4);
        EXPECT_EQ(hak_knobs_best(&knobs, knob), right);
    }
}

/* In half a minute the new value is what holds most of the time. */
static void follows_a_change(void)
{
    for (unsigned seed = 1; seed <= 8; seed++) {
        struct prng prng = {seed};
        struct hak_knobs knobs;
        hak_knobs_start(&knobs);
        simulate(&knobs, &prng, HAK_KNOB_CAPACITY, 1, 5 * MINUTE);
        simulate(&knobs, &prng, HAK_KNOB_CAPACITY, -2, MINUTE / 2);
        unsigned hits = simulate(&knobs, &prng, HAK_KNOB_CAPACITY, -2, MINUTE);
        EXPECT_GE(hits, MINUTE * 3 / 4);
    }
}

/* Nothing is tried where nothing could be seen, and a value out of its turn is the best known. */
static void little_evidence_moves_nothing(void)
{
    struct hak_knobs knobs;
    hak_knobs_start(&knobs);
    const struct hak_knobs_interval few = {HAK_KNOBS_REFILLS_LEAST - 1, 64000, 1e9};
    const struct hak_knobs_interval none = {HAK_KNOBS_REFILLS_LEAST, 0, 1e9};
    for (unsigned i = 0; i < MINUTE; i++) {
        EXPECT_EQ(hak_knobs_observe(&knobs, &few), 0);
        EXPECT_EQ(hak_knobs_observe(&knobs, &none), 0);
    }
    EXPECT_EQ(knobs.intervals, 0);
    EXPECT_EQ(hak_knobs_shift(&knobs, HAK_KNOB_CAPACITY), 0);
    EXPECT_EQ(hak_knobs_shift(&knobs, HAK_KNOB_FILL), 0);
    const struct hak_knobs_interval enough = {HAK_KNOBS_REFILLS_LEAST, 64000, 1e6};
    EXPECT_EQ(hak_knobs_observe(&knobs, &enough), 1);
    EXPECT_EQ(knobs.intervals, 1);
    EXPECT_EQ((hak_knobs_shift(&knobs, HAK_KNOB_CAPACITY) != 0) +
                  (hak_knobs_shift(&knobs, HAK_KNOB_FILL) != 0), 1);
}

/* 6400 objects by 100 fresh slabs, 50 bundles to slabs; 2 MiB for a tenth of a second at 130 us. */
static void costs_by_counters(void)
{
    static struct hak_counters counters;
    struct hak_knobs knobs;
    hak_knobs_start(&knobs);
    hak_count(&counters, HAK_COUNTER_REFILL_SLAB_FRESH, 1000000);
    hak_count(&counters, HAK_COUNTER_REFILL_OBJECTS, 64000000);
    EXPECT_EQ(hak_knobs_are_due(&knobs, 5ul * TICK_NS), 1);
    EXPECT_EQ(hak_knobs_look(&knobs, &counters, 0, 130000, 5ul * TICK_NS), 0); /* no interval */
    EXPECT_EQ(knobs.intervals, 0);
    EXPECT_EQ(hak_knobs_are_due(&knobs, 5ul * TICK_NS + TICK_NS / 2), 0);
    EXPECT_EQ(hak_knobs_are_due(&knobs, 5ul * TICK_NS - 1), 0); /* an older clock */
    hak_count(&counters, HAK_COUNTER_REFILL_SLAB_FRESH, 100);
    hak_count(&counters, HAK_COUNTER_FLUSH_TO_SLABS, 50);
    hak_count(&counters, HAK_COUNTER_REFILL_OBJECTS, 6400);
    EXPECT_EQ(hak_knobs_look(&knobs, &counters, 2 << 20, 130000, 6ul * TICK_NS), 1);
    EXPECT(is_near(knobs.worst, (100 * 2100. + 50 * 380. + 26000) / 6400, 1e-9));
    EXPECT(is_near(knobs.ucb1[HAK_KNOB_FILL].rewards[0], 0, 0)); /* the worst there was */
    EXPECT(is_near(knobs.ucb1[HAK_KNOB_FILL].plays[0], 1, 0));
    EXPECT_EQ(hak_knobs_look(&knobs, &counters, 2 << 20, 130000, 7ul * TICK_NS), 0); /* idle */
    EXPECT_EQ(knobs.intervals, 1);
    /* Half as dear: by its value, which the first interval chose. */
    unsigned value = knobs.value[HAK_KNOB_FILL];
    double before = knobs.worst * 0.995;
    hak_count(&counters, HAK_COUNTER_REFILL_TRANSFER_CACHE, 1000);
    hak_count(&counters, HAK_COUNTER_REFILL_OBJECTS, 1000);
    hak_knobs_look(&knobs, &counters, 0, 130000, 8ul * TICK_NS);
    EXPECT(is_near(knobs.ucb1[HAK_KNOB_FILL].rewards[value], 1 - 10 / before, 1e-9));
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"the defaults are first", starts_with_defaults},
        {"the better value is found", finds_the_better_value},
        {"a change is followed", follows_a_change},
        {"too little evidence moves nothing", little_evidence_moves_nothing},
        {"costs are made of counters", costs_by_counters},
    };
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
