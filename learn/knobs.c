/* SPDX-License-Identifier: MIT */
/* Which values of a shard's knobs are in force. One thread at a time. */
#include "learn/knobs.h"

#include "os/compiler.h"

/* The first is the default. */
static const int8_t shifts[HAK_KNOB_COUNT][HAK_KNOB_VALUES] = {
    [HAK_KNOB_CAPACITY] = {0, -1, 1, -2},
    [HAK_KNOB_FILL] = {0, 1, -1, 3},
};

/* What each event costs, in ns of CPU time: measured for objects of 64 bytes, where cutting a chain
 * or taking it apart is work and not waiting for the lines of objects, which the program would wait
 * for as well (docs/decisions/010-knobs.md). */
static const struct {
    enum hak_counter counter;
    unsigned ns;
    int is_refill;
} events[] = {
    {HAK_COUNTER_REFILL_TRANSFER_CACHE, 10, 1},
    {HAK_COUNTER_REFILL_INBOX, 100, 1},
    {HAK_COUNTER_REFILL_SLAB_PARTIAL, 130, 1},
    {HAK_COUNTER_REFILL_STOLEN_L3, 130, 1},
    {HAK_COUNTER_REFILL_STOLEN_NODE, 130, 1},
    {HAK_COUNTER_REFILL_SLAB_FRESH, 2100, 1},
    {HAK_COUNTER_REFILL_OTHER_NODE, 2100, 1},
    {HAK_COUNTER_FLUSH_BUNDLES, 10, 0},
    {HAK_COUNTER_FLUSH_TO_SLABS, 380, 0},
};

static const double memory = 0.995;    /* of an interval, left after the next: some 20 s */
static const double bytes_of_mib = 1024 * 1024;
static const double ns_of_second = 1e9;

void hak_knobs_start(struct hak_knobs *knobs)
{
    *knobs = (struct hak_knobs){.worst = 0};
    for (unsigned knob = 0; knob < HAK_KNOB_COUNT; knob++)
        hak_ucb1_start(&knobs->ucb1[knob], HAK_KNOB_VALUES);
}

int hak_knobs_shift(const struct hak_knobs *knobs, enum hak_knob knob)
{
    return shifts[knob][knobs->value[knob]];
}

int hak_knobs_best(const struct hak_knobs *knobs, enum hak_knob knob)
{
    return shifts[knob][hak_ucb1_best(&knobs->ucb1[knob])];
}

/* The next knob tries a value, the others stand at their best. */
static int choose(struct hak_knobs *knobs)
{
    int changed = 0;
    knobs->turn = (uint8_t)((knobs->turn + 1u) % HAK_KNOB_COUNT);
    for (unsigned knob = 0; knob < HAK_KNOB_COUNT; knob++) {
        const struct hak_ucb1 *ucb1 = &knobs->ucb1[knob];
        unsigned value = knob == knobs->turn ? hak_ucb1_choose(ucb1) : hak_ucb1_best(ucb1);
        changed |= value != knobs->value[knob];
        knobs->value[knob] = (uint8_t)value;
    }
    return changed;
}

int hak_knobs_observe(struct hak_knobs *knobs, const struct hak_knobs_interval *interval)
{
    if (interval->refills < HAK_KNOBS_REFILLS_LEAST || interval->objects == 0)
        return 0;
    double cost = interval->cost_ns / (double)interval->objects;
    knobs->worst *= memory;
    knobs->worst = cost > knobs->worst ? cost : knobs->worst;
    double reward = knobs->worst > 0 ? 1 - cost / knobs->worst : 0;
    for (unsigned knob = 0; knob < HAK_KNOB_COUNT; knob++)
        hak_ucb1_reward(&knobs->ucb1[knob], knobs->value[knob], reward, memory);
    knobs->intervals++;
    return choose(knobs);
}

/* What was counted since the last time. */
static uint64_t advance(struct hak_knobs *knobs, const struct hak_counters *counters,
                        enum hak_counter counter)
{
    uint64_t now = hak_counter_read(counters, counter);
    uint64_t since = now - knobs->seen[counter];
    knobs->seen[counter] = now;
    return since;
}

int hak_knobs_look(struct hak_knobs *knobs, const struct hak_counters *counters, size_t cached,
                   uint64_t price_ns, uint64_t now_ns)
{
    struct hak_knobs_interval interval = {0};
    double seconds = (double)(now_ns - knobs->since_ns) / ns_of_second;
    interval.objects = advance(knobs, counters, HAK_COUNTER_REFILL_OBJECTS);
    interval.cost_ns = (double)price_ns * seconds * (double)cached / bytes_of_mib;
    for (unsigned row = 0; row < HAK_ARRAY_LENGTH(events); row++) {
        uint64_t count = advance(knobs, counters, events[row].counter);
        interval.cost_ns += (double)(count * events[row].ns);
        interval.refills += events[row].is_refill ? count : 0;
    }
    knobs->since_ns = now_ns;
    /* What came before the first look is no interval. */
    if (!knobs->is_started) {
        knobs->is_started = 1;
        return 0;
    }
    return hak_knobs_observe(knobs, &interval);
}
