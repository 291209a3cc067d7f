/* SPDX-License-Identifier: MIT */
/*
 * Replays a trace: a line for each call, `time a object size`, `time r object size` (realloc) or
 * `time f object`, with times in microseconds. Objects have small numbers, used again once free.
 *
 * Threads: the main thread.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/learn/learn.h"

struct call {
    uint64_t due_ns; /* since the first, pauses cut */
    uint32_t number;
    char kind;
    size_t size;
};

struct reader {
    const char *at;
    const char *end;
};

/* For the fast form, and as an example. */
static const char sample[] = "0 a 0 65536\n10 a 1 1048576\n20 r 0 131072\n30 f 0\n40 a 0 40000\n"
                             "50 f 1\n60 a 2 3000000\n70 f 0\n";

static struct call *calls;
static size_t call_count;
static struct object *objects;
static size_t object_count;

static uint64_t read_number(struct reader *reader)
{
    uint64_t value = 0;
    while (reader->at < reader->end && *reader->at == ' ')
        reader->at++;
    if (reader->at == reader->end || *reader->at < '0' || *reader->at > '9')
        bench_die("the trace has a line that is none: time a|r object size, or time f object");
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
        value = value * 10 + (uint64_t)(*reader->at++ - '0');
    return value;
}

static void read_call(struct reader *reader, struct call *call)
{
    call->due_ns = read_number(reader) * 1000;
    while (reader->at < reader->end && *reader->at == ' ')
        reader->at++;
    call->kind = reader->at < reader->end ? *reader->at++ : '\0';
    if (call->kind != 'a' && call->kind != 'r' && call->kind != 'f')
        bench_die("the trace has a call that is not a, r or f");
    call->number = (uint32_t)read_number(reader);
    call->size = call->kind != 'f' ? read_number(reader) : 0;
    while (reader->at < reader->end && *reader->at++ != '\n')
        continue;
}

/* Reads with tables of the kernel's memory: the allocator must not serve the harness. */
static struct reader open_trace(const char *path)
{
    if (path == NULL || *path == '\0')
        return (struct reader){sample, sample + sizeof sample - 1};
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0 || status.st_size == 0)
        bench_die("cannot read the trace");
    size_t size = (size_t)status.st_size;
    char *text = bench_map(size);
    for (size_t done = 0; done < size;) {
        ssize_t length = read(file, text + done, size - done);
        if (length <= 0)
            bench_die("cannot read the trace");
        done += (size_t)length;
    }
    close(file);
    return (struct reader){text, text + size};
}

/* Plays the calls without their memory; returns the most that is held. */
static size_t find_most(void)
{
    size_t held = 0;
    size_t most = 0;
    for (size_t i = 0; i < call_count; i++) {
        const struct call *call = &calls[i];
        struct object *object = &objects[call->number];
        if ((call->kind == 'a') != (object->size == 0))
            bench_die("the trace takes an object twice, or gives one that it has not");
        held = held - object->size + call->size;
        object->size = call->size;
        most = held > most ? held : most;
    }
    memset(objects, 0, object_count * sizeof *objects);
    return most;
}

size_t trace_load(const char *path)
{
    struct reader reader = open_trace(path);
    size_t lines = 0;
    for (const char *at = reader.at; at < reader.end; at++)
        lines += *at == '\n';
    calls = bench_map((lines + 1) * sizeof *calls);
    while (reader.at < reader.end && call_count < lines) {
        struct call *call = &calls[call_count++];
        read_call(&reader, call);
        if (call->number >= object_count)
            object_count = call->number + 1;
    }
    if (call_count == 0)
        bench_die("the trace is empty");
    objects = bench_map(object_count * sizeof *objects);
    return find_most();
}

/* Makes times run from 0, faster, and with pauses no longer than the gap. */
static uint64_t cut_pauses(double speed, double gap_seconds)
{
    uint64_t last_ns = calls[0].due_ns;
    double now = 0;
    for (size_t i = 0; i < call_count; i++) {
        double pause = calls[i].due_ns > last_ns ? (double)(calls[i].due_ns - last_ns) / speed : 0;
        last_ns = calls[i].due_ns;
        now += pause < gap_seconds * 1e9 ? pause : gap_seconds * 1e9;
        calls[i].due_ns = (uint64_t)now;
    }
    return calls[call_count - 1].due_ns;
}

static void replay(struct stage *stage)
{
    uint64_t start_ns = stage->due_ns;
    for (size_t i = 0; i < call_count; i++) {
        const struct call *call = &calls[i];
        struct object *object = &objects[call->number];
        uint64_t due_ns = start_ns + call->due_ns;
        /* The kernel's timer is no finer: calls that are closer run together. */
        if (due_ns > stage->due_ns + 100000 && due_ns > bench_clock_ns())
            stage_wait(stage, (double)(due_ns - stage->due_ns) / 1e9);
        if (call->kind == 'a')
            *object = stage_take(stage, call->size);
        else if (call->kind == 'r')
            stage_resize(stage, object, call->size);
        else
            stage_give(stage, object);
    }
    for (size_t i = 0; i < object_count; i++)
        stage_give(stage, &objects[i]);
}

/* Again from the start while there is time for all of it: a whole trace is the unit of work. */
void trace_play(struct stage *stage, double seconds)
{
    double gap_seconds = stage->options->gap_seconds;
    double length = (double)cut_pauses(stage->options->speed, gap_seconds) / 1e9 + gap_seconds;
    unsigned times = stage_ticks(stage, seconds, length);
    for (unsigned i = 0; i < times; i++) {
        uint64_t end_ns = stage->due_ns + (uint64_t)(length * 1e9);
        replay(stage);
        if (end_ns > stage->due_ns)
            stage_wait(stage, (double)(end_ns - stage->due_ns) / 1e9);
        stage->due_ns = end_ns;
    }
}
