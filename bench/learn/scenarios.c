/* SPDX-License-Identifier: MIT */
/*
 * The scenarios. To give a MiB back and fault it in again costs, at the default price, as much as
 * to hold it for one to three seconds: each scenario lies clearly on one side of that, or on both.
 *
 * Threads: each function is called by the thread that owns the stage.
 */
#include "bench/learn/learn.h"

/* So that the fast form of all scenarios together takes less than a second. */
static unsigned fewer_in_smoke(const struct stage *stage, unsigned count)
{
    return stage->options->smoke ? (count + 15) / 16 : count;
}

/* Loops of about this many seconds, of which a whole number fills the time. */
static unsigned whole_cycles(const struct stage *stage, double seconds, double cycle_seconds)
{
    unsigned cycles = (unsigned)(seconds / cycle_seconds);
    return cycles == 0 || stage->options->smoke ? 1 : cycles;
}

static void give_all(struct stage *stage, struct object *objects, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        stage_give(stage, &objects[i]);
}

/* ---- reused at once: keeping pays ---- */

enum { CHURN_SLOTS = 64, CHURN_DRAWS = 5 };

static void play_churn(struct stage *stage, double seconds)
{
    const double tick = 0.01;
    struct object slots[CHURN_SLOTS] = {0};
    for (unsigned left = stage_ticks(stage, seconds, tick); left != 0; left--) {
        for (unsigned i = 0; i < CHURN_DRAWS; i++) {
            struct object *slot = &slots[stage_random_below(stage, CHURN_SLOTS)];
            if (slot->memory == NULL)
                *slot = stage_take(stage, stage_random_size(stage, 64 * KIB, 4 * MIB));
            else
                stage_give(stage, slot);
        }
        stage_wait(stage, tick);
    }
    give_all(stage, slots, CHURN_SLOTS);
}

enum { FRAMES = 8 };

static void play_frames(struct stage *stage, double seconds)
{
    const double tick = 1.0 / 60;
    struct object ring[FRAMES] = {0};
    unsigned ticks = stage_ticks(stage, seconds, tick);
    for (unsigned i = 0; i < ticks; i++) {
        struct object *frame = &ring[i % FRAMES];
        stage_give(stage, frame);
        *frame = stage_take(stage, stage_random_size(stage, 3 * MIB, 6 * MIB));
        stage_wait(stage, tick);
    }
    give_all(stage, ring, FRAMES);
}

static void use_in_turn(struct stage *stage, unsigned count, size_t size)
{
    count = fewer_in_smoke(stage, count);
    for (unsigned i = 0; i < count; i++) {
        struct object object = stage_take(stage, size);
        stage_give(stage, &object);
    }
}

/* The ancestor's own loops: take, use, give, a round of them at each tick. */
static const double json_tick = 0.05;
static const double mir_tick = 0.025;
static const double vm_tick = 0.025;
static const double mixed_tick = 0.1;

static void play_json(struct stage *stage, double seconds)
{
    for (unsigned left = stage_ticks(stage, seconds, json_tick); left != 0; left--) {
        use_in_turn(stage, 1000, 64 * KIB);
        stage_wait(stage, json_tick);
    }
}

static void play_mir(struct stage *stage, double seconds)
{
    for (unsigned left = stage_ticks(stage, seconds, mir_tick); left != 0; left--) {
        use_in_turn(stage, 100, 256 * KIB);
        stage_wait(stage, mir_tick);
    }
}

static void play_vm(struct stage *stage, double seconds)
{
    for (unsigned left = stage_ticks(stage, seconds, vm_tick); left != 0; left--) {
        use_in_turn(stage, 10, 2 * MIB);
        stage_wait(stage, vm_tick);
    }
}

static void play_mixed(struct stage *stage, double seconds)
{
    for (unsigned left = stage_ticks(stage, seconds, mixed_tick); left != 0; left--) {
        for (unsigned i = 0; i < 10; i++) {
            use_in_turn(stage, 100, 64 * KIB);
            use_in_turn(stage, 10, 256 * KIB);
            use_in_turn(stage, 1, 2 * MIB);
        }
        stage_wait(stage, mixed_tick);
    }
}

/* ---- reused late or never: giving back pays ---- */

enum { BURST_OBJECTS = 400 };

static void play_bursts(struct stage *stage, double seconds)
{
    const double hold = 0.05;
    const double pause = 0.8;
    struct object burst[BURST_OBJECTS] = {0};
    for (unsigned left = stage_ticks(stage, seconds, hold + pause); left != 0; left--) {
        size_t wanted = stage_random_size(stage, 64 * MIB, 100 * MIB);
        unsigned most = fewer_in_smoke(stage, BURST_OBJECTS);
        unsigned count = 0;
        for (size_t sum = 0; sum < wanted && count < most; count++) {
            burst[count] = stage_take(stage, stage_random_size(stage, 256 * KIB, 2 * MIB));
            sum += burst[count].size;
        }
        stage_wait(stage, hold);
        give_all(stage, burst, count);
        stage_wait(stage, pause);
    }
}

enum { RAMP_OBJECTS = 320, RAMP_STEPS = 40 };

/* Up in a tenth of the time, down in steps in two tenths, then nothing. */
static void ramp_once(struct stage *stage, double seconds)
{
    struct object objects[RAMP_OBJECTS];
    const unsigned count = fewer_in_smoke(stage, RAMP_OBJECTS);
    const unsigned step = RAMP_OBJECTS / RAMP_STEPS;
    for (unsigned i = 0; i < count; i++) {
        objects[i] = stage_take(stage, stage_random_size(stage, 256 * KIB, 768 * KIB));
        if (i % step == step - 1)
            stage_wait(stage, seconds * 0.1 / RAMP_STEPS);
    }
    for (unsigned i = 0; i < count; i++) {
        stage_give(stage, &objects[i]);
        if (i % step == step - 1)
            stage_wait(stage, seconds * 0.2 / RAMP_STEPS);
    }
    stage_wait(stage, seconds * 0.7);
}

static void play_ramp(struct stage *stage, double seconds)
{
    unsigned cycles = whole_cycles(stage, seconds, 6);
    for (unsigned i = 0; i < cycles; i++)
        ramp_once(stage, seconds / cycles);
}

/* ---- some of both ---- */

enum { GUESTS = 4, GUEST_BLOCKS = 12, SCRATCH_BLOCKS = 8 };

/*
 * Blocks of 2 MiB. Guests hold theirs for long; all but one end on the way, for good. Beside them
 * scratch blocks come and go: the size alone does not tell which free block is wanted again.
 */
static void play_blocks(struct stage *stage, double seconds)
{
    const double tick = 0.05;
    struct object guests[GUESTS][GUEST_BLOCKS];
    struct object scratch[SCRATCH_BLOCKS] = {0};
    unsigned ticks = stage_ticks(stage, seconds, tick);
    unsigned blocks = fewer_in_smoke(stage, GUEST_BLOCKS);
    for (unsigned i = 0; i < GUESTS; i++)
        for (unsigned b = 0; b < blocks; b++)
            guests[i][b] = stage_take(stage, 2 * MIB);
    for (unsigned now = 0; now < ticks; now++) {
        for (unsigned i = 1; i < GUESTS; i++)
            if (now == ticks * i / 10)
                give_all(stage, guests[i], blocks);
        struct object *slot = &scratch[stage_random_below(stage, SCRATCH_BLOCKS)];
        stage_give(stage, slot);
        *slot = stage_take(stage, 2 * MIB);
        stage_wait(stage, tick);
    }
    for (unsigned i = 0; i < GUESTS; i++)
        give_all(stage, guests[i], blocks);
    give_all(stage, scratch, SCRATCH_BLOCKS);
}

static void play_phases(struct stage *stage, double seconds)
{
    static const struct {
        const char *name;
        void (*play)(struct stage *stage, double seconds);
    } cast[] = {
        {"churn", play_churn}, {"ramp", play_ramp},     {"mixed", play_mixed},
        {"ramp", play_ramp},   {"frames", play_frames}, {"bursts", play_bursts},
    };
    const unsigned all = sizeof cast / sizeof cast[0];
    double length = stage->options->phase_seconds;
    unsigned phases = stage->options->smoke ? all : (unsigned)(seconds / length + 0.5);
    for (unsigned i = 0; i < phases; i++) {
        uint64_t end_ns = stage->due_ns + (uint64_t)(length * 1e9);
        meter_name_phase(cast[i % all].name);
        cast[i % all].play(stage, length);
        /* Loops of ticks that do not divide the phase end a little before or after it. */
        if (stage->due_ns < end_ns)
            stage_wait(stage, (double)(end_ns - stage->due_ns) / 1e9);
        stage->due_ns = end_ns;
    }
}

/* ---- two threads, each on its own CPU: what one needs is wrong for the other ---- */

enum { RUNS = 16, RUN_DRAWS = 10, BATCH_OBJECTS = 256 };

static void play_runs(struct stage *stage, double seconds)
{
    const double tick = 0.025;
    struct object slots[RUNS] = {0};
    for (unsigned left = stage_ticks(stage, seconds, tick); left != 0; left--) {
        for (unsigned i = 0; i < RUN_DRAWS; i++) {
            struct object *slot = &slots[stage_random_below(stage, RUNS)];
            if (slot->memory == NULL)
                *slot = stage_take(stage, 256 * KIB);
            else
                stage_give(stage, slot);
        }
        stage_wait(stage, tick);
    }
    give_all(stage, slots, RUNS);
}

static void play_batches(struct stage *stage, double seconds)
{
    struct object batch[BATCH_OBJECTS];
    unsigned count = fewer_in_smoke(stage, BATCH_OBJECTS);
    unsigned cycles = whole_cycles(stage, seconds, 6);
    for (unsigned left = cycles; left != 0; left--) {
        for (unsigned i = 0; i < count; i++)
            batch[i] = stage_take(stage, stage_random_size(stage, 256 * KIB, 1 * MIB));
        stage_wait(stage, 0.1);
        give_all(stage, batch, count);
        stage_wait(stage, seconds / cycles - 0.1);
    }
}

/* ---- the list ---- */

const struct scenario scenarios[] = {
    {"churn", play_churn, NULL, 128 * MIB, "64 KiB to 4 MiB in and out of 64 slots"},
    {"bursts", play_bursts, NULL, 104 * MIB, "64 to 100 MiB at once, then a pause of 0.8 s"},
    {"ramp", play_ramp, NULL, 176 * MIB, "up to 160 MiB, down in steps, then nothing"},
    {"frames", play_frames, NULL, 48 * MIB, "a ring of 8 frames of 3 to 6 MiB, 60 a second"},
    {"json", play_json, NULL, 64 * KIB, "1000 documents of 64 KiB, one after another"},
    {"mir", play_mir, NULL, 256 * KIB, "100 buffers of 256 KiB, one after another"},
    {"vm", play_vm, NULL, 2 * MIB, "10 blocks of 2 MiB, one after another"},
    {"mixed", play_mixed, NULL, 4 * MIB, "json, mir and vm in turns"},
    {"blocks", play_blocks, NULL, 112 * MIB, "blocks of 2 MiB, most of them long-lived"},
    {"phases", play_phases, NULL, 176 * MIB, "churn, ramp, mixed, ramp, frames, bursts"},
    {"two_shards", play_runs, play_batches, 176 * MIB, "256 KiB churn; beside it, late reuse"},
    {"trace", trace_play, NULL, 0, "trace:FILE: large calls of a real program, replayed"},
};
const unsigned scenario_count = sizeof scenarios / sizeof scenarios[0];
