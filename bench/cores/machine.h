/* SPDX-License-Identifier: MIT */
/*
 * A machine of many cores, made up for a program that runs under user-mode QEMU. Each of its
 * threads has a core and a clock; one runs at a time, the one whose clock is least. What a memory
 * access costs is decided by who else holds its line of 64 bytes.
 *
 *     plugin.c    what QEMU tells and is told: blocks, accesses; parameters; the report
 *     turns.c     whose turn it is
 *     lines.c     who holds which line
 *     calls.c     system calls: time, sleep, memory, threads; what the program itself says
 *
 * Times are ticks, tenths of a cycle. All state belongs to the thread whose turn it is.
 */
#ifndef HAK_CORES_MACHINE_H
#define HAK_CORES_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    CORES_MAX = 128,
    THREADS_MAX = 1024,
    PAGE_BYTES = 4096,
    LINE_BYTES = 64,
    TICKS_A_CYCLE = 10,
    TICKS_A_NS = 30, /* 3 GHz */
};

/* name=value behind the plug-in's name; costs in cycles. */
/* clang-format off */
#define PARAMETERS(row)                                                                          \
    row(cores, 64)        /* of the machine */                                                   \
    row(use, 0)           /* threads are put on the first this many of them; 0: all */             \
    row(l3, 8)            /* cores with an L3 in common */                                       \
    row(node, 16)         /* cores of a node */                                                  \
    row(lead, 100)        /* how far a clock may run ahead of the others' */                     \
    row(instruction, 0.4)                                                                        \
    row(from_l3, 40)      /* a line comes from a core of the same L3, */                         \
    row(from_node, 100)   /* of the same node, */                                                \
    row(from_far, 250)    /* of another node, */                                                 \
    row(store, 100)       /* per cent of that which a plain store waits */                       \
    row(atomic, 20)       /* an atomic instruction, in addition */                               \
    row(pause, 40)                                                                               \
    row(call, 2000)       /* a system call */                                                    \
    row(vdso, 60)         /* one that Linux answers without entering the kernel */               \
    row(fault, 500)       /* a page touched for the first time */                                \
    row(zap, 100)         /* a page given back */                                                \
    row(wake, 5000)       /* from a futex' wake to the sleeper's first instruction */            \
    row(spawn, 10000)     /* from clone to the thread's first instruction */                     \
    row(slice, 3000000)   /* a thread that shares its core runs so long, */                      \
    row(change, 3000)     /* and then comes another */
/* clang-format on */

#define ROW(name, value) PARAMETER_##name,
enum parameter { PARAMETERS(ROW) PARAMETERS_COUNT };
#undef ROW
extern double parameters[PARAMETERS_COUNT];
uint64_t cost(enum parameter which); /* in ticks */

/* Of each core, of the program and of the libraries apart. */
/* clang-format off */
#define COUNTS(row)                                                                              \
    row(instructions)                                                                            \
    row(ticks)                                                                                   \
    row(atomics)                                                                                 \
    row(transfers)    /* accesses for which another core was asked */                            \
    row(far)          /* of these, one of another node */                                        \
    row(queued)       /* ticks until a line arrived that another was getting, or a lock's turn */ \
    row(faults)                                                                                  \
    row(calls_memory)                                                                            \
    row(calls_futex)                                                                             \
    row(calls_other)
/* clang-format on */

#define ROW(name) uint64_t name;
struct counts {
    COUNTS(ROW)
};
#undef ROW

enum owner { PROGRAM, LIBRARY, OWNERS_COUNT };

struct core {
    uint64_t clock;      /* of the thread that ran here last */
    struct thread *turn; /* that thread, unless its slice is over */
    uint64_t turn_ends;
    uint64_t operations;
    struct counts counts[OWNERS_COUNT];
};

enum state { ABSENT, READY, RUNNING, WAITING };

struct thread {
    enum state state;
    bool arrived; /* runs, and not only exists */
    bool counts;  /* what it does is counted */
    int core;
    int token; /* a futex of the host: 1 when its turn has come */
    uint64_t clock;
    uint64_t since;          /* order of those that wait */
    uint64_t waits_for;      /* address of a futex, or size of a barrier */
    uint64_t until;          /* wakes then, if not before; 0: never */
    uint64_t cleared_at_end; /* address of a word of the guest */
    uint64_t arguments[6];   /* of the call that it is in */
    uint32_t *disturbed;     /* futex word that is another value for the time of a call */
    uint32_t undisturbed;
};

/* An instruction that accesses memory, and what its misses cost. */
struct instruction {
    uint64_t address;
    uint64_t ticks;
    uint64_t misses;
    enum owner owner;
    bool is_atomic;
    struct instruction *next;
};

extern bool is_on; /* the program said so: from then on there is the machine */
extern int cores_count;
extern struct core cores[CORES_MAX];
extern struct thread threads[THREADS_MAX];

void fail(const char *why) __attribute__((noreturn));
void *guest(uint64_t address); /* where the guest's memory lies */
int node_of(int core);
struct counts *counts_of(struct thread *thread, enum owner owner);

/* turns.c */
void turns_begin(struct thread *first);
void turn_await(struct thread *thread);
void turn_pass(struct thread *thread, enum state state); /* returns at its next turn */
void turn_end(struct thread *thread);                    /* for good */
bool turn_is_over(const struct thread *thread);
bool turn_is_first(const struct thread *thread); /* no other's clock is behind */
void thread_born(struct thread *thread, struct thread *parent);
void thread_wait(struct thread *thread, uint64_t what, uint64_t until);
void threads_wake(uint64_t what, uint64_t count, uint64_t at);
struct thread *thread_running(void);

/* lines.c */
void lines_begin(void);
void line_access(struct thread *thread, struct instruction *by, uint64_t address, bool writes);
uint64_t pages_forget(uint64_t address, uint64_t bytes); /* how many were present */

/* calls.c */
void call_begins(uint64_t id, unsigned vcpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                 uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8);
void call_returns(uint64_t id, unsigned vcpu, int64_t number, int64_t result);
uint64_t span_of_counting(void);

/* plugin.c */
void report(void);

#endif
