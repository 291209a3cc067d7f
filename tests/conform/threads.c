/* SPDX-License-Identifier: MIT */
/*
 * threads.c - the life of threads: destructors of thread-specific data, exit with objects left
 * behind, cancellation, threads that only free; and that all memory is found again.
 */
#define _GNU_SOURCE
#include "tests/lib/threads.h"
#include "tests/conform/sizes.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"

#include <limits.h>
#include <malloc.h>
#include <stdlib.h>

enum { OBJECTS = 200 };

struct parcel {
    void *objects[OBJECTS];
    unsigned tag;
};

static size_t size_of(unsigned i)
{
    return i % 50 == 49 ? 100000 + i : 1 + (i * 397) % 6000;
}

static void pack(struct parcel *parcel)
{
    for (unsigned i = 0; i < OBJECTS; i++) {
        parcel->objects[i] = malloc(size_of(i));
        REQUIRE(parcel->objects[i] != NULL);
        bytes_fill(parcel->objects[i], parcel->tag + i, size_of(i));
    }
}

static void unpack(struct parcel *parcel)
{
    for (unsigned i = 0; i < OBJECTS; i++) {
        EXPECT_EQ(bytes_wrong(parcel->objects[i], parcel->tag + i, size_of(i), size_of(i)), 0);
        free(parcel->objects[i]);
    }
}

static void *pack_body(void *parcel)
{
    pack(parcel);
    return NULL;
}

static void *unpack_body(void *parcel)
{
    unpack(parcel);
    return NULL;
}

static pthread_key_t key;
static unsigned destructor_calls; /* any thread adds */

/* Runs when the thread is nearly gone, and again after each time that it sets the key: our own
 * destructor may have run before any of these calls. */
static void destroy(void *value)
{
    unsigned *rounds_left = value;
    struct parcel *parcel = malloc(sizeof(*parcel));
    REQUIRE(parcel != NULL);
    parcel->tag = *rounds_left;
    pack(parcel);
    unpack(parcel);
    free(parcel);
    __atomic_fetch_add(&destructor_calls, 1, __ATOMIC_RELAXED); /* relaxed: read after the join */
    if (--*rounds_left > 0)
        pthread_setspecific(key, rounds_left);
    else
        free(rounds_left);
}

static void *use_key(void *unused)
{
    (void)unused;
    unsigned *rounds = malloc(sizeof(*rounds));
    if (!EXPECT(rounds != NULL))
        return NULL;
    *rounds = PTHREAD_DESTRUCTOR_ITERATIONS;
    pthread_setspecific(key, rounds);
    return NULL;
}

static void test_destructors(void)
{
    enum { ROUNDS = 20, THREADS = 8 };
    REQUIRE(pthread_key_create(&key, destroy) == 0);
    for (unsigned round = 0; round < ROUNDS; round++)
        threads_run(THREADS, use_key, NULL, 0);
    EXPECT_EQ(destructor_calls, ROUNDS * THREADS * PTHREAD_DESTRUCTOR_ITERATIONS);
    pthread_key_delete(key);
}

static void test_objects_outlive_their_thread(void)
{
    static struct parcel parcels[8];
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < TAP_COUNT(parcels); i++)
            parcels[i].tag = round * 1000 + i * 100;
        threads_run(TAP_COUNT(parcels), pack_body, parcels, sizeof(parcels[0]));
        if (round % 2)
            threads_run(TAP_COUNT(parcels), unpack_body, parcels, sizeof(parcels[0]));
        else
            for (unsigned i = 0; i < TAP_COUNT(parcels); i++)
                unpack(&parcels[i]);
    }
}

struct load {
    void **objects;
    size_t count;
    size_t size;
};

static void *fill_load(void *argument)
{
    struct load *load = argument;
    for (size_t i = 0; i < load->count; i++) {
        load->objects[i] = malloc(load->size);
        if (!EXPECT(load->objects[i] != NULL))
            return NULL;
        memset(load->objects[i], (int)i, load->size);
    }
    return NULL;
}

/* This thread never calls malloc: it has no reason to own a cache, but all its frees must come
 * home. */
static void *free_load(void *argument)
{
    struct load *load = argument;
    for (size_t i = 0; i < load->count; i++)
        free(load->objects[i]);
    return NULL;
}

static void check_no_growth(size_t size, unsigned rounds)
{
    size_t count = 8 * MIB / size;
    struct load load = {calloc(count, sizeof(void *)), count, size};
    REQUIRE(load.objects != NULL);
    size_t early = 0;
    for (unsigned round = 0; round < rounds; round++) {
        threads_run(1, fill_load, &load, 0);
        threads_run(1, free_load, &load, 0);
        if (round == rounds / 5)
            early = process_resident();
    }
    size_t late = process_resident();
    tap_note("%zu-byte objects: resident %zu KiB after a fifth, %zu KiB at the end", size,
             early / KIB, late / KIB);
    EXPECT_LE(late, early + 40 * MIB); /* lost frees would be 8 MiB a round */
    free(load.objects);
}

static void test_frees_by_others_come_home(void)
{
    const size_t sizes[] = {16, 64, 200, 1024, 5000, 30000, 70000, 600000};
    for (unsigned i = 0; i < TAP_COUNT(sizes); i++)
        check_no_growth(sizes[i], 30);
}

static void *touch_many_classes(void *unused)
{
    (void)unused;
    for (size_t size = 8; size < 40000; size += size / 8 + 8) {
        void *objects[4];
        for (unsigned i = 0; i < TAP_COUNT(objects); i++)
            objects[i] = malloc(size);
        for (unsigned i = 0; i < TAP_COUNT(objects); i++)
            free(objects[i]);
    }
    return NULL;
}

static void test_many_threads_leave_nothing(void)
{
    for (unsigned i = 0; i < 20; i++)
        threads_run(8, touch_many_classes, NULL, 0);
    size_t early = process_resident();
    for (unsigned i = 0; i < 150; i++)
        threads_run(8, touch_many_classes, NULL, 0);
    size_t late = process_resident();
    tap_note("resident %zu KiB after 160 threads, %zu KiB after 1360", early / KIB, late / KIB);
    EXPECT_LE(late, early + 48 * MIB); /* a thread's cache that is lost is 100 KiB or more */
}

static pthread_barrier_t started;

static void unpack_at_cancel(void *parcel)
{
    unpack(parcel);
}

static void *wait_for_cancel(void *parcel)
{
    pack(parcel);
    pthread_cleanup_push(unpack_at_cancel, parcel);
    pthread_barrier_wait(&started);
    for (;;) {
        free(malloc(100));
        pthread_testcancel();
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static void test_cancellation(void)
{
    static struct parcel parcel;
    for (unsigned round = 0; round < 30; round++) {
        pthread_t thread;
        void *result = NULL;
        pthread_barrier_init(&started, NULL, 2);
        REQUIRE(pthread_create(&thread, NULL, wait_for_cancel, &parcel) == 0);
        pthread_barrier_wait(&started);
        pthread_cancel(thread);
        pthread_join(thread, &result);
        EXPECT(result == PTHREAD_CANCELED);
        pthread_barrier_destroy(&started);
    }
}

/* In a child: main leaves by pthread_exit, the last thread ends the process, atexit allocates. */
static void *outlive_main(void *argument)
{
    pthread_join(*(pthread_t *)argument, NULL);
    free(malloc(1000));
    return NULL;
}

static void allocate_at_exit(void)
{
    for (size_t size = 1; size < MIB; size *= 3)
        free(malloc(size));
}

static void test_exit_of_main(void)
{
    pid_t child = process_fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        static pthread_t self;
        pthread_t other;
        self = pthread_self();
        atexit(allocate_at_exit);
        if (pthread_create(&other, NULL, outlive_main, &self) != 0)
            _exit(1);
        pthread_exit(NULL);
    }
    EXPECT_EQ(process_wait(child, 20), 0);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"destructors of thread-specific data allocate and free", test_destructors},
        {"objects outlive the thread that made them", test_objects_outlive_their_thread},
        {"frees by threads that never allocate come home", test_frees_by_others_come_home},
        {"threads that end leave nothing behind", test_many_threads_leave_nothing},
        {"cancelled threads clean up", test_cancellation},
        {"main may leave before its threads; atexit may allocate", test_exit_of_main},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
