/* SPDX-License-Identifier: MIT */
/*
 * tap.c - runs a table of cases and prints TAP without allocating.
 *
 * tap_run is for the main thread; expectations and notes may come from any thread.
 */
#define _GNU_SOURCE
#include "tests/lib/tap.h"

#include <dlfcn.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 1024,
    FAILURES_SHOWN = 12, /* per case: a broken allocator fails in every loop */
    CASE_LIMIT_SECONDS =
        240, /* injected delays, little address space, a loaded machine: 90 was met */
};

extern const char __executable_start[]; /* by the linker: where the program's own code lies */
extern const char etext[];

static unsigned failures;                /* of the running case; any thread adds */
static char skip_reason[LINE_MAX_BYTES]; /* of the running case, empty when not skipped */
static const char *running = "start";    /* for the time-out's message */

static void write_all(const char *text, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDOUT_FILENO, text, length);
        if (written <= 0)
            _exit(125);
        text += written;
        length -= (size_t)written;
    }
}

/* Formats prefix + text + newline as one write, so that threads' lines do not mix. */
static void print_line(const char *prefix, const char *format, va_list arguments)
{
    char line[LINE_MAX_BYTES];
    size_t used = strlen(prefix);
    memcpy(line, prefix, used);
    int length = vsnprintf(line + used, sizeof(line) - used - 1, format, arguments);
    if (length > 0)
        used += (size_t)length < sizeof(line) - used - 1 ? (size_t)length : sizeof(line) - used - 2;
    line[used++] = '\n';
    write_all(line, used);
}

void tap_note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_line("# ", format, arguments);
    va_end(arguments);
}

static void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void print(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_line("", format, arguments);
    va_end(arguments);
}

void tap_skip(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(skip_reason, sizeof(skip_reason), format, arguments);
    va_end(arguments);
}

int tap_expect(int holds, const char *file, int line, const char *text)
{
    if (holds)
        return 1;
    /* relaxed: only a count, read by the main thread after it joined the others */
    if (__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED) < FAILURES_SHOWN)
        tap_note("%s:%d: %s: does not hold in %s", file, line, text, running);
    return 0;
}

int tap_expect_order(intmax_t left, const char *relation, intmax_t right, const char *file,
                     int line, const char *text)
{
    int holds = relation[0] == '<'   ? left <= right
                : relation[0] == '>' ? left >= right
                                     : left == right;
    if (holds)
        return 1;
    /* relaxed: as above */
    if (__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED) < FAILURES_SHOWN)
        tap_note("%s:%d: %s: %jd %s %jd does not hold in %s", file, line, text, left, relation,
                 right, running);
    return 0;
}

int tap_is_reference(void)
{
    const char *mode = getenv("HAKMEM_TEST_MODE");
    return mode && strcmp(mode, "reference") == 0;
}

/* The file that `function` was mapped from, resolved; empty when unknown. */
static void find_file(const void *function, char file[PATH_MAX])
{
    Dl_info info;
    file[0] = '\0';
    if (dladdr(function, &info) && info.dli_fname && !realpath(info.dli_fname, file))
        snprintf(file, PATH_MAX, "%s", info.dli_fname);
}

int tap_is_ours(const void *function)
{
    char expected[PATH_MAX];
    char found[PATH_MAX];
    const char *library = getenv("HAKMEM_TEST_LIBRARY");
    if (!library || !realpath(library, expected))
        return 0;
    find_file(function, found);
    return strcmp(found, expected) == 0;
}

/* Prints which file malloc came from, and checks that it is the one under test. */
static int check_origin(enum tap_origin origin)
{
    char file[PATH_MAX];
    uintptr_t address = (uintptr_t)&malloc;
    if (origin == TAP_STATIC) { /* the program need not export it, nor is there always a loader */
        tap_note("malloc is at %#jx, the program from %#jx", (uintmax_t)address,
                 (uintmax_t)(uintptr_t)__executable_start);
        return address >= (uintptr_t)__executable_start && address < (uintptr_t)etext;
    }
    const void *found = dlsym(RTLD_DEFAULT, "malloc");
    find_file(found, file);
    tap_note("malloc comes from %s", file);
    if (origin == TAP_ANY)
        return 1;
    if (origin == TAP_ELSEWHERE || (origin == TAP_PRELOADED && tap_is_reference()))
        return strstr(file, "/libc.so.6") != NULL || strstr(file, "/libc-2") != NULL;
    return tap_is_ours(found);
}

static void on_alarm(int signal_number)
{
    (void)signal_number;
    tap_note("timed out in: %s", running);
    _exit(124);
}

static int run_case(const struct tap_case *one, unsigned number)
{
    running = one->name;
    /* relaxed: no other thread is running between two cases */
    __atomic_store_n(&failures, 0, __ATOMIC_RELAXED);
    skip_reason[0] = '\0';
    alarm(CASE_LIMIT_SECONDS);
    one->run();
    alarm(0);
    int failed = __atomic_load_n(&failures, __ATOMIC_RELAXED) != 0; /* relaxed: as above */
    if (skip_reason[0] && !failed)
        print("ok %u - %s # SKIP %s", number, one->name, skip_reason);
    else
        print("%s %u - %s", failed ? "not ok" : "ok", number, one->name);
    return failed;
}

int tap_run(int argc, char **argv, enum tap_origin origin, const struct tap_case *cases,
            size_t count)
{
    const char *only = argc > 1 ? argv[1] : "";
    signal(SIGALRM, on_alarm);
    size_t selected = 0;
    for (size_t i = 0; i < count; i++)
        selected += strstr(cases[i].name, only) != NULL;
    print("1..%zu", selected + 1);
    int proved = check_origin(origin);
    print("%s 1 - the malloc under test is the one that is meant", proved ? "ok" : "not ok");
    int failed = !proved;
    unsigned number = 2;
    for (size_t i = 0; i < count; i++) {
        if (strstr(cases[i].name, only))
            failed |= run_case(&cases[i], number++);
    }
    return failed;
}
