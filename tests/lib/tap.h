/* SPDX-License-Identifier: MIT */
/*
 * tap.h - test cases that speak TAP, for programs whose malloc is the thing under test.
 *
 * A program is a table of cases. A case is "ok" when none of its expectations failed; every failed
 * expectation prints its place and both operands as a comment. Nothing in here allocates: the
 * output goes from a buffer on the stack to write(2), so a broken malloc can still be reported.
 *
 * Any thread may state expectations (the counters are atomic); only the main thread runs cases.
 */
#ifndef HAK_TESTS_TAP_H
#define HAK_TESTS_TAP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tap_case {
    const char *name;  /* the statement that holds when the case passes */
    void (*run)(void); /* states expectations, or skips */
};

/* Where the program must have its malloc from; the first line of output proves it. */
enum tap_origin {
    TAP_PRELOADED, /* from $HAKMEM_TEST_LIBRARY by LD_PRELOAD; from libc in the mode `reference` */
    TAP_LINKED,    /* from $HAKMEM_TEST_LIBRARY because the program was linked with it */
    TAP_STATIC,    /* from the program itself */
    TAP_ELSEWHERE, /* from libc: the program loads our malloc itself */
    TAP_ANY,       /* from anywhere: the program calls ours by names of its own */
};

/* Runs the cases (only those whose name contains argv[1], if given); returns main's result. */
int tap_run(int argc, char **argv, enum tap_origin origin, const struct tap_case *cases,
            size_t count);

/* Nonzero when the cases are to be proved against glibc's malloc instead of ours. */
int tap_is_reference(void);

/* Nonzero when `function` lies in the library under test. */
int tap_is_ours(const void *function);

/* Prints one comment line. */
void tap_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Marks the running case as skipped, and says why. The case returns after it. */
void tap_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The functions behind the macros below; each returns whether the expectation held. */
int tap_expect(int holds, const char *file, int line, const char *text);
int tap_expect_order(intmax_t left, const char *relation, intmax_t right, const char *file,
                     int line, const char *text);

#define EXPECT(condition) tap_expect((condition) ? 1 : 0, __FILE__, __LINE__, #condition)

#define EXPECT_EQ(left, right) \
    tap_expect_order((intmax_t)(left), "==", (intmax_t)(right), __FILE__, __LINE__, \
                     #left " == " #right)
#define EXPECT_LE(left, right) \
    tap_expect_order((intmax_t)(left), "<=", (intmax_t)(right), __FILE__, __LINE__, \
                     #left " <= " #right)
#define EXPECT_GE(left, right) \
    tap_expect_order((intmax_t)(left), ">=", (intmax_t)(right), __FILE__, __LINE__, \
                     #left " >= " #right)

/* Leaves the (void) function when the condition does not hold. */
#define REQUIRE(condition) \
    do { \
        if (!EXPECT(condition)) \
            return; \
    } while (0)

#define TAP_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#ifdef __cplusplus
}
#endif

#endif
