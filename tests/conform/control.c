/* SPDX-License-Identifier: MIT */
/* control.c - the calls that a program makes to the library, each with its effect:
 * hakmem_thread_flush, hakmem_topology_refresh, hakmem_topology_print; and cfree, which frees.
 *
 * Threads own what they allocate; the main thread starts one at a time. */
#define _GNU_SOURCE
#include "tests/conform/sizes.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"
#include "tests/lib/weak.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static int has_none(void)
{
    if (hakmem_mode)
        return 0;
    tap_skip("glibc has no such functions");
    return 1;
}

static int mode_has(const char *words)
{
    char mode[256] = "";
    hakmem_mode(mode, sizeof(mode));
    return strstr(mode, words) != NULL;
}

/* The text that was printed to a file descriptor, cut to the room of `text`. */
static void read_back(int fd, char *text, size_t room)
{
    ssize_t length = pread(fd, text, room - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    close(fd);
}

static unsigned count_words(const char *text, const char *words)
{
    unsigned count = 0;
    for (const char *at = strstr(text, words); at; at = strstr(at + 1, words))
        count++;
    return count;
}

/* ---- hakmem_thread_flush -------------------------------------------------------------------- */

enum {
    OBJECTS = 300,
    ROOM = 1 << 20,
};

/* Of all shards together; the total comes first. */
static unsigned long read_counter(const char *name)
{
    static char text[ROOM];
    char key[64];
    int fd = memfd_create("stats", MFD_CLOEXEC);
    hakmem_stats_print(fd, HAKMEM_JSON);
    read_back(fd, text, sizeof(text));
    snprintf(key, sizeof(key), "\"%s\":", name);
    const char *at = strstr(text, key);
    if (!EXPECT(at != NULL))
        return 0;
    return strtoul(at + strlen(key), NULL, 10);
}

/* Magazines that fronts gave to transfer caches or slabs. */
static unsigned long count_flushes(void)
{
    return read_counter("flush_bundles") + read_counter("flush_to_slabs");
}

static void *flush_body(void *argument)
{
    void *objects[OBJECTS];
    for (unsigned size = 32; size <= 512; size *= 2) {
        for (unsigned i = 0; i < OBJECTS; i++)
            objects[i] = malloc(size);
        for (unsigned i = 0; i < OBJECTS; i++)
            free(objects[i]);
    }
    unsigned long before = count_flushes();
    hakmem_thread_flush();
    unsigned long after = count_flushes();
    hakmem_thread_flush(); /* has no objects left to flush */
    unsigned long again = count_flushes();
    tap_note("flushed: %lu magazines, then %lu", after - before, again - after);
    if (mode_has("front=thread")) {
        EXPECT_GE(after - before, 5); /* one of each size */
        EXPECT_EQ(again, after);
    } else {
        EXPECT_EQ(after, before); /* a thread cannot flush a CPU's front */
    }
    for (unsigned i = 0; i < OBJECTS; i++) { /* the cache fills again */
        objects[i] = malloc(i + 1);
        if (!EXPECT(objects[i] != NULL))
            return NULL;
        bytes_fill(objects[i], i, i + 1);
    }
    for (unsigned i = 0; i < OBJECTS; i++) {
        EXPECT_EQ(bytes_wrong(objects[i], i, i + 1, i + 1), 0);
        free(objects[i]);
    }
    return argument;
}

static void in_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, body, argument) == 0);
    pthread_join(thread, NULL);
}

static void test_thread_flush(void)
{
    if (has_none())
        return;
    in_thread(flush_body, NULL);
}

/* Whether threads can be bound to CPUs; `all` are those of the caller. Skips the case if not. */
static int may_bind(cpu_set_t *all)
{
    if (sched_getaffinity(0, sizeof(*all), all) == 0 &&
        sched_setaffinity(0, sizeof(*all), all) == 0)
        return 1;
    tap_skip("the kernel refuses to tell or to set the affinity");
    return 0;
}

/* ---- threads that end ----------------------------------------------------------------------- */

enum { AT_ONCE = 40 }; /* objects: fewer than a front has */

static void *pass_by(void *argument)
{
    void *objects[AT_ONCE];
    for (unsigned i = 0; i < AT_ONCE; i++)
        objects[i] = malloc(48);
    for (unsigned i = 0; i < AT_ONCE; i++)
        free(objects[i]);
    return argument;
}

static void pass_one_by_one(unsigned threads)
{
    for (unsigned i = 0; i < threads; i++) {
        pthread_t thread;
        REQUIRE(pthread_create(&thread, NULL, pass_by, NULL) == 0);
        pthread_join(thread, NULL);
    }
}

/* Objects that fronts took out of slabs and caches so far. What they freed themselves, and took
 * again since it was another shard's, does not count; it may be kept for others, so the difference may
 * shrink. */
static long taken(void)
{
    return (long)read_counter("refill_objects") - (long)read_counter("foreign_adopted");
}

/* On one CPU, and in a process of its own, since threads are bound like who makes them. Where a CPU
 * has many shards, threads get them in turn, and find the first front again after a round. */
static void test_next_thread(void)
{
    enum { WARM = 100, THREADS = 50 };
    cpu_set_t set;
    if (has_none() || !may_bind(&set))
        return;
    CPU_ZERO(&set);
    CPU_SET(sched_getcpu(), &set);
    pid_t child = fork();
    if (child == 0) {
        int is_bound = sched_setaffinity(0, sizeof(set), &set) == 0;
        pass_one_by_one(WARM);
        long before = taken();
        pass_one_by_one(THREADS);
        long refilled = taken() - before;
        tap_note("%u threads took %ld objects out of slabs and caches", THREADS, refilled);
        _exit(EXPECT(is_bound) & EXPECT_LE(refilled, THREADS * AT_ONCE / 4) ? 0 : 1);
    }
    EXPECT_EQ(process_wait(child, 60), 0);
}

/* ---- hakmem_topology_refresh ---------------------------------------------------------------- */

/* The calling thread and the first one, whose CPUs count. */
static int bind_process(const cpu_set_t *cpus)
{
    int refused = sched_setaffinity(0, sizeof(*cpus), cpus);
    return refused != 0 ? refused : sched_setaffinity(getpid(), sizeof(*cpus), cpus);
}

static void *refresh_body(void *argument)
{
    cpu_set_t all, one;
    unsigned *shards = argument; /* at first, and bound to one CPU at the end */
    void *object = malloc(5000);
    if (!EXPECT(object != NULL))
        return NULL;
    bytes_fill(object, 1, 5000);
    if (!EXPECT_EQ(sched_getaffinity(0, sizeof(all), &all), 0))
        return NULL;
    EXPECT_EQ(hakmem_topology_refresh(), 0);
    shards[0] = hakmem_shard_count();
    CPU_ZERO(&one);
    for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++) {
        if (CPU_ISSET(cpu, &all))
            CPU_SET(cpu, &one);
    }
    EXPECT_EQ(bind_process(&one), 0);
    EXPECT_EQ(hakmem_topology_refresh(), 0);
    shards[1] = hakmem_shard_count();
    EXPECT_EQ(bytes_wrong(object, 1, 5000, 5000), 0);
    free(object);
    object = malloc(5000);
    if (!EXPECT(object != NULL))
        return NULL;
    EXPECT_LE(hakmem_shard_of(object), (int)shards[1] - 1);
    EXPECT_EQ(bind_process(&all), 0);
    EXPECT_EQ(hakmem_topology_refresh(), 0);
    shards[2] = hakmem_shard_count();
    free(object);
    return NULL;
}

static void test_topology_refresh(void)
{
    unsigned shards[3] = {0};
    cpu_set_t all;
    if (has_none() || !may_bind(&all))
        return;
    in_thread(refresh_body, shards);
    tap_note("%u shards, on one CPU %u, then %u", shards[0], shards[1], shards[2]);
    EXPECT_GE(shards[0], 1);
    EXPECT_EQ(shards[2], shards[0]);
    if (mode_has("by=cpu")) {
        EXPECT_EQ(shards[0], CPU_COUNT(&all));
        EXPECT_EQ(shards[1], 1);
    } else if (!mode_has("by=count")) {
        EXPECT_LE(shards[1], shards[0]);
    } else {
        EXPECT_EQ(shards[1], shards[0]); /* a number is a number */
    }
}

/* ---- hakmem_topology_print ------------------------------------------------------------------ */

static void print_topology(enum hakmem_format format, char *text, size_t room)
{
    int fd = memfd_create("topology", MFD_CLOEXEC);
    EXPECT_EQ(hakmem_topology_print(fd, format), 0);
    read_back(fd, text, room);
}

static void test_topology_print(void)
{
    static char text[ROOM];
    if (has_none())
        return;
    print_topology(HAKMEM_TEXT, text, sizeof(text));
    EXPECT(strncmp(text, "machine from ", 13) == 0);
    EXPECT_EQ(count_words(text, "\n  shard "), hakmem_shard_count());
    print_topology(HAKMEM_JSON, text, sizeof(text));
    EXPECT(text[0] == '{' && strchr(text, '\n') == text + strlen(text) - 1);
    EXPECT_EQ(count_words(text, "\"memory_node\":"), hakmem_shard_count());
}

/* ---- cfree ---------------------------------------------------------------------------------- */

/* No header declares it any more; glibc keeps it for old programs only. */
static void test_cfree(void)
{
    enum { ROUNDS = 2000 };
    void (*cfree)(void *);
    *(void **)&cfree = dlsym(RTLD_DEFAULT, "cfree");
    if (tap_is_reference() && !cfree) {
        tap_skip("this glibc has no cfree for new programs");
        return;
    }
    REQUIRE(cfree != NULL);
    EXPECT(tap_is_reference() || tap_is_ours((const void *)cfree));
    cfree(NULL);
    size_t before = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        for (unsigned size = 50; size <= 500000; size *= 100) {
            void *object = malloc(size);
            REQUIRE(object != NULL);
            bytes_fill(object, i, size);
            cfree(object);
        }
        if (i == ROUNDS / 10)
            before = process_resident();
    }
    /* Not freed, the rest would take 900 MiB. */
    EXPECT_LE(process_resident() / MIB, before / MIB + 32);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"hakmem_thread_flush gives the thread's cached objects back", test_thread_flush},
        {"hakmem_topology_refresh builds shards for the CPUs that are allowed now",
         test_topology_refresh},
        {"hakmem_topology_print shows each shard, in each format", test_topology_print},
        {"cfree frees", test_cfree},
        {"the next thread takes over what one that ended has left", test_next_thread},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
