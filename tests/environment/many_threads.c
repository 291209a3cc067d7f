/* SPDX-License-Identifier: MIT */
/* many_threads.c - many threads that sleep keep little memory, and can do all that few can: fork,
 * vfork, end, free in their last destructors, be pinned to a shard.
 *
 * The program executes itself again for each case, with restartable sequences and without; its
 * status is the result. In that process, sleeping threads take the fronts first. */
#define _GNU_SOURCE
#include "tests/conform/sizes.h"
#include "tests/lib/prng.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"
#include "tests/lib/weak.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>

enum {
    SLEEPERS_PER_CPU = 17, /* more threads than have fronts of their own */
    SLEEPERS_MAX = 2000,
    WORKERS = 8,
    HELD = 64,
    TURNS = 500,
    FORKS = 20,
    COMING = 480, /* threads, one after the other */
    STACK = 64 * 1024,
    BOUND_OF_100 = 30 << 20, /* on two CPUs */
    BOUND_OF_1000 = 60 << 20,
    BOUND_OF_CPU = 4 << 20, /* more, for each that is beyond two */
};

static unsigned cpus;
static sem_t asleep, awake;
static pthread_t sleepers[SLEEPERS_MAX];
static pthread_key_t key;

static void require(int holds, int status)
{
    if (!holds)
        _exit(status);
}

/* ---- what a thread does --------------------------------------------------------------------- */

/* A mix as in a server; one in 16 of the remaining objects is kept. */
static void work_as_server(unsigned seed)
{
    struct prng prng = {seed + 1};
    void *held[256] = {NULL};
    for (unsigned turn = 0; turn < 6000; turn++) {
        void **slot = &held[prng_below(&prng, 256)];
        size_t size =
            prng_below(&prng, 16) ? 16 + prng_below(&prng, 512) : 512 + prng_below(&prng, 16384);
        free(*slot);
        *slot = malloc(size);
        require(*slot != NULL, 1);
        memset(*slot, 1, size);
    }
    for (unsigned i = 0; i < 256; i++)
        if (i % 16)
            free(held[i]);
}

/* Objects of all sizes up to 40 KB hold what was written; 0 if so. */
static int churn(unsigned seed)
{
    struct prng prng = {seed + 1};
    struct {
        unsigned char *at;
        size_t size;
    } held[HELD] = {{NULL, 0}};
    int wrong = 0;
    for (unsigned turn = 0; turn < TURNS + HELD; turn++) {
        unsigned place = turn < TURNS ? (unsigned)prng_below(&prng, HELD) : turn - TURNS;
        if (held[place].at) {
            size_t size = held[place].size;
            wrong |= bytes_wrong(held[place].at, seed + place, size, size) != 0;
            free(held[place].at);
            held[place].at = NULL;
        } else if (turn < TURNS) {
            held[place].size = prng_below(&prng, turn % 8 ? 1200 : 40000);
            held[place].at = malloc(held[place].size);
            require(held[place].at != NULL, 2);
            bytes_fill(held[place].at, seed + place, held[place].size);
        }
    }
    return wrong;
}

static void *sleeper(void *argument)
{
    work_as_server((unsigned)(uintptr_t)argument);
    sem_post(&asleep);
    sem_wait(&awake);
    return NULL;
}

/* One after the other, so that only the objects of sleeping threads are left. */
static void start_sleepers(unsigned count)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    sem_init(&asleep, 0, 0);
    sem_init(&awake, 0, 0);
    for (unsigned i = 0; i < count; i++) {
        if (pthread_create(&sleepers[i], &attributes, sleeper, (void *)(uintptr_t)i) != 0)
            _exit(77);
        while (sem_wait(&asleep) != 0)
            continue;
    }
}

static void end_sleepers(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        sem_post(&awake);
    for (unsigned i = 0; i < count; i++)
        pthread_join(sleepers[i], NULL);
}

static void run_workers(void *(*body)(void *))
{
    pthread_t workers[WORKERS];
    for (uintptr_t i = 0; i < WORKERS; i++)
        require(pthread_create(&workers[i], NULL, body, (void *)i) == 0, 3);
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
}

/* ---- the processes ------------------------------------------------------------------------- */

static void live_asleep(unsigned count)
{
    size_t bound = count > 100 ? BOUND_OF_1000 : BOUND_OF_100;
    bound += cpus > 2 ? (size_t)BOUND_OF_CPU * (cpus - 2) : 0;
    start_sleepers(count);
    size_t resident = process_resident();
    char mode[256] = "";
    if (hakmem_mode)
        hakmem_mode(mode, sizeof(mode));
    tap_note("%u asleep: %zu KiB, %s", count, resident >> 10, mode);
    require(!hakmem_mode || resident <= bound, 10);
    end_sleepers(count);
}

static void live_asleep_100(void)
{
    live_asleep(100);
}

static void live_asleep_1000(void)
{
    live_asleep(1000);
}

static void *churn_on(void *argument)
{
    for (unsigned i = 0; i < FORKS; i++)
        require(churn((unsigned)(uintptr_t)argument + i) == 0, 20);
    return NULL;
}

static void live_telling(void)
{
    char mode[256] = "";
    run_workers(churn_on);
    if (!hakmem_mode)
        return;
    hakmem_mode(mode, sizeof(mode));
    if (strstr(mode, "front=cpu"))
        return; /* as the mode asks for it */
    int without = getenv("GLIBC_TUNABLES") != NULL;
    require(strstr(mode, without ? "front=thread+shared" : "front=thread+") != NULL, 21);
    require(strstr(mode, " threads have their own, ") != NULL, 22);
    require(strstr(mode, " 0 came without") == NULL, 23);
}

static void *fork_and_churn(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    for (unsigned i = 0; i < FORKS / 2; i++) {
        require(churn(seed) == 0, 30);
        pid_t child = process_fork();
        require(child >= 0, 31);
        if (child == 0)
            _exit(churn(seed + 1));
        require(process_wait(child, 20) == 0, 32);
    }
    return NULL;
}

static void live_forking(void)
{
    run_workers(fork_and_churn);
}

static void *vfork_and_churn(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    int status = -1;
    for (unsigned i = 0; i < FORKS; i++) {
        pid_t child = vfork();
        if (child == 0)
            _exit(churn(seed));
        require(child > 0 && waitpid(child, &status, 0) == child && status == 0, 40);
        require(churn(seed + 1) == 0, 41);
    }
    return NULL;
}

static void live_vforking(void)
{
    run_workers(vfork_and_churn);
}

/* Each of these allocates and frees in its last destructors. */
static void destroy(void *argument)
{
    uintptr_t round = (uintptr_t)argument;
    require(churn((unsigned)round) == 0, 50);
    if (round < 4)
        pthread_setspecific(key, (void *)(round + 1));
}

static void *end_late(void *argument)
{
    pthread_setspecific(key, (void *)1);
    return argument;
}

static void live_ending(void)
{
    size_t before = 0;
    require(pthread_key_create(&key, destroy) == 0, 51);
    for (unsigned i = 0; i < COMING; i += WORKERS) {
        run_workers(end_late);
        if (i < COMING / 3)
            before = process_resident();
    }
    tap_note("%zu KiB, then %zu", before >> 10, process_resident() >> 10);
    require(!hakmem_mode || process_resident() <= before + (8u << 20), 52);
}

static void *pin_and_churn(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    if (!hakmem_pin_thread)
        return NULL;
    for (unsigned i = 0; i < FORKS; i++) {
        require(churn(seed) == 0, 60);
        require(hakmem_pin_thread(0) == 0, 61);
        for (size_t size = 16; size <= 32768; size *= 2) {
            void *object = malloc(size);
            require(object != NULL && hakmem_shard_of(object) >= 0, 62);
            free(object);
        }
        require(churn(seed + 1) == 0, 63);
        hakmem_unpin_thread();
    }
    return NULL;
}

static void live_pinned(void)
{
    run_workers(pin_and_churn);
}

static const struct life {
    const char *name;
    const char *says;
    void (*live)(void);
    int begins_alone;
} lives[] = {
    {"100", "100 threads that sleep keep little", live_asleep_100, 1},
    {"1000", "1,000 threads that sleep keep little", live_asleep_1000, 1},
    {"tell", "how many there are of which kind is told", live_telling, 0},
    {"fork", "they fork, and their children allocate", live_forking, 0},
    {"vfork", "they vfork, and their children allocate", live_vforking, 0},
    {"end", "they end, and free until the last", live_ending, 0},
    {"pin", "they are pinned to a shard and let go", live_pinned, 0},
};

static int live_again(const char *name)
{
    unsigned count = cpus * SLEEPERS_PER_CPU;
    for (unsigned i = 0; i < TAP_COUNT(lives); i++) {
        if (strcmp(lives[i].name, name) != 0)
            continue;
        count = count < SLEEPERS_MAX ? count : SLEEPERS_MAX;
        if (!lives[i].begins_alone)
            start_sleepers(count);
        lives[i].live();
        return 0;
    }
    return 76;
}

/* ---- the process that starts them ---------------------------------------------------------- */

static int restart(const char *name, int without_rseq)
{
    pid_t child = process_fork();
    if (child < 0)
        return 125;
    if (child == 0) {
        char *const arguments[] = {(char *)"many_threads", (char *)"inside", (char *)name, NULL};
        if (without_rseq)
            setenv("GLIBC_TUNABLES", "glibc.pthread.rseq=0", 1);
        execv("/proc/self/exe", arguments);
        _exit(76);
    }
    return process_wait(child, 120);
}

static void expect_lives(unsigned index)
{
    for (int without_rseq = 0; without_rseq < 2; without_rseq++) {
        int status = restart(lives[index].name, without_rseq);
        if (status == 77)
            tap_skip("this many threads cannot be had here");
        else
            EXPECT_EQ(status, 0);
    }
}

static void test_100(void)
{
    expect_lives(0);
}
static void test_1000(void)
{
    expect_lives(1);
}
static void test_tell(void)
{
    expect_lives(2);
}
static void test_fork(void)
{
    expect_lives(3);
}
static void test_vfork(void)
{
    expect_lives(4);
}
static void test_end(void)
{
    expect_lives(5);
}
static void test_pin(void)
{
    expect_lives(6);
}

int main(int argc, char **argv)
{
    cpu_set_t allowed;
    cpus = sched_getaffinity(0, sizeof(allowed), &allowed) == 0 ? (unsigned)CPU_COUNT(&allowed) : 1;
    if (argc == 3 && strcmp(argv[1], "inside") == 0)
        return live_again(argv[2]);
    struct tap_case cases[] = {
        {NULL, test_100},   {NULL, test_1000}, {NULL, test_tell}, {NULL, test_fork},
        {NULL, test_vfork}, {NULL, test_end},  {NULL, test_pin},
    };
    for (unsigned i = 0; i < TAP_COUNT(cases); i++)
        cases[i].name = lives[i].says;
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
