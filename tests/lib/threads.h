/* SPDX-License-Identifier: MIT */
/*
 * threads.h - start a handful of threads, and join them.
 */
#ifndef HAK_TESTS_THREADS_H
#define HAK_TESTS_THREADS_H

#include "tests/lib/tap.h"

#include <pthread.h>

enum { THREADS_MAX = 64 };

/* Runs body(argument of its own) in `count` threads at once, and returns when all have ended.
 * `arguments` holds `count` arguments of `size` bytes each; NULL gives every thread NULL. */
static inline void threads_run(unsigned count, void *(*body)(void *), void *arguments, size_t size)
{
    pthread_t threads[THREADS_MAX];
    unsigned started = 0;
    while (started < count && started < THREADS_MAX) {
        void *argument = arguments ? (char *)arguments + started * size : NULL;
        if (pthread_create(&threads[started], NULL, body, argument) != 0)
            break;
        started++;
    }
    EXPECT_EQ(started, count);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}

#endif
