/* SPDX-License-Identifier: MIT */
/*
 * What the scenarios of learn_work share: objects that are touched and counted, ticks at absolute
 * times, and the meter that weighs memory against time.
 *
 * A scenario does a fixed amount of work at each tick, so that all allocators do the same in the
 * same time and what they cost can be compared: CPU time, and memory held but not in use.
 */
#ifndef HAK_BENCH_LEARN_H
#define HAK_BENCH_LEARN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/lib/bench.h"

enum {
    KIB = 1 << 10,
    MIB = 1 << 20,
    PAGE = 4096,
    SMOKE_TICKS = 4, /* of each loop of ticks, in the fast form */
};

struct learn_options {
    const char *scenario; /* NULL: all of them, which only --smoke allows */
    double seconds;       /* length of the schedule */
    double phase_seconds; /* phases: time between two changes */
    double speed;         /* trace: how many times faster than recorded */
    double gap_seconds;   /* trace: no pause is longer, after that */
    double price_ns;      /* of a MiB held for a second */
    uint64_t window_ns;   /* the meter's lines; 0: none */
    uint64_t seed;
    bool no_alloc; /* the same touches on memory that is there already */
    bool smoke;    /* few ticks, no waiting, contents checked */
};

struct base;

/* A thread that plays scenarios. Its own, but for the options. */
struct stage {
    const struct learn_options *options;
    const char *path;  /* trace: what stands behind the colon */
    struct base *base; /* where objects come from with --no-alloc, else NULL */
    uint64_t due_ns;   /* when the present tick was to begin */
    uint64_t random;   /* state of bench_random() */
    uint64_t ops;      /* objects taken and given */
    uint64_t late;     /* ticks that began after they were due */
    uint64_t faults;   /* objects whose contents were wrong */
};

struct object {
    void *memory; /* NULL: none */
    size_t size;
};

/* ---- stage.c ---- */

void stage_open(struct stage *stage, const struct learn_options *options, unsigned index);

/* Prepares the memory of --no-alloc: most is what a thread of the scenario holds at once. */
void stage_reserve(struct stage *stage, size_t most);

/* Takes an object and writes to each of its pages. */
struct object stage_take(struct stage *stage, size_t size);

/* Reallocates, as C does, and writes to each page. */
void stage_resize(struct stage *stage, struct object *object, size_t size);

/* Checks an object, in smoke mode, and gives it back. Nothing, if there is none. */
void stage_give(struct stage *stage, struct object *object);

size_t stage_random_size(struct stage *stage, size_t min, size_t max);
size_t stage_random_below(struct stage *stage, size_t bound);

/* How many ticks of this length there are; few in smoke mode. */
unsigned stage_ticks(const struct stage *stage, double seconds, double tick_seconds);

/* The tick is over: sleeps until the next is due. In smoke mode returns at once. */
void stage_wait(struct stage *stage, double tick_seconds);

/* ---- meter.c ---- */

struct reading {
    uint64_t cpu_ns;   /* of the process, without the meter's thread */
    uint64_t meter_ns; /* of that thread */
    uint64_t wall_ns;
    uint64_t minor_faults;
    double retained; /* MiB x seconds: resident, less live, less what was there before */
};

/* Bytes of objects that were touched: the program's own count, which the meter subtracts. */
extern uint64_t meter_live;

static inline void meter_add_live(size_t bytes)
{
    /* relaxed, here and below: a sum that is sampled; nothing hangs on its order */
    __atomic_fetch_add(&meter_live, bytes, __ATOMIC_RELAXED);
}

static inline void meter_drop_live(size_t bytes)
{
    __atomic_fetch_sub(&meter_live, bytes, __ATOMIC_RELAXED);
}

/* Names what goes on, for the lines of windows; a string that lives on. */
void meter_name_phase(const char *name);

void meter_start(const struct learn_options *options);
void meter_stop(struct reading *reading);

/* One line for each window; the main thread, after meter_stop(). */
void meter_print_windows(const struct learn_options *options);

/* ---- trace.c ---- */

/* Reads the trace before the clock starts; returns the most that it holds at once. */
size_t trace_load(const char *path);
void trace_play(struct stage *stage, double seconds);

/* ---- scenarios.c ---- */

struct scenario {
    const char *name;
    void (*play)(struct stage *stage, double seconds);   /* lasts that long by schedule */
    void (*beside)(struct stage *stage, double seconds); /* on a second thread, or NULL */
    size_t most;                                         /* bytes that one thread holds at once */
    const char *meaning;
};

extern const struct scenario scenarios[];
extern const unsigned scenario_count;

#endif
