/* SPDX-License-Identifier: MIT */
/*
 * Objects and ticks.
 *
 * With --no-alloc a thread's objects come from a piece of memory that is resident already, by the
 * cheapest means that still reuses what was given last: that is what the scenario costs without an
 * allocator.
 *
 * Threads: a stage belongs to one thread.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "bench/learn/learn.h"

enum {
    STEP = 64 * KIB, /* --no-alloc: sizes are rounded up to this */
    CLASSES = 128,   /* so objects up to 8 MiB are reused, larger ones never */
    DEPTH = 1024,    /* objects of a class that are remembered */
};

struct base {
    unsigned char *memory;
    size_t size;
    size_t used; /* taken for the first time up to here; starts again at the end */
    unsigned count[CLASSES];
    void *given[CLASSES][DEPTH];
};

void stage_open(struct stage *stage, const struct learn_options *options, unsigned index)
{
    memset(stage, 0, sizeof *stage);
    stage->options = options;
    stage->random = (options->seed + index + 1) * 0x9e3779b97f4a7c15u;
}

void stage_reserve(struct stage *stage, size_t most)
{
    stage->base = bench_map(sizeof *stage->base);
    memset(stage->base, 0, sizeof *stage->base);
    stage->base->size = most + most / 2 + 16 * MIB;
    stage->base->memory = bench_map(stage->base->size);
    /* What an allocator may get or not must not be in the base of all. */
    madvise(stage->base->memory, stage->base->size, MADV_NOHUGEPAGE);
    memset(stage->base->memory, 1, stage->base->size);
}

static size_t class_of(size_t size)
{
    return (size + STEP - 1) / STEP;
}

/* Objects may overlap once all was taken: nobody reads them. */
static void *base_take(struct base *base, size_t size)
{
    size_t class = class_of(size);
    if (class < CLASSES && base->count[class] != 0)
        return base->given[class][--base->count[class]];
    if (base->used + class * STEP > base->size)
        base->used = 0;
    if (class * STEP > base->size)
        bench_die("--no-alloc: an object larger than all that was announced");
    void *object = base->memory + base->used;
    base->used += class * STEP;
    return object;
}

static void base_give(struct base *base, void *object, size_t size)
{
    size_t class = class_of(size);
    if (class < CLASSES && base->count[class] < DEPTH)
        base->given[class][base->count[class]++] = object;
}

/* What a word of an object is to hold: two objects that overlap cannot both be right. */
static uint64_t pattern(const unsigned char *object, size_t size, size_t at)
{
    return (uint64_t)(uintptr_t)object + at * 0x9e3779b97f4a7c15u + size;
}

static void write_word(unsigned char *object, size_t size, size_t at)
{
    uint64_t word = pattern(object, size, at);
    memcpy(object + at, &word, sizeof word);
}

static void touch(unsigned char *object, size_t size)
{
    for (size_t at = 0; at + sizeof(uint64_t) <= size; at += PAGE)
        write_word(object, size, at);
    write_word(object, size, size - sizeof(uint64_t));
}

static unsigned word_is_wrong(const unsigned char *object, size_t size, size_t at)
{
    uint64_t word;
    memcpy(&word, object + at, sizeof word);
    return word != pattern(object, size, at);
}

static unsigned is_spoilt(const unsigned char *object, size_t size)
{
    /* The last word may lie over a page's first, and was written after it. */
    size_t last = size - sizeof(uint64_t);
    for (size_t at = 0; at + sizeof(uint64_t) <= last; at += PAGE)
        if (word_is_wrong(object, size, at))
            return 1;
    return word_is_wrong(object, size, last);
}

struct object stage_take(struct stage *stage, size_t size)
{
    if (size < sizeof(uint64_t))
        bench_die("an object smaller than a word");
    void *memory = stage->base != NULL ? base_take(stage->base, size) : malloc(size);
    if (memory == NULL)
        bench_die("the allocator has no memory");
    touch(memory, size);
    meter_add_live(size);
    stage->ops++;
    return (struct object){memory, size};
}

void stage_give(struct stage *stage, struct object *object)
{
    if (object->memory == NULL)
        return;
    if (stage->options->smoke)
        stage->faults += is_spoilt(object->memory, object->size);
    meter_drop_live(object->size);
    stage->ops++;
    if (stage->base != NULL)
        base_give(stage->base, object->memory, object->size);
    else
        free(object->memory);
    object->memory = NULL;
}

void stage_resize(struct stage *stage, struct object *object, size_t size)
{
    size_t old = object->size;
    if (stage->base != NULL) {
        if (class_of(old) != class_of(size)) {
            base_give(stage->base, object->memory, old);
            object->memory = base_take(stage->base, size);
        }
    } else {
        if (stage->options->smoke)
            stage->faults += is_spoilt(object->memory, old);
        object->memory = realloc(object->memory, size);
        if (object->memory == NULL)
            bench_die("the allocator has no memory");
    }
    object->size = size;
    touch(object->memory, size);
    meter_add_live(size);
    meter_drop_live(old);
    stage->ops++;
}

size_t stage_random_size(struct stage *stage, size_t min, size_t max)
{
    return bench_size(bench_random(&stage->random), min, max);
}

size_t stage_random_below(struct stage *stage, size_t bound)
{
    return bench_below(bench_random(&stage->random), bound);
}

unsigned stage_ticks(const struct stage *stage, double seconds, double tick_seconds)
{
    unsigned ticks = (unsigned)(seconds / tick_seconds + 0.5);
    if (stage->options->smoke && ticks > SMOKE_TICKS)
        return SMOKE_TICKS;
    return ticks != 0 ? ticks : 1;
}

/* By absolute times: a tick that was slow does not move those that follow. */
void stage_wait(struct stage *stage, double tick_seconds)
{
    if (stage->options->smoke)
        return;
    stage->due_ns += (uint64_t)(tick_seconds * 1e9);
    if (bench_clock_ns() > stage->due_ns) {
        stage->late++;
        return;
    }
    struct timespec due = {(time_t)(stage->due_ns / 1000000000u),
                           (long)(stage->due_ns % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
        continue;
}
