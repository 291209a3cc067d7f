/* SPDX-License-Identifier: MIT */
/* Interrupts threads at any instruction: a signal, whose handler gives the CPU away for a moment.
 * Two steps of a lock-free operation that are nanoseconds apart are then now and then a whole time
 * slice apart, which two CPUs would hardly ever show by themselves. For the main thread. */
#ifndef HAK_TESTS_UNIT_SHAKER_H
#define HAK_TESTS_UNIT_SHAKER_H

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "tests/lib/tap.h"

enum { SHAKER_THREADS = 32 };

struct shaker_thread {
    pthread_t id;
    void *(*body)(void *);
    void *argument;
    unsigned *ended; /* how many of them are */
};

static inline void shaker_pause(long nanoseconds)
{
    const struct timespec pause = {0, nanoseconds};
    nanosleep(&pause, NULL);
}

static inline void shaker_interrupt(int signal_number)
{
    (void)signal_number;
    shaker_pause(20000);
}

static inline void *shaker_body(void *argument)
{
    struct shaker_thread *thread = argument;
    thread->body(thread->argument);
    __atomic_add_fetch(thread->ended, 1, __ATOMIC_RELAXED); /* relaxed: only a count */
    return NULL;
}

/* Runs body on `count` threads, each with an argument of `size` bytes of its own, and shakes them
 * until all have ended. */
static inline void shaker_run(unsigned count, void *(*body)(void *), void *arguments, size_t size)
{
    struct sigaction action = {.sa_handler = shaker_interrupt, .sa_flags = SA_RESTART};
    struct shaker_thread threads[SHAKER_THREADS];
    unsigned started = 0;
    unsigned ended = 0;
    sigaction(SIGUSR1, &action, NULL);
    for (; started < count; started++) {
        struct shaker_thread *thread = &threads[started];
        *thread = (struct shaker_thread){0, body, (char *)arguments + started * size, &ended};
        if (pthread_create(&thread->id, NULL, shaker_body, thread) != 0)
            break;
    }
    EXPECT_EQ(started, count);
    for (unsigned turn = 0; __atomic_load_n(&ended, __ATOMIC_RELAXED) < started; turn++) {
        pthread_kill(threads[turn % started].id, SIGUSR1); /* ended but not joined: nothing */
        shaker_pause(20000);
    }
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i].id, NULL);
}

#endif
