/* SPDX-License-Identifier: MIT */
/* Restartable sequences, the kernel's side. See rseq.h. */
#define _GNU_SOURCE
#include "os/rseq.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif

#include "os/compiler.h"
#include "os/cpu.h"
#include "os/memory.h"
#include "os/syscall.h"

enum {
    CPU_ID_OFFSET = 4,   /* of cpu_id in struct rseq */
    SEQUENCE_OFFSET = 8, /* of rseq_cs */
    MASK_WORDS = 64,     /* 4096 CPUs */
    STACK_SIZE = 16 * 1024,
    SCHED_DEADLINE_POLICY = 6, /* <sched.h> names it since glibc 2.41 */
    WORD_BITS = 64,
    LOOKS = 1000, /* a tenth of a second, more or less */
    NAP_NS = 10 * 1000,
    PATIENCE_MS = 50,          /* longer than any time slice: one ends within a sequence */
    REAL_TIME_PATIENCE_MS = 2, /* no time slice ends: the task runs elsewhere now, or never */
};

/* Run by the task, which has no thread-local storage for a sanitizer to use. */
#define NO_RUNTIME __attribute__((no_sanitize("thread", "address", "undefined"), noinline))

/* ---- where, and whether to be trusted ------------------------------------------------------- */

static int kernel_is_known_bad(void)
{
    const char *bad = hak_os_rseq_bad_release();
    struct utsname name;
    if (bad == NULL)
        return 0;
    if (hak_syscall3(SYS_uname, (uintptr_t)&name, 0, 0) != 0)
        return 1;
    return strncmp(name.release, bad, strlen(bad)) == 0;
}

int hak_os_rseq_find(ptrdiff_t *offset)
{
    (void)hak_os_cpu_slow(); /* sets the offset of the area */
    /* relaxed: a constant once it is set */
    ptrdiff_t cpu_id = __atomic_load_n(&hak_os_rseq_cpu_id, __ATOMIC_RELAXED);
    if (cpu_id == 0 || hak_os_read_thread_word(cpu_id) < 0)
        return -ENOSYS;
    if (kernel_is_known_bad())
        return -EOPNOTSUPP;
    *offset = cpu_id - CPU_ID_OFFSET;
    return 0;
}

/* ---- a mark for the kernel ------------------------------------------------------------------ */

#ifdef RSEQ_SIG
#define SIGNATURE RSEQ_SIG
#else
#define SIGNATURE 0
#endif

/* The word of the calling thread's area that names its sequence. relaxed, here and below: only the
 * thread itself and the kernel access it */
static uint64_t *sequence_of(ptrdiff_t area)
{
    return (uint64_t *)((char *)__builtin_thread_pointer() + area + SEQUENCE_OFFSET);
}

bool hak_os_rseq_make_mark(struct hak_os_rseq_mark *mark)
{
    *mark = (struct hak_os_rseq_mark){
        .start = (uintptr_t)&mark->unreached,
        .length = 1,
        .abort = (uintptr_t)&mark->end,
        .signature = SIGNATURE,
    };
    return SIGNATURE != 0;
}

bool hak_os_rseq_leave_mark(ptrdiff_t area, const struct hak_os_rseq_mark *mark)
{
    if (hak_os_read_thread_word(area + CPU_ID_OFFSET) < 0)
        return false; /* the thread has given its area up */
    if (hak_os_rseq_is_clear(area))
        /* relaxed, both: see sequence_of */
        __atomic_store_n(sequence_of(area), (uintptr_t)mark, __ATOMIC_RELAXED);
    return __atomic_load_n(sequence_of(area), __ATOMIC_RELAXED) == (uintptr_t)mark;
}

bool hak_os_rseq_is_clear(ptrdiff_t area)
{
    /* relaxed: see sequence_of */
    return hak_os_read_thread_word(area + CPU_ID_OFFSET) >= 0 &&
           __atomic_load_n(sequence_of(area), __ATOMIC_RELAXED) == 0;
}

/* ---- the disturbance ------------------------------------------------------------------------ */

/* Written by the starting thread before the task runs; read by both. */
static struct {
    uint32_t *flag;
    uint64_t *sequence; /* the victim's rseq_cs */
    int fenced;         /* by membarrier; else by affinity */
    uintptr_t victim;   /* thread id */
    uint64_t allowed[MASK_WORDS];
    uint64_t elsewhere[MASK_WORDS]; /* allowed without the victim's CPU; or the same if it is the
                                       only one */
    uint64_t signals;               /* the caller's mask */
    void *stack;
    uint32_t over;  /* the victim only waits for the task to end */
    uint32_t alive; /* cleared, and its futex woken, by the kernel */
} disturbance;

/* The kernel would not restart a sequence that is disturbed before it begins, and the victim could
 * not tell that from a kernel that never restarts. So the task waits for the sequence. It sleeps in
 * between: if the kernel put it on the victim's own CPU, each waking interrupts the victim, which
 * would otherwise run on for a slice of milliseconds. */
NO_RUNTIME static void await_sequence(void)
{
    static const struct timespec nap = {0, NAP_NS};
    /* relaxed, both: hints of when; nothing is read through them */
    for (unsigned look = 0; look < LOOKS; look++) {
        hak_syscall3(SYS_nanosleep, (uintptr_t)&nap, 0, 0);
        if (__atomic_load_n(disturbance.sequence, __ATOMIC_RELAXED) != 0 ||
            __atomic_load_n(&disturbance.over, __ATOMIC_RELAXED) != 0)
            return;
    }
}

/* What the task does. It has no thread-local storage, so it calls no libc. membarrier comes first:
 * an affinity that is set and set back loses the CPUs that sched_getaffinity leaves out (those
 * offline, and those by which a cpuset may grow), and the victim would never get them back. */
NO_RUNTIME __attribute__((noreturn)) static void disturb(void)
{
    await_sequence();
    int by_affinity =
        !disturbance.fenced ||
        hak_syscall3(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0) != 0;
    if (by_affinity)
        hak_syscall3(SYS_sched_setaffinity, disturbance.victim, sizeof disturbance.elsewhere,
                     (uintptr_t)disturbance.elsewhere);
    /* release: a victim that sees the flag was interrupted before, or moved to another CPU */
    __atomic_store_n(disturbance.flag, 1, __ATOMIC_RELEASE);
    if (by_affinity)
        hak_syscall3(SYS_sched_setaffinity, disturbance.victim, sizeof disturbance.allowed,
                     (uintptr_t)disturbance.allowed);
    for (;;)
        hak_syscall3(SYS_exit, 0, 0, 0);
}

static void set_signals(uint64_t mask, uint64_t *old)
{
    hak_syscall6(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, (uintptr_t)&mask, (uintptr_t)old,
                 sizeof mask, 0, 0);
}

static void choose_elsewhere(void)
{
    unsigned cpu = hak_os_cpu();
    memcpy(disturbance.elsewhere, disturbance.allowed, sizeof disturbance.elsewhere);
    if (cpu / WORD_BITS < MASK_WORDS)
        disturbance.elsewhere[cpu / WORD_BITS] &= ~(UINT64_C(1) << cpu % WORD_BITS);
    uint64_t any = 0;
    for (unsigned word = 0; word < MASK_WORDS; word++)
        any |= disturbance.elsewhere[word];
    if (any == 0)
        memcpy(disturbance.elsewhere, disturbance.allowed, sizeof disturbance.elsewhere);
}

static int may_use_one_cpu_only(void)
{
    uint64_t allowed[MASK_WORDS];
    unsigned count = 0;
    if (hak_os_affinity(allowed, sizeof allowed) != 0)
        return 1;
    for (unsigned word = 0; word < MASK_WORDS; word++)
        count += (unsigned)__builtin_popcountll(allowed[word]);
    return count == 1;
}

/* A task of the same real-time policy and priority never interrupts us: it needs a CPU of its own
 * at once. Raising its priority would need privileges that we may lack; lowering ours would need
 * them to raise it again. */
unsigned hak_os_disturb_patience_ms(void)
{
    switch (hak_syscall3(SYS_sched_getscheduler, 0, 0, 0) & ~(long)SCHED_RESET_ON_FORK) {
    case SCHED_FIFO:
    case SCHED_RR:
    case SCHED_DEADLINE_POLICY:
        return may_use_one_cpu_only() ? 0 : REAL_TIME_PATIENCE_MS;
    default: /* or refused */
        return PATIENCE_MS;
    }
}

int hak_os_disturb_begin(ptrdiff_t area, uint32_t *flag)
{
    int refused = hak_os_affinity(disturbance.allowed, sizeof disturbance.allowed);
    if (refused)
        return refused;
    disturbance.stack = hak_os_map(STACK_SIZE, hak_os_page_size());
    if (disturbance.stack == NULL)
        return -ENOMEM;
    disturbance.flag = flag;
    disturbance.sequence =
        (uint64_t *)((char *)__builtin_thread_pointer() + area + SEQUENCE_OFFSET);
    disturbance.victim = hak_os_thread_id();
    disturbance.fenced =
        hak_syscall3(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0) == 0;
    choose_elsewhere();
    set_signals(~UINT64_C(0), &disturbance.signals);
    /* relaxed, all: the task does not exist yet. A sequence leaves its address behind, also one of
     * a signal handler, so we may clear it. */
    __atomic_store_n(&disturbance.over, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&disturbance.alive, 1, __ATOMIC_RELAXED);
    __atomic_store_n(disturbance.sequence, 0, __ATOMIC_RELAXED);
    unsigned long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                          CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;
    long task = hak_os_start_task(flags, (char *)disturbance.stack + STACK_SIZE - 64,
                                  &disturbance.alive, disturb);
    if (task > 0) {
        hak_syscall3(SYS_sched_yield, 0, 0, 0); /* lets the task come as far as its first nap */
        return 0;
    }
    set_signals(disturbance.signals, NULL);
    hak_os_unmap(disturbance.stack, STACK_SIZE);
    return (int)task;
}

void hak_os_disturb_end(void)
{
    /* relaxed: see await_sequence */
    __atomic_store_n(&disturbance.over, 1, __ATOMIC_RELAXED);
    /* acquire: pairs with the kernel's clearing; then no thread uses the stack */
    while (__atomic_load_n(&disturbance.alive, __ATOMIC_ACQUIRE) != 0)
        hak_syscall6(SYS_futex, (uintptr_t)&disturbance.alive, 0 /* FUTEX_WAIT */, 1, 0, 0, 0);
    set_signals(disturbance.signals, NULL);
    hak_os_unmap(disturbance.stack, STACK_SIZE);
}

/* ---- the fence ------------------------------------------------------------------------------ */

static long membarrier(int command)
{
    return hak_syscall3(SYS_membarrier, (uintptr_t)command, 0, 0);
}

/* There is no other way. A thread that runs on every CPU for a moment would preempt the others, but
 * the caller's affinity may exclude CPUs on which other threads run. */
int hak_os_rseq_fence(void)
{
    long done = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ); /* Linux 5.10 */
    if (done == -EPERM && membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ) == 0)
        done = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ);
    return (int)done;
}
