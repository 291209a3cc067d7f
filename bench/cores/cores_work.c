/* SPDX-License-Identifier: MIT */
/* Workloads for the simulated machine: a fixed number of operations a thread, counted by the
 * plug-in between a barrier and the end. Without it there are no barriers: nothing of
 * this runs on the machine itself.
 *
 *     cores_work NAME THREADS OPERATIONS
 *
 * An operation is a malloc and a free, wherever each is made. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#define HAS_RSEQ 1
#else
#define HAS_RSEQ 0
#endif

#include "says.h"

enum {
    THREADS_MAX = 512,
    SLOTS = 200,
    RING_SLOTS = 4,
};

#define ON_OWN_LINE __attribute__((aligned(128)))

struct lane {
    unsigned index;
    unsigned generation;
    uint64_t random;
    void *slots[SLOTS];
} ON_OWN_LINE;

/* From one thread to one other: chains of objects, linked by their first words. */
struct ring {
    ON_OWN_LINE long put;   /* the producer's */
    ON_OWN_LINE long taken; /* the consumer's */
    ON_OWN_LINE void **chains[RING_SLOTS];
};

/* To one thread from any: a stack of chains. */
struct box {
    ON_OWN_LINE void **top;
};

static struct lane lanes[THREADS_MAX];
static struct ring rings[THREADS_MAX];
static struct box boxes[THREADS_MAX];
static unsigned threads_count;
static long operations;

/* getpriority(2) has a third argument only here. */
static void say(int what, unsigned long value)
{
    syscall(SYS_getpriority, SAYS, what, value);
}

/* User-mode QEMU has no rseq(2). What glibc would keep there, the CPU's number, is written by the
 * thread itself, for the allocators that read it there: here threads stay where they are. Whether
 * a thread has registered also decides whether glibc has its children register, which fails. */
#if HAS_RSEQ
static struct rseq *rseq_area(void)
{
    return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

static void tell_cpu(void)
{
    rseq_area()->cpu_id_start = rseq_area()->cpu_id = (uint32_t)sched_getcpu();
}

static void hide_cpu(void)
{
    rseq_area()->cpu_id = (uint32_t)RSEQ_CPU_ID_REGISTRATION_FAILED;
}

static void begin_rseq(void)
{
    uintptr_t size = (uintptr_t)&__rseq_size;
    if (mprotect((void *)(size & ~(uintptr_t)4095), 4096, PROT_READ | PROT_WRITE) != 0)
        return;
    *(volatile unsigned *)size = sizeof(struct rseq);
}
#else
static void tell_cpu(void) {}
static void hide_cpu(void) {}
static void begin_rseq(void) {}
#endif

static void barrier(void)
{
    say(SAYS_BARRIER, threads_count);
}

static unsigned random_below(struct lane *lane, unsigned bound)
{
    lane->random ^= lane->random << 13;
    lane->random ^= lane->random >> 7;
    lane->random ^= lane->random << 17;
    return (unsigned)((lane->random >> 32) * bound >> 32);
}

static void *take(size_t size)
{
    char *object = malloc(size);
    if (object == NULL)
        abort();
    *(volatile char *)object = 1;
    return object;
}

static void replace(struct lane *lane, void **slots, unsigned count, unsigned min, unsigned max)
{
    void **slot = &slots[random_below(lane, count)];
    free(*slot);
    *slot = take(min + random_below(lane, max - min + 1));
}

static void **make_chain(struct lane *lane, int count, unsigned min, unsigned max)
{
    void **chain = NULL;
    for (int i = 0; i < count; i++) {
        void **object = take(min + random_below(lane, max - min + 1));
        *object = chain;
        chain = object;
    }
    return chain;
}

static void free_chain(void **chain)
{
    while (chain != NULL) {
        void **next = *chain;
        free(chain);
        chain = next;
    }
}

/* ---- what threads do alone ------------------------------------------------------------------ */

static void work_private(struct lane *lane)
{
    for (int i = 0; i < SLOTS; i++)
        lane->slots[i] = take(16 + random_below(lane, 1009));
    for (int i = 0; i < 2500; i++)
        replace(lane, lane->slots, SLOTS, 16, 1024);
    barrier();
    say(SAYS_COUNT, 0);
    for (long i = 0; i < operations; i++)
        replace(lane, lane->slots, SLOTS, 16, 1024);
    say(SAYS_DONE, (unsigned long)operations);
}

static void replace_large(struct lane *lane)
{
    enum { KEPT = 6 };
    size_t size = ((size_t)65536 << random_below(lane, 4)) + random_below(lane, 65536);
    void **slot = &lane->slots[random_below(lane, KEPT)];
    free(*slot);
    *slot = take(size);
    for (size_t at = 0; at < size; at += 4096)
        ((volatile char *)*slot)[at] = 1;
}

/* 64 KiB to 1 MiB, each page touched. */
static void work_large(struct lane *lane)
{
    long count = operations / 20 + 1;
    for (int i = 0; i < 40; i++)
        replace_large(lane);
    barrier();
    say(SAYS_COUNT, 0);
    for (long i = 0; i < count; i++)
        replace_large(lane);
    say(SAYS_DONE, (unsigned long)count);
}

/* ---- false sharing -------------------------------------------------------------------------- */

static void write_much(void *object)
{
    for (int i = 0; i < 50; i++)
        ++*(volatile char *)object;
}

/* Small objects of each thread's own: are two threads given the same line? */
static void work_active(struct lane *lane)
{
    for (long i = -300; i < operations; i++) {
        if (i == 0) {
            barrier();
            say(SAYS_COUNT, 0);
        }
        void *object = take(8 + random_below(lane, 57));
        write_much(object);
        free(object);
    }
    say(SAYS_DONE, (unsigned long)operations);
}

/* Each begins with one that the first thread has allocated, in a row. */
static void work_passive(struct lane *lane)
{
    enum { ROUND = 20 };
    long rounds = operations / ROUND + 1;
    for (long round = -2; round < rounds; round++) {
        if (lane->index == 0)
            for (unsigned i = 0; i < threads_count; i++)
                lanes[i].slots[0] = take(8 + random_below(lane, 57));
        barrier();
        if (round == 0)
            say(SAYS_COUNT, 0);
        write_much(lane->slots[0]);
        free(lane->slots[0]);
        for (int i = 1; i < ROUND; i++) {
            void *object = take(8 + random_below(lane, 57));
            write_much(object);
            free(object);
        }
        barrier();
    }
    say(SAYS_DONE, (unsigned long)(rounds * ROUND));
}

/* ---- what one takes and another frees ------------------------------------------------------- */

static void ring_put(struct ring *ring, void **chain)
{
    /* acquire and release: pair with one another; each word has one writer */
    while (ring->put - __atomic_load_n(&ring->taken, __ATOMIC_ACQUIRE) == RING_SLOTS)
        say(SAYS_WAIT, 200);
    ring->chains[ring->put % RING_SLOTS] = chain;
    __atomic_store_n(&ring->put, ring->put + 1, __ATOMIC_RELEASE);
}

static void **ring_try_take(struct ring *ring)
{
    if (__atomic_load_n(&ring->put, __ATOMIC_ACQUIRE) == ring->taken)
        return NULL;
    void **chain = ring->chains[ring->taken % RING_SLOTS];
    __atomic_store_n(&ring->taken, ring->taken + 1, __ATOMIC_RELEASE);
    return chain;
}

static void **ring_take(struct ring *ring)
{
    void **chain;
    while ((chain = ring_try_take(ring)) == NULL)
        say(SAYS_WAIT, 200);
    return chain;
}

enum { CHAIN = 256, SHORT_CHAIN = 32, MAIL = 16 };

/* Each hands what it took to the next. */
static void work_ring(struct lane *lane)
{
    struct ring *out = &rings[lane->index];
    struct ring *in = &rings[(lane->index + threads_count - 1) % threads_count];
    long chains = operations / CHAIN + 1;
    for (long i = -8; i < chains; i++) {
        if (i == 0) {
            barrier();
            say(SAYS_COUNT, 0);
        }
        ring_put(out, make_chain(lane, CHAIN, 64, 64));
        free_chain(ring_take(in));
    }
    say(SAYS_DONE, (unsigned long)(chains * CHAIN));
}

/* The even ones take, the odd ones free. */
static void work_pairs(struct lane *lane)
{
    struct ring *ring = &rings[lane->index / 2];
    long chains = 2 * operations / CHAIN + 1;
    for (long i = -8; i < chains; i++) {
        if (i == 0) {
            barrier();
            say(SAYS_COUNT, 0);
        }
        if (lane->index % 2 == 0)
            ring_put(ring, make_chain(lane, CHAIN, 64, 64));
        else
            free_chain(ring_take(ring));
    }
    say(SAYS_DONE, lane->index % 2 == 0 ? (unsigned long)(chains * CHAIN) : 0);
}

static void work_one_to_many(struct lane *lane)
{
    long each = 12 * operations / SHORT_CHAIN / (threads_count - 1) + 1;
    for (long i = -8; i < each; i++) {
        if (i == 0) {
            barrier();
            say(SAYS_COUNT, 0);
        }
        if (lane->index == 0)
            for (unsigned to = 1; to < threads_count; to++)
                ring_put(&rings[to], make_chain(lane, SHORT_CHAIN, 16, 256));
        else
            free_chain(ring_take(&rings[lane->index]));
    }
    say(SAYS_DONE, lane->index == 0 ? (unsigned long)each * (threads_count - 1) * SHORT_CHAIN : 0);
}

static void free_all(long chains)
{
    while (chains > 0) {
        long before = chains;
        for (unsigned from = 1; from < threads_count; from++) {
            void **chain = ring_try_take(&rings[from]);
            chains -= chain != NULL;
            free_chain(chain);
        }
        if (chains == before)
            say(SAYS_WAIT, 200);
    }
}

static void work_many_to_one(struct lane *lane)
{
    long each = 12 * operations / SHORT_CHAIN / (threads_count - 1) + 1;
    for (int counts = 0; counts < 2; counts++) {
        long chains = counts ? each : 8;
        barrier();
        if (counts)
            say(SAYS_COUNT, 0);
        if (lane->index == 0)
            free_all(chains * (threads_count - 1));
        else
            for (long i = 0; i < chains; i++)
                ring_put(&rings[lane->index], make_chain(lane, SHORT_CHAIN, 16, 256));
    }
    say(SAYS_DONE, lane->index == 0 ? (unsigned long)each * (threads_count - 1) * SHORT_CHAIN : 0);
}

static void post(struct box *box, void **chain)
{
    void **last = chain;
    while (*last != NULL)
        last = *last;
    void **top = __atomic_load_n(&box->top, __ATOMIC_RELAXED);
    do
        *last = top;
    /* release: pairs with the acquire in collect */
    while (!__atomic_compare_exchange_n(&box->top, &top, chain, 0, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED));
}

static void collect(struct box *box)
{
    if (__atomic_load_n(&box->top, __ATOMIC_RELAXED) != NULL)
        free_chain(__atomic_exchange_n(&box->top, NULL, __ATOMIC_ACQUIRE));
}

/* Each sends small chains to any other. */
static void work_all(struct lane *lane)
{
    long chains = operations / MAIL + 1;
    for (long i = -120; i < chains; i++) {
        if (i == 0) {
            barrier();
            say(SAYS_COUNT, 0);
        }
        unsigned other = 1 + random_below(lane, threads_count - 1);
        post(&boxes[(lane->index + other) % threads_count], make_chain(lane, MAIL, 16, 256));
        collect(&boxes[lane->index]);
    }
    say(SAYS_DONE, (unsigned long)(chains * MAIL));
}

/* ---- threads that end and begin ------------------------------------------------------------- */

static void start_successor(void *(*work)(void *), struct lane *lane)
{
    pthread_t thread;
    say(SAYS_REST, 0);
    hide_cpu();
    if (pthread_create(&thread, NULL, work, lane) != 0)
        abort();
    tell_cpu();
    say(SAYS_COUNT, 0);
}

static void end_chain(unsigned long counted)
{
    if (counted != 0)
        say(SAYS_DONE, counted);
    say(SAYS_BARRIER, threads_count + 1); /* with main */
}

/* A thread leaves its objects to a new one, elsewhere. */
static void *work_larson(void *argument)
{
    enum { ROUND = 500, WARM = 2 };
    struct lane *lane = argument;
    unsigned owner = (lane->index + lane->generation * (threads_count / 2 + 1)) % threads_count;
    void **slots = lanes[owner].slots;
    tell_cpu();
    pthread_detach(pthread_self());
    for (int i = 0; lane->generation == 0 && i < SLOTS; i++)
        slots[i] = take(16 + random_below(lane, 1009));
    int counts = lane->generation >= WARM;
    if (counts)
        say(SAYS_COUNT, 0);
    for (int i = 0; i < ROUND; i++)
        replace(lane, slots, SLOTS, 16, 1024);
    barrier();
    int last = ((long)++lane->generation - WARM) * ROUND >= operations;
    if (!last)
        start_successor(work_larson, lane);
    if (last)
        end_chain(counts ? ROUND : 0);
    else
        say(counts ? SAYS_DONE : SAYS_REST, ROUND);
    return NULL;
}

/* A thread starts with nothing, and leaves nothing. */
static void *work_churn(void *argument)
{
    enum { ROUND = 1000, KEPT = 100 };
    struct lane *lane = argument;
    tell_cpu();
    pthread_detach(pthread_self());
    int counts = lane->generation++ >= 1;
    if (counts)
        say(SAYS_COUNT, 0);
    for (int i = 0; i < KEPT; i++)
        lane->slots[i] = take(16 + random_below(lane, 497));
    for (int i = KEPT; i < ROUND; i++)
        replace(lane, lane->slots, KEPT, 16, 512);
    for (int i = 0; i < KEPT; i++)
        free(lane->slots[i]);
    int last = ((long)lane->generation - 1) * ROUND >= operations;
    if (!last)
        start_successor(work_churn, lane);
    if (last)
        end_chain(counts ? ROUND : 0);
    else
        say(counts ? SAYS_DONE : SAYS_REST, ROUND);
    return NULL;
}

/* ---- what the machine itself is checked with ------------------------------------------------ */

struct counter {
    ON_OWN_LINE long value;
};
static struct counter shared_counter;
static struct counter padded[THREADS_MAX];
static volatile char neighbours[THREADS_MAX] ON_OWN_LINE;

static void check_shared(struct lane *lane)
{
    (void)lane;
    __atomic_fetch_add(&shared_counter.value, 1, __ATOMIC_SEQ_CST);
}

static void check_padded(struct lane *lane)
{
    __atomic_fetch_add(&padded[lane->index].value, 1, __ATOMIC_SEQ_CST);
}

static void check_neighbours(struct lane *lane)
{
    neighbours[lane->index]++;
}

static void check_read(struct lane *lane)
{
    (void)lane;
    (void)*(volatile long *)&shared_counter.value;
}

static void check(struct lane *lane, void (*step)(struct lane *))
{
    step(lane);
    barrier();
    say(SAYS_COUNT, 0);
    for (long i = 0; i < operations; i++)
        step(lane);
    say(SAYS_DONE, (unsigned long)operations);
}

/* ---- the program ---------------------------------------------------------------------------- */

struct workload {
    const char *name;
    void (*work)(struct lane *);
    void *(*chain)(void *); /* instead, where threads start their successors */
    void (*step)(struct lane *);
};

static const struct workload workloads[] = {
    {"private", work_private, NULL, NULL},
    {"active", work_active, NULL, NULL},
    {"passive", work_passive, NULL, NULL},
    {"large", work_large, NULL, NULL},
    {"ring", work_ring, NULL, NULL},
    {"pairs", work_pairs, NULL, NULL},
    {"all", work_all, NULL, NULL},
    {"one2many", work_one_to_many, NULL, NULL},
    {"many2one", work_many_to_one, NULL, NULL},
    {"larson", NULL, work_larson, NULL},
    {"churn", NULL, work_churn, NULL},
    {"check-shared", NULL, NULL, check_shared},
    {"check-padded", NULL, NULL, check_padded},
    {"check-neighbours", NULL, NULL, check_neighbours},
    {"check-read", NULL, NULL, check_read},
};

static const struct workload *chosen;

static void *begin(void *argument)
{
    tell_cpu();
    if (chosen->step != NULL)
        check(argument, chosen->step);
    else
        chosen->work(argument);
    return NULL;
}

static void *nothing(void *argument)
{
    return argument;
}

/* QEMU drops all translations when a program begins its first thread; later all may be awaiting
 * their turn, and none could. So one thread comes and goes before the machine exists. */
static void begin_machine(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, nothing, NULL) != 0)
        abort();
    pthread_join(thread, NULL);
    begin_rseq();
    say(SAYS_BEGIN, 0);
}

static void run(void)
{
    static pthread_t handles[THREADS_MAX];
    void *(*start)(void *) = chosen->chain != NULL ? chosen->chain : begin;
    for (unsigned i = 0; i < threads_count; i++) {
        lanes[i].index = i;
        lanes[i].random = 0x9E3779B97F4A7C15u * (i + 1);
        if (pthread_create(&handles[i], NULL, start, &lanes[i]) != 0)
            abort();
    }
    if (chosen->chain != NULL) {
        say(SAYS_BARRIER, threads_count + 1);
        return;
    }
    for (unsigned i = 0; i < threads_count; i++)
        pthread_join(handles[i], NULL);
}

/* Which library served: the runner compares. */
static void prove(void)
{
    Dl_info where;
    printf("allocator %s\n", dladdr((void *)(uintptr_t)malloc, &where) ? where.dli_fname : "?");
    fflush(stdout);
}

int main(int count, char **arguments)
{
    for (size_t i = 0; count == 4 && i < sizeof workloads / sizeof *workloads; i++)
        if (strcmp(workloads[i].name, arguments[1]) == 0)
            chosen = &workloads[i];
    threads_count = count == 4 ? (unsigned)atoi(arguments[2]) : 0;
    operations = count == 4 ? atol(arguments[3]) : 0;
    if (chosen == NULL || threads_count < 2 || threads_count > THREADS_MAX || operations < 1) {
        fprintf(stderr, "usage: cores_work NAME THREADS OPERATIONS; NAME one of");
        for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
            fprintf(stderr, " %s", workloads[i].name);
        fprintf(stderr, "; 2 to %d threads\n", THREADS_MAX);
        return 2;
    }
    begin_machine();
    run();
    prove();
    return 0;
}
