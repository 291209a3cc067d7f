/* SPDX-License-Identifier: MIT */
/* inform.c - the calls that report on malloc or tune it: malloc_trim, malloc_stats, malloc_info,
 * mallinfo, mallinfo2, mallopt. */
#define _GNU_SOURCE
#include "tests/conform/sizes.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEPT = 64 };

static size_t bytes_in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void test_mallinfo2_counts(void)
{
    static void *objects[KEPT];
    size_t before = bytes_in_use();
    for (unsigned i = 0; i < KEPT; i++) {
        objects[i] = malloc(100 * KIB);
        REQUIRE(objects[i] != NULL);
        memset(objects[i], 1, 100 * KIB);
    }
    size_t during = bytes_in_use();
    EXPECT_GE(during, before + KEPT * 100 * KIB);
    EXPECT_LE(during, before + 3 * KEPT * 100 * KIB);
    struct mallinfo2 info = mallinfo2();
    EXPECT_GE(info.arena + info.hblkhd, KEPT * 100 * KIB);
    for (unsigned i = 0; i < KEPT; i++)
        free(objects[i]);
    EXPECT_LE(bytes_in_use(), before + KEPT * 100 * KIB / 2);
}

enum {
    SMALL = 1000000,
    SMALL_SIZE = 100,
    SMALL_KEPT = 100, /* one object in this many */
};

static char *small[SMALL];

static void *free_all_but_some(void *unused)
{
    for (unsigned i = 0; i < SMALL; i++)
        if (i % SMALL_KEPT != 0)
            free(small[i]);
    return unused;
}

/* The figures of few objects that are left of many, whichever thread freed the others. */
static void few_of_many(int by_another)
{
    size_t held = SMALL / SMALL_KEPT * SMALL_SIZE;
    size_t before = bytes_in_use();
    for (unsigned i = 0; i < SMALL; i++)
        REQUIRE((small[i] = malloc(SMALL_SIZE)) != NULL);
    size_t full = bytes_in_use() - before;
    if (by_another) {
        pthread_t thread;
        REQUIRE(pthread_create(&thread, NULL, free_all_but_some, NULL) == 0);
        pthread_join(thread, NULL);
    } else {
        free_all_but_some(NULL);
    }
    struct mallinfo2 info = mallinfo2();
    size_t left = bytes_in_use() - before;
    tap_note("%d objects of %d bytes: %zu KiB told; of a hundredth: %zu KiB", SMALL, SMALL_SIZE,
             full / KIB, left / KIB);
    EXPECT_GE(full, SMALL * SMALL_SIZE);
    EXPECT_LE(full, SMALL * SMALL_SIZE * 5 / 4); /* 112 bytes an object, under glibc, too */
    EXPECT_GE(left, held);
    EXPECT_LE(left, held * 5 / 4);
    EXPECT_GE(info.fordblks + info.uordblks, info.arena / 100 * 99);
    EXPECT_LE(info.fordblks + info.uordblks, info.arena);
    for (unsigned i = 0; i < SMALL; i += SMALL_KEPT)
        free(small[i]);
    EXPECT_LE(bytes_in_use(), before + held / 10);
}

static void test_mallinfo2_counts_objects(void)
{
    few_of_many(0);
    few_of_many(1);
}

static void test_mallinfo2_counts_whales(void)
{
    struct mallinfo2 before = mallinfo2();
    void *whale = malloc(400 * MIB); /* more than glibc may have free from the cases above */
    REQUIRE(whale != NULL);
    struct mallinfo2 during = mallinfo2();
    EXPECT_EQ(during.hblks, before.hblks + 1);
    EXPECT_GE(during.hblkhd, before.hblkhd + 400 * MIB);
    free(whale);
    EXPECT_EQ(mallinfo2().hblks, before.hblks);
}

static void test_old_mallinfo(void)
{
    void *object = malloc(300 * KIB);
    REQUIRE(object != NULL);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    struct mallinfo info = mallinfo();
#pragma GCC diagnostic pop
    EXPECT_GE((unsigned)info.arena + (unsigned)info.hblkhd, 300 * KIB);
    free(object);
}

/* The whole text that malloc_info(0) writes, or NULL. */
static char *read_info(void)
{
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    if (!stream)
        return NULL;
    EXPECT_EQ(malloc_info(0, stream), 0);
    fclose(stream);
    EXPECT_GE(length, 20);
    return text;
}

/* Free objects are reported by their size: many more after many were freed. */
static void info_tells_of_free_objects(void)
{
    enum { COUNT = 20000, SIZE = 208 };
    static void *objects[COUNT];
    for (unsigned i = 0; i < COUNT; i++)
        REQUIRE((objects[i] = malloc(SIZE)) != NULL);
    for (unsigned i = 0; i < COUNT; i++)
        if (i % 50 != 0)
            free(objects[i]);
    char *text = read_info();
    REQUIRE(text != NULL);
    unsigned long told = 0;
    for (char *at = text; (at = strstr(at, "<size from=\"208\"")) != NULL; at++) {
        char *count = strstr(at, "count=\"");
        REQUIRE(count != NULL);
        told += strtoul(count + 7, NULL, 10);
    }
    tap_note("%d freed, %lu told", COUNT - COUNT / 50, told);
    EXPECT_GE(told, COUNT - COUNT / 50);
    EXPECT_LE(told, COUNT * 2);
    EXPECT(strstr(text, "<heap nr=\"0\">") != NULL);
    free(text);
    for (unsigned i = 0; i < COUNT; i += 50)
        free(objects[i]);
}

static void test_malloc_info(void)
{
    char *text = read_info();
    REQUIRE(text != NULL);
    EXPECT(strncmp(text, "<malloc", 7) == 0 || strncmp(text, "<?xml", 5) == 0);
    EXPECT(strstr(text, "<malloc") != NULL);
    char *end = strstr(text, "</malloc>");
    EXPECT(end != NULL && end[9 + strspn(end + 9, " \n")] == '\0');
    free(text);
    if (!tap_is_reference())
        info_tells_of_free_objects();
    errno = 0;
    int result = malloc_info(1, stdout); /* only options == 0 is defined */
    EXPECT(result == EINVAL || (result == -1 && errno == EINVAL));
}

static void test_malloc_stats(void)
{
    char text[65536];
    int ends[2];
    REQUIRE(pipe2(ends, O_NONBLOCK) == 0);
    int saved = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    malloc_stats();
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    ssize_t length = read(ends[0], text, sizeof(text));
    close(ends[0]);
    EXPECT_GE(length, 20); /* "prints (on standard error) statistics" */
}

static void test_malloc_trim(void)
{
    enum { COUNT = 300000 };
    static void *objects[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        objects[i] = malloc(400);
        REQUIRE(objects[i] != NULL);
        memset(objects[i], 1, 400);
    }
    void *last = malloc(400); /* at the end, so that no heap shrinks by itself */
    for (unsigned i = 0; i < COUNT; i++)
        free(objects[i]);
    size_t before = process_resident();
    int result = malloc_trim(0);
    size_t after = process_resident();
    tap_note("malloc_trim(0) = %d: resident %zu KiB before, %zu KiB after", result, before / KIB,
             after / KIB);
    EXPECT(result == 0 || result == 1);
    EXPECT_LE(after, before + MIB);
    EXPECT_LE(after, 60 * MIB); /* 120 MB of free objects are not kept after a trim */
    free(last);
    result = malloc_trim(SIZE_MAX / 2);
    EXPECT(result == 0 || result == 1);
    void *object = malloc(400);
    EXPECT(object != NULL);
    free(object);
}

/* One object of fifty lives, always at the same place in the sequence: half of all pages hold
 * none. */
static void test_trim_between_objects(void)
{
    enum {
        COUNT = 200000,
        GROUP = 100, /* objects, of which the first two live: 40 KiB */
        SIZE = 400,
    };
    static char *objects[COUNT];
    size_t at_first = process_resident();
    for (unsigned i = 0; i < COUNT; i++) {
        objects[i] = malloc(SIZE);
        REQUIRE(objects[i] != NULL);
        memset(objects[i], 1, SIZE);
    }
    for (unsigned i = 0; i < COUNT; i++)
        if (i % GROUP >= 2)
            free(objects[i]);
    malloc_trim(0);
    size_t after = process_resident();
    tap_note("resident %zu KiB before, %zu KiB after", at_first / KIB, after / KIB);
    /* 2,000 pairs of objects, each on one or two pages, and the memory of the table and the
     * library. */
    EXPECT_LE(after, at_first + 30 * MIB);
    for (unsigned i = 0; i < COUNT; i++)
        if (i % GROUP < 2) {
            EXPECT_EQ(objects[i][0] + objects[i][SIZE - 1], 2);
            free(objects[i]);
        }
}

static void test_mallopt(void)
{
    const int parameters[][2] = {
        {M_MXFAST, 64},       {M_TRIM_THRESHOLD, 1 << 20},
        {M_TOP_PAD, 1 << 16}, {M_MMAP_THRESHOLD, 1 << 18},
        {M_MMAP_MAX, 1000},   {M_CHECK_ACTION, 1},
        {M_ARENA_TEST, 4},    {M_ARENA_MAX, 8},
    };
    for (unsigned i = 0; i < TAP_COUNT(parameters); i++) {
        int result = mallopt(parameters[i][0], parameters[i][1]);
        EXPECT(result == 0 || result == 1);
        void *object = malloc(100000);
        EXPECT(object != NULL);
        free(object);
    }
    EXPECT_EQ(mallopt(M_MMAP_THRESHOLD, 1 << 18), 1); /* programs check this one */
    int unknown = mallopt(12345, 1);
    EXPECT(unknown == 0 || unknown == 1);
}

/* glibc's own answer would describe a malloc that the program does not use. */
static void test_all_are_ours(void)
{
    static const char *const names[] = {
        "malloc",
        "free",
        "calloc",
        "realloc",
        "reallocarray",
        "aligned_alloc",
        "posix_memalign",
        "memalign",
        "valloc",
        "pvalloc",
        "malloc_usable_size",
        "malloc_trim",
        "malloc_stats",
        "malloc_info",
        "mallinfo",
        "mallinfo2",
        "mallopt",
    };
    for (unsigned i = 0; i < TAP_COUNT(names); i++) {
        void *function = dlsym(RTLD_DEFAULT, names[i]);
        if (!EXPECT(function && tap_is_ours(function) == !tap_is_reference()))
            tap_note("%s is not from the library under test", names[i]);
    }
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"the whole malloc family comes from one library", test_all_are_ours},
        {"mallinfo2 counts memory in use", test_mallinfo2_counts},
        {"mallinfo2 counts objects, not slabs", test_mallinfo2_counts_objects},
        {"mallinfo2 counts whales", test_mallinfo2_counts_whales},
        {"mallinfo answers", test_old_mallinfo},
        {"malloc_info writes a <malloc> element, and refuses options", test_malloc_info},
        {"malloc_stats prints on stderr", test_malloc_stats},
        {"malloc_trim gives free memory back", test_malloc_trim},
        {"malloc_trim gives back free pages between live objects", test_trim_between_objects},
        {"mallopt takes glibc's parameters", test_mallopt},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
