/* SPDX-License-Identifier: MIT */
/*
 * profiled.c - allocates in known ways from known functions, and prints what each of them did:
 * NAME SIZE*OBJECTS+... of all it ever allocated, and the same of what lives at exit. Sizes are those
 * of the classes, as the profile tells them. With "wait" it says its process id at its end and
 * sleeps; with "fork" it has a child that allocates, too, and raises signal 12; with "signal" it
 * raises that itself. With "handler" it does nothing of this: its signal handler forks while it
 * resizes an object, and the children go on from there. Nor with "sizes": a child of fork asks for
 * the usable sizes of its parent's objects. Nor with "missed": a child made without fork's handlers
 * frees its parent's objects, which the profile misses, uses their memory again and forks.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/weak.h"

extern void *operator_new(size_t) __asm__("_Znwm") __attribute__((weak));
extern void operator_delete(void *) __asm__("_ZdlPv") __attribute__((weak));

enum { KEPT = 200000, SENT = 2000 };

static void *kept[KEPT];
static int count;
static void *sent[SENT];

static void keep(void *object)
{
    kept[count++] = object;
}

/* Frees at once: no magazine is ever empty. */
__attribute__((noinline)) void hot_loop(int turns)
{
    for (int i = 0; i < turns; i++) {
        void *object = malloc(64);
        __asm__ volatile("" : : "r"(object) : "memory");
        free(object);
    }
}

/* Every second object stays, the others are recycled. */
__attribute__((noinline)) void slow_leak(int turns)
{
    for (int i = 0; i < turns; i++) {
        keep(malloc(208));
        free(malloc(208));
    }
}

__attribute__((noinline)) void large_runs(int turns)
{
    for (int i = 0; i < turns; i++) {
        free(malloc(100000));
        if (i % 8 == 0)
            keep(calloc(1, 60000));
    }
}

static void *free_sent(void *unused)
{
    for (int i = 0; i < SENT; i++)
        free(sent[i]);
    return unused;
}

/* What libc allocates for a thread it keeps for the next one: it is not to be freed_by_others's. */
static void make_thread_known(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, free_sent, NULL) != 0)
        abort();
    pthread_join(thread, NULL);
}

/* Another thread frees. */
__attribute__((noinline)) void freed_by_others(int turns)
{
    for (int i = 0; i < turns; i++) {
        pthread_t thread;
        for (int j = 0; j < SENT; j++)
            sent[j] = aligned_alloc(64, 512);
        if (pthread_create(&thread, NULL, free_sent, NULL) != 0)
            abort();
        pthread_join(thread, NULL);
    }
}

/* Each step is an object, wherever it lies. */
__attribute__((noinline)) void grown(int turns)
{
    for (int i = 0; i < turns; i++) {
        char *text = NULL;
        for (size_t size = 65536; size <= 4 * 1024 * 1024; size *= 2) {
            text = realloc(text, size);
            text[size - 1] = 1;
        }
        free(text);
    }
}

/* Each entry point counts once, whether it finds an object at hand or not. */
__attribute__((noinline)) void by_other_names(int turns)
{
    for (int i = 0; i < turns; i++) {
        void *aligned = NULL;
        free(calloc(3, 64));
        if (posix_memalign(&aligned, 64, 192) != 0)
            abort();
        free(aligned);
        if (i % 2 == 0)
            operator_delete(operator_new(192));
        else
            keep(operator_new(192));
        free(realloc(malloc(16), 160));
    }
}

/* Of heaps of the program's own: one lives, with half of its objects, and one ends. */
__attribute__((noinline)) void of_own_heaps(int turns)
{
    struct hakmem_heap *lives = hakmem_heap_create(NULL);
    struct hakmem_heap *ends = hakmem_heap_create(NULL);
    for (int i = 0; i < turns; i++) {
        void *object = hakmem_heap_malloc(lives, 208);
        if (i % 2 == 0)
            hakmem_heap_free(lives, object);
        if (hakmem_heap_calloc(ends, 1, 208) == NULL)
            abort();
    }
    free(hakmem_heap_malloc(lives, 100000)); /* whichever free it is */
    hakmem_heap_destroy(ends);
}

__attribute__((noinline)) void at_places(int turns)
{
    for (int i = 0; i < turns; i++) {
        free(hakmem_malloc_on_shard(208, 0));
        hakmem_free_direct(hakmem_malloc_direct(208));
        if (i % 64 == 0)
            free(hakmem_malloc_interleaved(100000, 0));
    }
}

enum { STEP = 208, STEPS_MOST = 3328 };

/* Each grows in small steps, as the nodes of a list that is pushed to; half of them stay. */
__attribute__((noinline)) void in_small_steps(int turns)
{
    for (int i = 0; i < turns; i++) {
        char *text = NULL;
        for (size_t size = STEP; size <= STEPS_MOST; size += STEP)
            text = realloc(text, size);
        if (i % 2 == 0)
            keep(text);
        else
            free(text);
    }
}

/* An object moves when its class is too small. */
static void print_small_steps(int turns)
{
    size_t held = 0;
    printf("in_small_steps ");
    for (size_t size = STEP; size <= STEPS_MOST; size += STEP)
        if (size > held) {
            printf("%s%zu*%d", held != 0 ? "+" : "", hakmem_good_size(size), turns);
            held = hakmem_good_size(size);
        }
    printf(" %zu*%d\n", held, turns / 2);
}

/* That need the library. */
static void work_with_hakmem(void)
{
    enum { NAMES = 20000, HEAPS = 20000, PLACES = 20000, STEPS = 5000 };
    if (hakmem_heap_create == NULL)
        return;
    by_other_names(NAMES);
    of_own_heaps(HEAPS);
    at_places(PLACES);
    in_small_steps(STEPS);
    printf("by_other_names 192*%d+160*%d+16*%d 192*%d\n", 3 * NAMES, NAMES, NAMES, NAMES / 2);
    printf("of_own_heaps 208*%d+100000*1 208*%d\n", 2 * HEAPS, HEAPS / 2);
    print_small_steps(STEPS);
    printf("at_places 208*%d+100000*%d\n", 2 * PLACES, (PLACES + 63) / 64);
}

static void work(void)
{
    enum { HOT = 300000, LEAK = 20000, LARGE = 400, OTHERS = 10, GROWN = 6 };
    make_thread_known();
    hot_loop(HOT);
    slow_leak(LEAK);
    large_runs(LARGE);
    freed_by_others(OTHERS);
    grown(GROWN);
    printf("hot_loop 64*%d\n", HOT);
    printf("slow_leak 208*%d 208*%d\n", 2 * LEAK, LEAK);
    printf("large_runs 100000*%d+60000*%d 60000*%d\n", LARGE, LARGE / 8, LARGE / 8);
    printf("freed_by_others 512*%d\n", OTHERS * SENT);
    printf("grown ");
    for (int size = 65536; size <= 4 * 1024 * 1024; size *= 2)
        printf("%s%d*%d", size != 65536 ? "+" : "", size, GROWN);
    puts("");
    work_with_hakmem();
    fflush(stdout);
}

enum { NOT_YET = -2 };

static volatile sig_atomic_t child_of_handler; /* -1: fork failed */

static void fork_now(int number)
{
    (void)number;
    child_of_handler = fork();
}

/* Resizes it until the handler has forked, and in the child a little longer. The alarm may come
 * before the first resize. */
static void *resize_until_forked(void *object, useconds_t delay)
{
    unsigned more = 50, toggle = 0;
    child_of_handler = NOT_YET;
    ualarm(delay, 0);
    while (child_of_handler == NOT_YET || (child_of_handler == 0 && more-- != 0))
        object = realloc(object, (toggle ^= 1) ? 200000 : 150000);
    if (child_of_handler == 0)
        _exit(0);
    return object;
}

static int fork_in_handlers(void)
{
    enum { FORKS = 200 };
    int crashed = 0;
    void *object = NULL;
    signal(SIGALRM, fork_now);
    for (unsigned i = 0; i < FORKS; i++) {
        int status = 0;
        object = resize_until_forked(object, 30 + i % 97 * 3);
        crashed += waitpid(child_of_handler, &status, 0) < 0 || status != 0;
    }
    free(object);
    return crashed != 0;
}

/* Whether a child of fork says the same of its parent's objects. */
static int sizes_in_child(void)
{
    enum { OBJECTS = 3000 };
    static void *objects[OBJECTS];
    static size_t usable[OBJECTS];
    int status = 0;
    for (size_t i = 0; i < OBJECTS; i++) {
        objects[i] = malloc(i * 3 + 1);
        usable[i] = malloc_usable_size(objects[i]);
    }
    pid_t child = fork();
    for (size_t i = 0; child == 0 && i < OBJECTS; i++)
        status |= malloc_usable_size(objects[i]) != usable[i];
    for (size_t i = 0; i < OBJECTS; i++)
        free(objects[i]);
    if (child == 0)
        _exit(status);
    return waitpid(child, &status, 0) < 0 || status != 0;
}

/* Whether a child of fork has as much room in its parent's objects as that asked for, where those
 * lie on objects that the profile did not see freed. */
static int sizes_after_missed(void)
{
    enum { OBJECTS = 500, SIZE = 3000 };
    static void *objects[OBJECTS];
    int status = 0;
    for (size_t i = 0; i < OBJECTS; i++)
        objects[i] = malloc(40);
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child != 0)
        return waitpid(child, &status, 0) < 0 || status != 0;
    for (size_t i = 0; i < OBJECTS; i++)
        free(objects[i]);
    for (size_t i = 0; i < OBJECTS; i++)
        objects[i] = malloc(SIZE);
    child = fork();
    for (size_t i = 0; child == 0 && i < OBJECTS; i++)
        status |= malloc_usable_size(objects[i]) < SIZE;
    if (child == 0)
        _exit(status);
    _exit(waitpid(child, &status, 0) < 0 || status != 0);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    pid_t child = 1;
    if (strcmp(what, "handler") == 0)
        return fork_in_handlers();
    if (strcmp(what, "sizes") == 0)
        return sizes_in_child();
    if (strcmp(what, "missed") == 0)
        return sizes_after_missed();
    /* Keeps the memory of standard output out of the counts. */
    setvbuf(stdout, NULL, _IOLBF, 256);
    work();
    if (strcmp(what, "fork") == 0) {
        child = fork();
        if (child == 0) {
            hot_loop(100000);
            struct sigaction action;
            if (sigaction(12, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
                raise(12); /* the profile's, whose file is the parent's */
        }
    }
    if (strcmp(what, "signal") == 0)
        raise(12);
    if (strcmp(what, "wait") == 0) {
        printf("ready %d\n", (int)getpid());
        fflush(stdout);
        alarm(60);
        pause();
    }
    int status = 0;
    if (child > 1)
        waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : 0;
}
