/* SPDX-License-Identifier: MIT */
/*
 * misuse.h - what a program does to a malloc by mistake, or because somebody else steers it, and what
 * malloc does then. Each case is a process of its own.
 *
 * A case misuses and returns; what it holds alive it has told by hold(). Then the aftermath asks
 * for many objects of the case's size and looks where they lie.
 */
#ifndef HAK_TESTS_MISUSE_H
#define HAK_TESTS_MISUSE_H

#include <stddef.h>
#include <stdint.h>

struct misuse_case {
    const char *family;
    const char *name;
    void (*run)(size_t size, unsigned number);
    size_t size;     /* of the objects; also of those of the aftermath */
    unsigned number; /* what it means is the case's own */
};

extern const struct misuse_case misuse_cases[];
extern const size_t misuse_case_count;

/* The attacker's memory: writable, 16-aligned, and no malloc's. */
extern unsigned char *misuse_target;

/* Set while the case itself writes where it must not: a fault there is not malloc's, but a page
 * that stops the program in time. */
extern volatile int misuse_is_writing;

/* An object that the case owns to the end: nobody else may get its bytes. */
void misuse_hold(const void *object, size_t size);

#endif
