/* SPDX-License-Identifier: MIT */
/* filters.c - a process that forbids itself system calls after its start, as browsers, sshd and
 * container runtimes do: it allocates, frees, starts and ends threads and trims as before.
 *
 * The program executes itself again for each case, and then sets a filter. The filter lets through
 * the system calls of glibc's malloc, of a thread's start and end, and of an exit; all others end
 * the process, or are refused. The status is the result. To name a call that the filter met, the
 * program runs a third time with a filter that only reports. */
#define _GNU_SOURCE
#include "tests/conform/sizes.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"
#include "tests/lib/weak.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>

enum {
    CALLS_MAX = 32,
    THREADS = 4,
    MANY_PER_CPU = 17, /* more threads than may have fronts of their own */
    THREADS_MAX = 128,
    ROUNDS = 3,
    SLOTS = 64,
    HELD = 48,                /* MiB: more than the heap maps before limits of memory matter */
    TICKS_NS = 300000000,     /* some ticks of decay, and looks at the headroom */
    TOLD = 40,                /* status: a forbidden call was made */
    TRIM_ASKS_MEMBARRIER = 0, /* by liburcu, which waits this way; 0: a trim waits by itself */
};

/* ---- the filter ----------------------------------------------------------------------------- */

static const unsigned allowed[] = {
    /* glibc's malloc */
    SYS_mmap,
    SYS_munmap,
    SYS_mremap,
    SYS_madvise,
    SYS_mprotect,
    SYS_futex,
    SYS_brk,
    SYS_getrandom,
    /* a thread's start and end, which is libpthread's matter; a handler's; an exit */
    SYS_clone,
    SYS_clone3,
    SYS_set_robust_list,
    SYS_rseq,
    SYS_rt_sigprocmask,
    SYS_rt_sigaction,
    SYS_rt_sigreturn,
    SYS_exit,
    SYS_exit_group,
    /* the test's own verdict */
    SYS_write,
};

static struct sock_filter steps[2 * CALLS_MAX];
static unsigned short used;

static void add(uint16_t code, uint32_t value, uint8_t if_so, uint8_t if_not)
{
    steps[used++] = (struct sock_filter){code, if_so, if_not, value};
}

static void let_through(unsigned number)
{
    add(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
    add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
}

/* Calls that the filter does not let through get `otherwise`. 0, or -1: no filter may be set
 * here. */
static int install(uint32_t otherwise, int with_membarrier)
{
    add(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
    for (unsigned i = 0; i < TAP_COUNT(allowed); i++)
        let_through(allowed[i]);
    if (with_membarrier)
        let_through(SYS_membarrier);
    add(BPF_RET | BPF_K, otherwise, 0, 0);
    struct sock_fprog program = {used, steps};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void tell_call(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)context;
    tap_note("system call %d was made", info->si_syscall);
    _exit(TOLD);
}

/* ---- the process with the filter ------------------------------------------------------------- */

struct worker {
    void *slots[SLOTS]; /* what it leaves to the next one to free */
    struct worker *next;
};

static struct worker workers[THREADS_MAX];
static unsigned thread_count = THREADS;
static pthread_barrier_t halfway;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* the vDSO's */
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void require(int holds, int status)
{
    if (!holds)
        _exit(status);
}

static void use_all_tiers(void)
{
    for (unsigned i = 0; i < SIZES_COUNT && sizes_of_tiers[i] <= 16 * MIB; i++) {
        size_t size = sizes_of_tiers[i];
        char *object = malloc(size);
        require(object != NULL, 1);
        bytes_fill(object, i, size);
        object = realloc(object, size * 2);
        require(object != NULL && bytes_wrong(object, i, size, size) == 0, 2);
        object = realloc(object, size / 2 + 1);
        require(object != NULL && bytes_wrong(object, i, size, size / 2) == 0, 3);
        free(object);
        object = calloc(1, size);
        require(object != NULL && object[0] == 0 && object[size - 1] == 0, 4);
        free(object);
        void *aligned = NULL;
        require(posix_memalign(&aligned, 4096, size) == 0, 5);
        free(aligned);
    }
}

/* Small and large ones, the latter in neighbouring runs that are freed together. */
static void leave(struct worker *worker)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        size_t size = i % 4 == 3 ? 300000 : 40 + i * 100;
        worker->slots[i] = malloc(size);
        require(worker->slots[i] != NULL, 6);
        bytes_fill(worker->slots[i], i, size);
    }
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    use_all_tiers();
    leave(worker);
    pthread_barrier_wait(&halfway);
    for (unsigned i = 0; i < SLOTS; i++)
        free(worker->next->slots[i]);
    pthread_barrier_wait(&halfway);
    for (uint64_t begin = now_ns(); now_ns() - begin < TICKS_NS / ROUNDS;)
        for (unsigned i = 1; i < 200; i++) {
            void *volatile object = malloc(i * i);
            free(object);
        }
    return NULL;
}

static void run_threads(void)
{
    pthread_t threads[THREADS_MAX];
    for (unsigned i = 0; i < thread_count; i++) {
        workers[i].next = &workers[(i + 1) % thread_count];
        require(pthread_create(&threads[i], NULL, work, &workers[i]) == 0, 7);
    }
    for (unsigned i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
}

static void hold_much(void)
{
    void *held[HELD];
    for (unsigned i = 0; i < HELD; i++) {
        held[i] = malloc(MIB);
        require(held[i] != NULL, 8);
        memset(held[i], 1, MIB);
    }
    for (unsigned i = 0; i < HELD; i++)
        free(held[i]);
}

static void live_filtered(int trims)
{
    use_all_tiers();
    for (unsigned round = 0; round < ROUNDS; round++) {
        run_threads();
        hold_much();
        if (trims)
            malloc_trim(0);
    }
    char mode[256] = "";
    require(!hakmem_mode || hakmem_mode(mode, sizeof(mode)) != 0, 9);
    struct mallinfo2 figures = mallinfo2();
    require(figures.arena != 0, 10);
}

/* A trim empties fronts per CPU by membarrier, so a user of these fronts allows it. Mode cpu places
 * its shards at the start, so the case can ask for the mode before the filter. */
static int needs_membarrier(void)
{
    char mode[256] = "";
    const char *wanted = getenv("HAKMEM_TEST_MODE");
    if (hakmem_mode && wanted && strcmp(wanted, "cpu") == 0)
        hakmem_mode(mode, sizeof(mode));
    return strstr(mode, "front=cpu") != NULL;
}

static void widen(void)
{
    cpu_set_t all;
    memset(&all, -1, sizeof(all));
    if (sched_setaffinity(0, sizeof(all), &all) != 0)
        _exit(77);
}

/* So many that they share fronts, on a machine of a few CPUs. */
static unsigned many(void)
{
    cpu_set_t allowed;
    unsigned count = THREADS_MAX;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0)
        count = (unsigned)CPU_COUNT(&allowed) * MANY_PER_CPU;
    return count < THREADS_MAX ? count : THREADS_MAX;
}

static int live_inside(const char *action, const char *what)
{
    int trims = strstr(what, "trim") != NULL;
    if (strstr(what, "widened"))
        widen();
    if (strstr(what, "many"))
        thread_count = many();
    pthread_barrier_init(&halfway, NULL, thread_count);
    int with_membarrier = trims && (TRIM_ASKS_MEMBARRIER || needs_membarrier());
    uint32_t otherwise = SECCOMP_RET_KILL_PROCESS;
    if (strcmp(action, "tell") == 0) {
        struct sigaction handler = {.sa_sigaction = tell_call, .sa_flags = SA_SIGINFO};
        sigaction(SIGSYS, &handler, NULL);
        otherwise = SECCOMP_RET_TRAP;
    } else if (strcmp(action, "kill") != 0) {
        otherwise = SECCOMP_RET_ERRNO | (uint32_t)atoi(action);
        with_membarrier = trims && TRIM_ASKS_MEMBARRIER;
    }
    if (install(otherwise, with_membarrier) != 0)
        return 77;
    live_filtered(trims);
    return 0;
}

/* ---- the process that starts it -------------------------------------------------------------- */

static int restart(const char *action, const char *what)
{
    pid_t child = process_fork();
    if (child < 0)
        return 125;
    if (child == 0) {
        char *const arguments[] = {(char *)"filters", (char *)"inside", (char *)action,
                                   (char *)what, NULL};
        execv("/proc/self/exe", arguments);
        _exit(76);
    }
    return process_wait(child, 60);
}

static void expect_life(const char *action, const char *what)
{
    int status = restart(action, what);
    if (status == 77) {
        tap_skip("no seccomp filter may be set here, or the affinity not changed");
        return;
    }
    EXPECT_EQ(status, 0);
    if (status == 128 + SIGSYS)
        restart("tell", what);
}

static void test_killed(void)
{
    expect_life("kill", "threads");
}

static void test_killed_trim(void)
{
    expect_life("kill", "trim");
}

static void test_killed_batches(void)
{
    setenv("HAKMEM_LEARN_PIN", "all=batch", 1);
    expect_life("kill", "threads");
    unsetenv("HAKMEM_LEARN_PIN");
}

static void test_killed_many(void)
{
    if (tap_is_reference()) {
        tap_skip("glibc asks for the CPUs when it has made its eighth arena or so");
        return;
    }
    expect_life("kill", "many threads, trim");
}

static void test_refused(void)
{
    static const int errors[] = {EPERM, ENOSYS, EACCES};
    for (unsigned i = 0; i < TAP_COUNT(errors); i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", errors[i]);
        expect_life(text, "threads");
        expect_life(text, "trim");
    }
}

/* Starts on one CPU and may use all of them before the filter: threads run on CPUs that the start
 * did not see. */
static void test_widened(void)
{
    cpu_set_t all, one;
    if (sched_getaffinity(0, sizeof(all), &all) != 0 || CPU_COUNT(&all) < 2) {
        tap_skip("there is one CPU only");
        return;
    }
    CPU_ZERO(&one);
    for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &all))
            CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof(one), &one) != 0) {
        tap_skip("the affinity may not be changed");
        return;
    }
    expect_life("kill", "widened trim");
    sched_setaffinity(0, sizeof(all), &all);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "inside") == 0)
        return live_inside(argv[2], argv[3]);
    static const struct tap_case cases[] = {
        {"with only malloc's system calls a process allocates in all tiers, in threads that come "
         "and go",
         test_killed},
        {"with only malloc's system calls it trims", test_killed_trim},
        {"with only malloc's system calls it gives back freed runs in batches",
         test_killed_batches},
        {"with only malloc's system calls it serves many threads", test_killed_many},
        {"the same with other calls refused by an error", test_refused},
        {"the same on CPUs that the start did not see", test_widened},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
