/* SPDX-License-Identifier: MIT */
/* Whose turn it is: a thread runs until its clock is ahead of another's, then that one runs. All
 * others wait, each for its own futex of the host. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "machine.h"

struct core cores[CORES_MAX];
struct thread threads[THREADS_MAX];

static struct thread *living[THREADS_MAX];
static int living_count;
static uint64_t waited;              /* how often anyone has begun to wait */
static uint64_t second = UINT64_MAX; /* when the next of the others could run */
static volatile uint32_t *leaving;   /* the kernel clears it when who ended is gone */

static void futex(int *word, int operation, int value)
{
    syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

void turn_await(struct thread *thread)
{
    /* acquire, pairs with the release in give: all state was the giver's */
    while (__atomic_exchange_n(&thread->token, 0, __ATOMIC_ACQUIRE) == 0)
        futex(&thread->token, FUTEX_WAIT, 0);
    thread->arrived = true;
    for (int tries = 0; leaving != NULL && *leaving != 0 && tries < 50000; tries++)
        usleep(20);
    leaving = NULL;
}

static void give(struct thread *thread)
{
    __atomic_store_n(&thread->token, 1, __ATOMIC_RELEASE);
    futex(&thread->token, FUTEX_WAKE, 1);
}

static uint64_t later(uint64_t one, uint64_t other)
{
    return one > other ? one : other;
}

/* Threads that share a core take turns of a slice each. */
static uint64_t could_run_at(const struct thread *thread)
{
    const struct core *core = &cores[thread->core];
    const struct thread *other = core->turn;
    uint64_t own = later(thread->clock, thread->until);
    if (thread->state == RUNNING || other == thread)
        return own;
    if (other != NULL && (other->state == RUNNING || other->state == READY))
        return later(own, later(core->turn_ends, core->clock) + cost(PARAMETER_change));
    return later(own, core->clock);
}

static struct thread *choose(void)
{
    struct thread *best = NULL;
    uint64_t first = UINT64_MAX;
    second = UINT64_MAX;
    for (int i = 0; i < living_count; i++) {
        struct thread *thread = living[i];
        if (thread->state == WAITING && thread->until == 0)
            continue;
        uint64_t at = could_run_at(thread);
        if (at < first || (at == first && thread->since < best->since)) {
            second = first;
            first = at;
            best = thread;
        } else if (at < second) {
            second = at;
        }
    }
    if (best == NULL)
        fail("all threads wait for each other");
    struct core *core = &cores[best->core];
    if (core->turn != best) {
        core->turn = best;
        core->turn_ends = first + cost(PARAMETER_slice);
    }
    best->clock = first;
    best->waits_for = best->until = 0;
    best->state = RUNNING;
    return best;
}

static void leave_core(struct thread *thread)
{
    struct core *core = &cores[thread->core];
    core->clock = thread->clock;
    if (thread->state != READY || thread->clock >= core->turn_ends)
        core->turn = NULL;
}

void turn_pass(struct thread *thread, enum state state)
{
    thread->state = state;
    thread->since = ++waited;
    leave_core(thread);
    struct thread *next = choose();
    if (next != thread) {
        give(next);
        turn_await(thread);
    }
}

void turn_end(struct thread *thread)
{
    for (int i = 0; i < living_count; i++)
        if (living[i] == thread)
            living[i] = living[--living_count];
    thread->state = ABSENT;
    leave_core(thread);
    if (thread->cleared_at_end != 0) {
        threads_wake(thread->cleared_at_end, UINT64_MAX, thread->clock + cost(PARAMETER_wake));
        leaving = guest(thread->cleared_at_end);
    }
    give(choose());
}

bool turn_is_over(const struct thread *thread)
{
    return second != UINT64_MAX && thread->clock > second + cost(PARAMETER_lead);
}

bool turn_is_first(const struct thread *thread)
{
    return thread->clock <= second;
}

struct thread *thread_running(void)
{
    for (int i = 0; i < living_count; i++)
        if (living[i]->state == RUNNING)
            return living[i];
    fail("nobody runs");
}

/* The core with the fewest threads, the parent's where all have as many. The first thread does not
 * count: it waits for the others. */
static int place(const struct thread *parent)
{
    int load[CORES_MAX] = {0};
    int best = parent->core;
    int used = parameters[PARAMETER_use] == 0 ? cores_count : (int)parameters[PARAMETER_use];
    for (int i = 0; i < living_count; i++)
        load[living[i]->core] += living[i] != &threads[0];
    for (int core = 0; core < used; core++)
        if (load[core] < load[best])
            best = core;
    return best;
}

static void made_ready(struct thread *thread)
{
    thread->state = READY;
    uint64_t at = could_run_at(thread);
    if (at < second)
        second = at;
}

void thread_born(struct thread *thread, struct thread *parent)
{
    int core = place(parent);
    *thread = (struct thread){.core = core, .clock = parent->clock + cost(PARAMETER_spawn)};
    thread->since = ++waited;
    living[living_count++] = thread;
    made_ready(thread);
}

void turns_begin(struct thread *first)
{
    *first = (struct thread){.state = RUNNING, .arrived = true};
    living[living_count++] = first;
    cores[0].turn = first;
}

void thread_wait(struct thread *thread, uint64_t what, uint64_t until)
{
    thread->waits_for = what;
    thread->until = until;
    turn_pass(thread, WAITING);
}

/* Who waits longest goes first. */
void threads_wake(uint64_t what, uint64_t count, uint64_t at)
{
    for (; count > 0; count--) {
        struct thread *first = NULL;
        for (int i = 0; i < living_count; i++)
            if (living[i]->state == WAITING && living[i]->waits_for == what &&
                (first == NULL || living[i]->since < first->since))
                first = living[i];
        if (first == NULL)
            return;
        first->waits_for = first->until = 0;
        first->clock = later(first->clock, at);
        made_ready(first);
    }
}
