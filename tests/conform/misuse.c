/* SPDX-License-Identifier: MIT */
/*
 * misuse.c - freed memory that a program writes to, or frees twice: a line and an end, or with
 * HAKMEM_MISUSE=warn and ignore no end, but no pointer of the program's choice, nor one twice.
 *
 * Each act runs in a process of its own, this program again, and exits with 0 if nothing was handed
 * out that must not be.
 */
#define _GNU_SOURCE
#include "tests/lib/process.h"
#include "tests/lib/tap.h"
#include "tests/lib/weak.h"

#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

static void *(*volatile allocate)(size_t) = malloc; /* else the compiler knows better */
static void (*volatile release)(void *) = free;
static void *(*volatile resize)(void *, size_t) = realloc;
static uint64_t secret[16];

enum {
    SIZE = 64,
    MANY = 1000,
    ROUNDS = 3000,
};

/* ------------------------------------------------------------------ acts */

/* What is handed out from now on: never `secret`, nor anything at a wrong place. */
static int takes_well(void)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        void *object = allocate(SIZE);
        if (object == NULL || object == (void *)secret || (uintptr_t)object % 16 != 0)
            return 1;
    }
    return 0;
}

static int act_overwritten_link(void)
{
    for (unsigned room = 0; room <= 64; room++) {
        uint64_t *object = allocate(SIZE);
        release(object);
        *object = (uint64_t)(uintptr_t)secret << 16 | room;
    }
    return takes_well();
}

static int act_overwritten_bundle_link(void)
{
    static uint64_t *objects[MANY];
    for (unsigned i = 0; i < MANY; i++)
        objects[i] = allocate(SIZE);
    for (unsigned i = 0; i < MANY; i++)
        release(objects[i]);
    for (unsigned i = 0; i < MANY; i++)
        objects[i][1] = (uint64_t)(uintptr_t)secret << 16 | 1;
    return takes_well();
}

static void *overflow(void *unused)
{
    static char *objects[MANY];
    for (unsigned i = 0; i < MANY; i++)
        objects[i] = allocate(SIZE);
    for (unsigned i = MANY - 2; i > MANY / 2; i--)
        if (objects[i + 1] - objects[i] == SIZE) {
            release(objects[i + 1]);
            memset(objects[i] + SIZE, 0xff, 2);
            allocate(SIZE);
            break;
        }
    for (unsigned i = 0; i < MANY / 10; i++)
        release(objects[i]);
    return unused; /* and its front is flushed */
}

static int run_thread(void *(*run)(void *))
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, NULL) != 0)
        return 2;
    pthread_join(thread, NULL);
    malloc_trim(0);
    return takes_well();
}

static int act_overflow_by_two(void)
{
    return run_thread(overflow);
}

static void *free_twice(void *unused)
{
    char *objects[200];
    for (unsigned i = 0; i < 200; i++)
        objects[i] = allocate(SIZE);
    for (unsigned i = 0; i < 150; i++)
        release(objects[i]);
    release(objects[3]);
    return unused;
}

static int act_double_free_in_slab(void)
{
    return run_thread(free_twice);
}

static int act_double_free(void)
{
    enum { BETWEEN = 8 };
    void *objects[BETWEEN];
    unsigned times = 0;
    for (unsigned i = 0; i < BETWEEN; i++)
        objects[i] = allocate(SIZE);
    for (unsigned i = 0; i < BETWEEN; i++)
        release(objects[i]);
    release(objects[0]);
    for (unsigned i = 0; i < ROUNDS; i++)
        times += allocate(SIZE) == objects[0];
    return times > 1;
}

static int act_free_of_high_address(void)
{
    release(allocate(1));
    release((void *)UINT64_C(0xdeadbeefdeadbee0));
    return 0;
}

static int act_realloc_of_interior(void)
{
    char *object = allocate(SIZE);
    char *resized = resize(object + 16, SIZE - 16);
    return resized == object + 16;
}

/* What is handed out next must not have two owners. */
static int shares(const char *object, size_t size)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        const char *other = allocate(size);
        if (other > object - size && other < object + size)
            return 1;
    }
    return 0;
}

static int act_free_twice_at_once(void)
{
    char *object = allocate(SIZE);
    release(object);
    release(object);
    allocate(SIZE); /* its one new owner */
    return shares(object, SIZE);
}

static int act_free_twice_around_one(void)
{
    char *object = allocate(SIZE);
    release(object);
    char *owner = allocate(SIZE);
    release(owner);
    release(object);
    allocate(SIZE);
    return owner == object && shares(object, SIZE);
}

static int act_free_of_odd(void)
{
    char *object = allocate(SIZE);
    release(object + 1);
    return shares(object, SIZE);
}

/* A multiple of 16, but the class's size has more zeros at its end. */
static int act_free_of_misplaced(void)
{
    char *object = allocate(SIZE);
    release(object + 16);
    return shares(object, SIZE);
}

static int act_free_of_misplaced_mid(void)
{
    char *object = allocate(3000);
    release(object + 32);
    return shares(object, 3000);
}

/* ---- what only HAKMEM_MISUSE=check tells in any mode, and at once --------------------------- */

static int act_free_of_interior(void)
{
    release((char *)allocate(3000) + 1024);
    return 0;
}

static int act_free_twice_around_another(void)
{
    char *object = allocate(SIZE);
    char *other = allocate(SIZE);
    release(object);
    release(other);
    release(object);
    return 0;
}

static int act_free_past_the_fronts(void)
{
    char *object = allocate(SIZE);
    release(object);
    hakmem_free_direct(object);
    return takes_well();
}

static int act_realloc_of_freed(void)
{
    char *object = allocate(SIZE);
    release(object);
    return resize(object, SIZE) == object;
}

static int act_free_of_empty_twice(void)
{
    char *empty = allocate(0);
    release(empty);
    release(empty);
    return 0;
}

static int act_free_beside_empty(void)
{
    release((char *)allocate(0) + 1);
    return 0;
}

static int act_realloc_of_freed_empty(void)
{
    char *empty = allocate(0);
    release(empty);
    return resize(empty, SIZE) != NULL;
}

/* ---- what is no misuse, or is ended by the processor ---------------------------------------- */

static int act_use_of_empty(void)
{
    char *empty[3] = {allocate(0), allocate(0), calloc(0, 8)};
    if (empty[0] == empty[1] || empty[1] == empty[2] || malloc_usable_size(empty[0]) != 0)
        return 1;
    char *grown = resize(empty[0], SIZE);
    if (grown == NULL || malloc_usable_size(grown) < SIZE)
        return 2;
    memset(grown, 1, SIZE);
    if (resize(empty[1], 0) != NULL)
        return 3;
    release(empty[2]);
    release(grown);
    return 0;
}

/* Some have no memory; what the window has no room for has some. */
static int act_more_empties_than_fit(void)
{
    enum { MANY = 70000, AT_LEAST = 4096 };
    static char *many[MANY];
    unsigned empty = 0;
    for (unsigned round = 0; round < 2; round++) {
        empty = 0;
        for (unsigned i = 0; i < MANY; i++) {
            many[i] = allocate(0);
            size_t usable = malloc_usable_size(many[i]);
            empty += usable == 0;
            memset(many[i], 1, usable);
        }
        for (unsigned i = 0; i < MANY; i++)
            release(many[i]);
    }
    return empty >= AT_LEAST && empty < MANY ? 0 : 1;
}

/* Without addresses for the window it is memory. */
static int act_empty_without_addresses(void)
{
    const struct rlimit least = {1 << 20, 1 << 20};
    void *small = allocate(1);
    if (setrlimit(RLIMIT_AS, &least) != 0)
        return 1;
    char *empty = allocate(0);
    if (empty == NULL)
        return 2;
    *empty = 1;
    release(empty);
    release(small);
    return 0;
}

/* A byte of each kernel page is A. */
static void mark(char *object, size_t size)
{
    for (size_t byte = 0; byte < size; byte += 4096)
        object[byte] = 'A';
}

static size_t marks_left(const volatile char *object, size_t size)
{
    size_t left = 0;
    for (size_t byte = 0; byte < size; byte += 4096)
        left += object[byte] != 0;
    return left;
}

/* Large memory that was freed, and the whale that follows another. */
static int act_read_of_large_free(void)
{
    enum { RUN = 5 << 20, WHALE = 40 << 20 };
    char *run = allocate(RUN);
    char *whale = allocate(WHALE);
    mark(run, RUN);
    mark(whale, WHALE);
    release(whale);
    release(run);
    if (marks_left(run, RUN) != 0)
        return 1;
    whale = allocate(WHALE);
    size_t left = marks_left(whale, WHALE);
    release(whale);
    return left == 0 ? 0 : 2;
}

/* What is free reads as zero, and so does what is handed out. */
static int act_read_of_free(void)
{
    static const size_t sizes[] = {1, SIZE, 3000, 20000, 200000};
    for (unsigned i = 0; i < TAP_COUNT(sizes); i++) {
        volatile char *object = allocate(sizes[i]);
        for (size_t byte = 0; byte < sizes[i]; byte++)
            object[byte] = 'A';
        release((void *)object);
        for (size_t byte = 8; byte < sizes[i]; byte++)
            if (object[byte] != 0)
                return 1;
        object = allocate(sizes[i]);
        for (size_t byte = 0; byte < sizes[i]; byte++)
            if (object[byte] != 0)
                return 2;
        release((void *)object);
    }
    return 0;
}

static int act_read_of_empty(void)
{
    return *(volatile char *)allocate(0) & 0;
}

static int act_write_of_empty(void)
{
    volatile size_t nothing = 0; /* or the compiler says what is wrong */
    *(volatile char *)calloc(8, nothing) = 0;
    return 0;
}

void _ZdlPvm(void *object, size_t size) __attribute__((weak));

static int act_delete_of_other_size(void)
{
    _ZdlPvm(allocate(SIZE), 4 * SIZE);
    return 0;
}

struct act {
    const char *name;
    int (*act)(void);
};

static const struct act acts[] = {
    {"overwritten-link", act_overwritten_link},
    {"overwritten-bundle-link", act_overwritten_bundle_link},
    {"overflow-by-two", act_overflow_by_two},
    {"double-free-in-slab", act_double_free_in_slab},
    {"double-free", act_double_free},
    {"free-of-high-address", act_free_of_high_address},
    {"realloc-of-interior", act_realloc_of_interior},
    {"free-twice-at-once", act_free_twice_at_once},
    {"free-twice-around-one", act_free_twice_around_one},
    {"free-of-odd", act_free_of_odd},
    {"free-of-misplaced", act_free_of_misplaced},
    {"free-of-misplaced-mid", act_free_of_misplaced_mid},
    {"free-past-the-fronts", act_free_past_the_fronts},
    {"free-of-empty-twice", act_free_of_empty_twice},
    {"free-beside-empty", act_free_beside_empty},
    {"free-twice-around-another", act_free_twice_around_another},
    {"free-of-interior", act_free_of_interior},
    {"realloc-of-freed", act_realloc_of_freed},
    {"delete-of-other-size", act_delete_of_other_size},
    {"realloc-of-freed-empty", act_realloc_of_freed_empty},
    {"read-of-free", act_read_of_free},
    {"read-of-large-free", act_read_of_large_free},
    {"use-of-empty", act_use_of_empty},
    {"more-empties-than-fit", act_more_empties_than_fit},
    {"empty-without-addresses", act_empty_without_addresses},
    {"read-of-empty", act_read_of_empty},
    {"write-of-empty", act_write_of_empty},
};

/* Those before ALWAYS are told by default, those from AT_ONCE on if each pointer is looked at: links
 * that are written over lead nowhere then. Those from GOES_ON on are no faults (the first two if
 * what is freed is cleared), and from NO_MEMORY on the processor ends them. */
enum { ALWAYS = 15, AT_ONCE = 3, GOES_ON = 20, EMPTY = 22, NO_MEMORY = 25 };

/* ------------------------------------------------------------------ the others' process */

static int run_apart(const char *name, const char *misuse, char *said, size_t size)
{
    int ends[2];
    if (pipe(ends) != 0)
        return 126;
    pid_t child = process_fork();
    if (child == 0) {
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        setenv("HAKMEM_MISUSE", misuse, 1);
        execl("/proc/self/exe", "misuse", "act", name, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    ssize_t length = read(ends[0], said, size - 1);
    said[length > 0 ? length : 0] = '\0';
    int status = process_wait(child, 60);
    close(ends[0]);
    return status;
}

static void expect(unsigned first, unsigned last, const char *misuse, int status, int line)
{
    char said[4096];
    if (tap_is_reference()) {
        tap_skip("glibc has a way of its own");
        return;
    }
    for (unsigned i = first; i < last; i++) {
        int ended = run_apart(acts[i].name, misuse, said, sizeof said);
        if (!EXPECT_EQ(ended, status) || !EXPECT((strstr(said, "hakmem: ") != NULL) == line))
            printf("# %s, HAKMEM_MISUSE=%s: %s\n", acts[i].name, misuse, said);
    }
}

static void test_a_line_and_an_end(void)
{
    expect(0, ALWAYS, "abort", 128 + SIGABRT, 1);
}

static void test_a_line_and_no_end(void)
{
    expect(0, ALWAYS, "warn", 0, 1);
}

static void test_neither(void)
{
    expect(0, ALWAYS, "ignore", 0, 0);
}

static void test_checks(void)
{
    expect(AT_ONCE, GOES_ON, "check", 128 + SIGABRT, 1);
}

static void test_checks_of_memory(void)
{
    expect(GOES_ON, NO_MEMORY, "check", 0, 0);
    expect(NO_MEMORY, TAP_COUNT(acts), "check", 128 + SIGSEGV, 0);
}

static void test_empty_objects(void)
{
    char said[4096];
    expect(GOES_ON - 1, GOES_ON, "abort", 128 + SIGABRT, 1);
    if (!tap_is_reference()) {
        run_apart(acts[GOES_ON - 1].name, "abort", said, sizeof said);
        EXPECT(strstr(said, "freed already") != NULL);
    }
    expect(EMPTY, NO_MEMORY, "abort", 0, 0);
    expect(NO_MEMORY, TAP_COUNT(acts), "abort", 128 + SIGSEGV, 0);
    expect(NO_MEMORY, TAP_COUNT(acts), "warn", 0, 0);
    expect(NO_MEMORY, TAP_COUNT(acts), "ignore", 0, 0);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"misuse is reported and ends the program", test_a_line_and_an_end},
        {"with HAKMEM_MISUSE=warn it is reported, and does no harm", test_a_line_and_no_end},
        {"with HAKMEM_MISUSE=ignore it does no harm", test_neither},
        {"with HAKMEM_MISUSE=check the call itself finds it", test_checks},
        {"check clears freed objects", test_checks_of_memory},
        {"malloc(0) gives no memory, but with warn and ignore", test_empty_objects},
    };
    for (unsigned i = 0; argc == 3 && i < TAP_COUNT(acts); i++)
        if (strcmp(argv[2], acts[i].name) == 0)
            return acts[i].act();
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
