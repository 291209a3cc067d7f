/* SPDX-License-Identifier: MIT */
/* blowup.c - how much memory a program takes for its live memory, where memory changes hands.
 *
 *   blowup walk|hand_on|queue|remote [--live MIB] [--stops N] [--turnovers N]
 *                                    [--seconds N] [--settle N]
 *
 *     walk      one thread binds itself to one CPU after another, and replaces its live set some
 *               times at each stop
 *     hand_on   the same, but each stop is a new thread, which inherits the live set and hands it on
 *     queue     two threads make objects, two free them, a bounded queue between them
 *     remote    at each stop one thread makes a live set, and a thread that never allocates frees it
 *
 * Prints one line of figures for blowup.sh, which compares them; no time is measured. An allocator
 * with caches by CPU, by thread or by shard must not leave a copy of the working set in each
 * (Berger et al., "Hoard", ASPLOS 2000, on blow-up).
 *
 * The live set belongs to the one thread that has it at the moment; the queue is under its lock. */
#define _GNU_SOURCE
#include "tests/lib/prng.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    SIZE_BITS = 12,  /* 1 byte to 4 KiB, each power of two as likely as the next */
    SIZE_LEAST = 16, /* an object begins with its size */
    SIZE_MEAN = 512, /* no more than the real one, so that the table has places enough */
    QUEUE_PLACES = 4096,
    QUEUE_THREADS = 2, /* on either side */
    QUEUE_LARGE_ONE_IN = 64,
    QUEUE_LARGE_BITS = 17,
    WINDOW_OBJECTS = 100 * QUEUE_PLACES, /* that a window sees at least */
    WINDOW_BYTES = 640 << 20,            /* blowup.sh: a leak of one in eight must show */
    SAMPLE_NS = 5 * 1000 * 1000,
    DEADLINE_SECONDS = 120, /* beyond a window's own */
};

static const uint64_t NS = 1000000000;

static size_t live_wanted = 200u << 20;
static unsigned stops = 4, turnovers = 2, seconds = 5, settle = 1;

/* ---- the live set --------------------------------------------------------------------------- */

static struct {
    void **table; /* mapped, not from malloc; all `count` places hold objects */
    size_t places, count;
    size_t live, live_most; /* requested bytes */
    struct prng prng;
} set;

static __attribute__((noreturn)) void fail(const char *what)
{
    dprintf(2, "blowup: %s\n", what);
    exit(1);
}

/* The status line's number, in KiB. */
static size_t read_status(const char *name)
{
    char text[4096];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (length <= 0)
        fail("/proc/self/status cannot be read");
    close(fd);
    text[length] = '\0';
    const char *line = strstr(text, name);
    if (!line)
        fail("/proc/self/status lacks a line");
    return strtoull(line + strlen(name) + 1, NULL, 10);
}

static void *make(size_t size)
{
    void *object = malloc(size);
    if (!object)
        fail("no memory");
    memset(object, 1, size);
    *(size_t *)object = size;
    return object;
}

static void add_object(size_t place)
{
    size_t size = prng_size(&set.prng, SIZE_BITS);
    size = size < SIZE_LEAST ? SIZE_LEAST : size;
    set.table[place] = make(size);
    set.live += size;
    if (set.live > set.live_most)
        set.live_most = set.live;
}

static void drop_object(size_t place)
{
    set.live -= *(size_t *)set.table[place];
    free(set.table[place]);
}

static void map_table(void)
{
    set.prng.state = 1;
    set.places = live_wanted / SIZE_MEAN * 2;
    set.table = mmap(NULL, set.places * sizeof(*set.table), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (set.table == MAP_FAILED)
        fail("no memory for the table");
}

static void fill_set(void)
{
    for (set.count = 0; set.live < live_wanted && set.count < set.places; set.count++)
        add_object(set.count);
}

/* Each step draws random places, so the replaced objects lie scattered over the slabs. */
static void replace_set(void)
{
    for (size_t i = 0; i < set.count * turnovers; i++) {
        size_t place = prng_below(&set.prng, set.count);
        drop_object(place);
        add_object(place);
    }
}

static void empty_set(void)
{
    while (set.count > 0)
        drop_object(--set.count);
}

/* The peak of resident memory, including the program itself, less the table. */
static void print_peak(void)
{
    size_t table = set.count * sizeof(*set.table) >> 10;
    printf("live_kib=%zu peak_kib=%zu", set.live_most >> 10, read_status("VmHWM:") - table);
}

/* ---- walk, hand_on, remote ------------------------------------------------------------------ */

static void bind_to_next(const cpu_set_t *allowed, unsigned *cpu)
{
    cpu_set_t one;
    do
        *cpu = (*cpu + 1) % CPU_SETSIZE;
    while (!CPU_ISSET(*cpu, allowed));
    CPU_ZERO(&one);
    CPU_SET(*cpu, &one);
    if (sched_setaffinity(0, sizeof(one), &one) != 0)
        fail("cannot be bound to a CPU");
}

static void walk(void)
{
    cpu_set_t allowed;
    unsigned cpu = CPU_SETSIZE - 1;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
        fail("cannot read the CPU mask");
    fill_set();
    for (unsigned stop = 0; stop < stops; stop++) {
        bind_to_next(&allowed, &cpu);
        replace_set();
    }
    print_peak();
}

static void in_thread(void *(*body)(void *))
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, NULL) != 0 || pthread_join(thread, NULL) != 0)
        fail("cannot start a thread");
}

static void *replace_in_thread(void *argument)
{
    replace_set();
    return argument;
}

static void hand_on(void)
{
    fill_set();
    for (unsigned stop = 0; stop < stops; stop++)
        in_thread(replace_in_thread);
    print_peak();
}

static void *empty_in_thread(void *argument)
{
    empty_set();
    return argument;
}

static void remote(void)
{
    for (unsigned stop = 0; stop < stops * turnovers; stop++) {
        fill_set();
        if (stop + 1 < stops * turnovers)
            in_thread(empty_in_thread);
    }
    print_peak();
}

/* ---- queue ---------------------------------------------------------------------------------- */

/* Bytes that went through so far. */
struct passed {
    int was_full;
    size_t objects, bytes;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t has_room, has_objects;
    size_t first, count;
    size_t objects, bytes; /* that went in */
    int was_full;          /* consumers begin when it is: the first seconds have seen the most */
    int over;
    void *places[QUEUE_PLACES];
} queue = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .has_room = PTHREAD_COND_INITIALIZER,
    .has_objects = PTHREAD_COND_INITIALIZER,
};

static void *produce(void *argument)
{
    struct prng prng = {(uint64_t)(uintptr_t)argument};
    for (int over = 0; !over;) {
        int is_large = prng_below(&prng, QUEUE_LARGE_ONE_IN) == 0;
        size_t size = prng_size(&prng, is_large ? QUEUE_LARGE_BITS : SIZE_BITS);
        void *object = make(size < SIZE_LEAST ? SIZE_LEAST : size);
        pthread_mutex_lock(&queue.lock);
        while (queue.count == QUEUE_PLACES && !queue.over) {
            if (!queue.was_full)
                pthread_cond_broadcast(&queue.has_objects);
            queue.was_full = 1;
            pthread_cond_wait(&queue.has_room, &queue.lock);
        }
        over = queue.over;
        if (!over) {
            queue.places[(queue.first + queue.count++) % QUEUE_PLACES] = object;
            queue.objects++;
            queue.bytes += *(size_t *)object;
        }
        pthread_mutex_unlock(&queue.lock);
        pthread_cond_signal(&queue.has_objects);
        if (over)
            free(object);
    }
    return NULL;
}

static void *consume(void *argument)
{
    for (;;) {
        void *object = NULL;
        pthread_mutex_lock(&queue.lock);
        while ((queue.count == 0 || !queue.was_full) && !queue.over)
            pthread_cond_wait(&queue.has_objects, &queue.lock);
        if (queue.count > 0) {
            object = queue.places[queue.first];
            queue.first = (queue.first + 1) % QUEUE_PLACES;
            queue.count--;
        }
        pthread_mutex_unlock(&queue.lock);
        pthread_cond_signal(&queue.has_room);
        if (!object)
            return argument;
        free(object);
    }
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS + (uint64_t)now.tv_nsec;
}

static struct passed read_passed(void)
{
    pthread_mutex_lock(&queue.lock);
    struct passed passed = {queue.was_full, queue.objects, queue.bytes};
    pthread_mutex_unlock(&queue.lock);
    return passed;
}

static void pause_until(uint64_t deadline)
{
    const struct timespec pause = {0, SAMPLE_NS};
    if (now_ns() > deadline)
        fail("hardly anything goes through the queue");
    nanosleep(&pause, NULL);
}

/* The peak of resident memory in KiB within this many seconds, or longer on a busy machine: until
 * the bytes of a window went through, which *bytes gets. */
static size_t watch(unsigned for_seconds, size_t *bytes)
{
    struct passed begin = read_passed();
    struct passed passed = begin;
    uint64_t end = now_ns() + for_seconds * NS;
    uint64_t deadline = end + DEADLINE_SECONDS * NS;
    size_t most = 0;
    while (now_ns() < end || passed.objects - begin.objects < WINDOW_OBJECTS ||
           passed.bytes - begin.bytes < WINDOW_BYTES) {
        size_t resident = read_status("VmRSS:");
        most = resident > most ? resident : most;
        pause_until(deadline);
        passed = read_passed();
    }
    *bytes = passed.bytes - begin.bytes;
    return most;
}

static void pass_through_queue(void)
{
    pthread_t threads[2 * QUEUE_THREADS];
    for (uintptr_t i = 0; i < 2 * QUEUE_THREADS; i++) {
        if (pthread_create(&threads[i], NULL, i % 2 ? consume : produce, (void *)i) != 0)
            fail("cannot start a thread");
    }
    uint64_t deadline = now_ns() + DEADLINE_SECONDS * NS;
    while (!read_passed().was_full)
        pause_until(deadline);
    size_t settled_bytes, later_bytes;
    size_t first = watch(settle, &settled_bytes);
    size_t later = watch(seconds > settle ? seconds - settle : 1, &later_bytes);
    pthread_mutex_lock(&queue.lock);
    queue.over = 1;
    pthread_mutex_unlock(&queue.lock);
    pthread_cond_broadcast(&queue.has_room);
    pthread_cond_broadcast(&queue.has_objects);
    for (unsigned i = 0; i < 2 * QUEUE_THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("first_kib=%zu later_kib=%zu objects=%zu settled_kib=%zu passed_kib=%zu", first, later,
           queue.objects, settled_bytes >> 10, later_bytes >> 10);
}

/* ---- options -------------------------------------------------------------------------------- */

static int take_option(const char *name, const char *value)
{
    unsigned number = (unsigned)strtoul(value, NULL, 0);
    if (number < 1)
        return 0;
    if (strcmp(name, "--live") == 0)
        live_wanted = (size_t)number << 20;
    else if (strcmp(name, "--stops") == 0)
        stops = number;
    else if (strcmp(name, "--turnovers") == 0)
        turnovers = number;
    else if (strcmp(name, "--seconds") == 0)
        seconds = number;
    else if (strcmp(name, "--settle") == 0)
        settle = number;
    else
        return 0;
    return 1;
}

int main(int argc, char **argv)
{
    static const struct scenario {
        const char *name;
        void (*run)(void);
    } scenarios[] = {
        {"walk", walk},
        {"hand_on", hand_on},
        {"queue", pass_through_queue},
        {"remote", remote},
    };
    Dl_info info = {0};
    for (int i = 2; i < argc; i += 2) {
        if (i + 1 == argc || !take_option(argv[i], argv[i + 1]))
            fail("no such option or value");
    }
    map_table();
    for (unsigned i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        if (argc < 2 || strcmp(argv[1], scenarios[i].name) != 0)
            continue;
        scenarios[i].run();
        dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info);
        printf(" library=%s\n", info.dli_fname);
        return 0;
    }
    fail("usage: blowup walk|hand_on|queue|remote [--live MIB] [--stops N] ...");
}
