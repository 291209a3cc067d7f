/* SPDX-License-Identifier: MIT */
/* System calls. QEMU makes them; what they cost, who sleeps and what the time is, is said here.
 * Numbers and arguments are those of x86-64. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "machine.h"
#include "says.h"

static uint64_t counted_from = UINT64_MAX;
static uint64_t counted_to;
static uint64_t at_barrier[THREADS_MAX + 2]; /* by the barrier's size, which is its name */
static uint64_t memory_free_at; /* calls that change the address space exclude one another */
static uint64_t break_at;
static uint64_t pseudo_random;

uint64_t span_of_counting(void)
{
    return counted_to > counted_from ? counted_to - counted_from : 0;
}

static void spend(struct thread *thread, uint64_t ticks)
{
    thread->clock += ticks;
    counts_of(thread, LIBRARY)->ticks += ticks;
}

static void barrier(struct thread *thread, uint64_t size)
{
    if (size > THREADS_MAX + 1)
        fail("a barrier for more threads than there are");
    if (++at_barrier[size] < size) {
        thread_wait(thread, size, 0); /* no futex has such an address */
    } else {
        at_barrier[size] = 0;
        threads_wake(size, size, thread->clock);
        turn_pass(thread, READY);
    }
}

static void said(struct thread *thread, uint64_t what, uint64_t value)
{
    switch (what) {
    case SAYS_COUNT:
        thread->counts = true;
        if (thread->clock < counted_from)
            counted_from = thread->clock;
        break;
    case SAYS_REST:
        thread->counts = false;
        break;
    case SAYS_DONE:
        thread->counts = false;
        cores[thread->core].operations += value;
        if (thread->clock > counted_to)
            counted_to = thread->clock;
        break;
    case SAYS_BARRIER:
        barrier(thread, value);
        break;
    case SAYS_WAIT:
        thread->clock += value * TICKS_A_CYCLE;
        break;
    default:
        fail("the program says what means nothing");
    }
}

static void memory_call(struct thread *thread, uint64_t zapped)
{
    uint64_t ticks = cost(PARAMETER_call) + zapped * cost(PARAMETER_zap);
    struct counts *counts = counts_of(thread, LIBRARY);
    counts->calls_memory++;
    if (memory_free_at > thread->clock) {
        counts->queued += memory_free_at - thread->clock;
        spend(thread, memory_free_at - thread->clock);
    }
    spend(thread, ticks);
    memory_free_at = thread->clock;
}

static uint64_t ticks_of(const struct timespec *time)
{
    return ((uint64_t)time->tv_sec * 1000000000u + (uint64_t)time->tv_nsec) * TICKS_A_NS;
}

/* The call itself must return at once: it finds another value, which says "look again". */
static void futex_wait(struct thread *thread, uint64_t address, uint32_t value, uint64_t until)
{
    uint32_t *word = guest(address);
    if (*word != value)
        return;
    thread_wait(thread, address, until);
    if (*word == value) {
        thread->disturbed = word;
        thread->undisturbed = value;
        *word = ~value;
    }
}

static void futex_call(struct thread *thread, const uint64_t *a)
{
    const struct timespec *timeout = a[3] == 0 ? NULL : guest(a[3]);
    uint64_t until = 0;
    counts_of(thread, LIBRARY)->calls_futex++;
    spend(thread, cost(PARAMETER_call));
    switch (a[1] & FUTEX_CMD_MASK) {
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET:
        threads_wake(a[0], a[2], thread->clock + cost(PARAMETER_wake));
        break;
    case FUTEX_WAIT:
        if (timeout != NULL)
            until = thread->clock + ticks_of(timeout);
        futex_wait(thread, a[0], (uint32_t)a[2], until);
        break;
    case FUTEX_WAIT_BITSET: /* the time is absolute, of a clock that we do not know: 1 ms */
        if (timeout != NULL)
            until = thread->clock + 1000000 * TICKS_A_NS;
        futex_wait(thread, a[0], (uint32_t)a[2], until);
        break;
    default:
        break;
    }
}

static void sleep_call(struct thread *thread, const struct timespec *time)
{
    spend(thread, cost(PARAMETER_call));
    thread_wait(thread, 0, thread->clock + ticks_of(time) + 1);
}

/* A thread that sets its affinity to one CPU is there from then on. */
static void move(struct thread *thread, uint64_t size, const uint8_t *mask)
{
    for (int core = 0; core < cores_count && (uint64_t)core < size * 8; core++) {
        if ((mask[core / 8] >> core % 8 & 1) == 0)
            continue;
        if (core == thread->core)
            return;
        turn_pass(thread, READY);
        cores[thread->core].turn = NULL;
        thread->core = core;
        turn_pass(thread, READY);
        return;
    }
}

/* True if the call is one of memory. */
static bool changes_memory(struct thread *thread, int64_t number, const uint64_t *a)
{
    switch (number) {
    case SYS_mmap:
    case SYS_mprotect:
        memory_call(thread, 0);
        return true;
    case SYS_munmap:
    case SYS_mremap:
        memory_call(thread, pages_forget(a[0], a[1]));
        return true;
    case SYS_madvise:
        memory_call(thread, a[2] == MADV_DONTNEED ? pages_forget(a[0], a[1]) : 0);
        return true;
    case SYS_brk:
        memory_call(thread, a[0] != 0 && a[0] < break_at ? pages_forget(a[0], break_at - a[0]) : 0);
        return true;
    default:
        return false;
    }
}

static void other_call(struct thread *thread, int64_t number, const uint64_t *a)
{
    switch (number) {
    case SYS_getcpu:
    case SYS_clock_gettime:
    case SYS_gettimeofday:
    case SYS_time:
        spend(thread, cost(PARAMETER_vdso));
        return;
    case SYS_futex:
        futex_call(thread, a);
        return;
    case SYS_nanosleep:
        sleep_call(thread, guest(a[0]));
        return;
    case SYS_clock_nanosleep:
        sleep_call(thread, guest(a[2]));
        return;
    case SYS_sched_setaffinity:
        if (a[0] == 0)
            move(thread, a[1], guest(a[2]));
        break;
    case SYS_exit:
        turn_end(thread);
        return;
    case SYS_exit_group:
        report();
        _exit((int)a[0]);
    default:
        break;
    }
    counts_of(thread, LIBRARY)->calls_other++;
    spend(thread, cost(PARAMETER_call));
}

void call_begins(uint64_t id, unsigned vcpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                 uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    struct thread *thread = &threads[vcpu];
    const uint64_t arguments[6] = {a1, a2, a3, a4, a5, a6};
    (void)id, (void)a7, (void)a8;
    if (number == SYS_getpriority && a1 == SAYS && a2 == SAYS_BEGIN && !is_on) {
        turns_begin(thread);
        is_on = true;
        return;
    }
    memcpy(thread->arguments, arguments, sizeof arguments);
    if (!is_on)
        return;
    if (number == SYS_getpriority && a1 == SAYS)
        said(thread, a2, a3);
    else if (!changes_memory(thread, number, arguments))
        other_call(thread, number, arguments);
}

/* Without it seeds differ from run to run. */
static void fill(uint8_t *bytes, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(++pseudo_random * 167);
}

static void tell_cpus(uint8_t *mask, int64_t bytes)
{
    memset(mask, 0, (size_t)bytes);
    for (int core = 0; core < cores_count && core < bytes * 8; core++)
        mask[core / 8] |= (uint8_t)(1 << core % 8);
}

static void tell_time(struct timespec *time, uint64_t ticks)
{
    uint64_t ns = ticks / TICKS_A_NS;
    *time = (struct timespec){(time_t)(1000000 + ns / 1000000000u), (long)(ns % 1000000000u)};
}

/* The answers of this machine instead of the host's, for constructors, too. */
static void answer(struct thread *thread, int64_t number, const uint64_t *a, int64_t result)
{
    switch (number) {
    case SYS_mmap:
        pages_forget((uint64_t)result, a[1]);
        break;
    case SYS_brk:
        break_at = (uint64_t)result;
        break;
    case SYS_getcpu:
        if (a[0] != 0)
            *(uint32_t *)guest(a[0]) = (uint32_t)thread->core;
        if (a[1] != 0)
            *(uint32_t *)guest(a[1]) = (uint32_t)node_of(thread->core);
        break;
    case SYS_clock_gettime:
        tell_time(guest(a[1]), thread->clock);
        break;
    case SYS_sched_getaffinity:
        tell_cpus(guest(a[2]), result);
        break;
    case SYS_getrandom:
        fill(guest(a[0]), result);
        break;
    default:
        break;
    }
}

void call_returns(uint64_t id, unsigned vcpu, int64_t number, int64_t result)
{
    struct thread *thread = &threads[vcpu];
    (void)id;
    if (thread->disturbed != NULL) {
        *thread->disturbed = thread->undisturbed;
        thread->disturbed = NULL;
    }
    if (result >= 0 || result < -4095)
        answer(thread, number, thread->arguments, result);
}
