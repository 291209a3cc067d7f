/* SPDX-License-Identifier: MIT */
/* A part of a test in a child of its own: with limits set, or with state that would disturb the
 * cases that follow. The child states expectations as usual and its result is the parent's. For the
 * main thread. */
#ifndef HAK_TESTS_UNIT_TIERS_CHILD_H
#define HAK_TESTS_UNIT_TIERS_CHILD_H

#include <sys/mman.h>
#include <sys/resource.h>

#include "tests/lib/process.h"
#include "tests/lib/tap.h"

enum {
    CHILD_HELD = 0,
    CHILD_FAILED = 1,
    CHILD_CANNOT = 77, /* the machine (or a sanitizer) does not allow the preparations */
    CHILD_SECONDS = 60,
};

/* Runs `body` in a child; it returns CHILD_CANNOT, or CHILD_HELD or CHILD_FAILED. */
static inline void child_run(int (*body)(void), const char *what)
{
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0)
        _exit(body());
    int status = process_wait(child, CHILD_SECONDS);
    if (status == CHILD_CANNOT)
        tap_skip("%s cannot be had here", what);
    else
        EXPECT_EQ(status, CHILD_HELD);
}

/* Limits the memory that the kernel gives; returns whether small mappings still can be had. */
static inline int child_limit(int resource, size_t bytes)
{
    struct rlimit limit = {bytes, bytes};
    if (setrlimit(resource, &limit) != 0)
        return 0;
    void *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 0;
    munmap(memory, 1 << 20);
    return 1;
}

#endif
