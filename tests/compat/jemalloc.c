/* SPDX-License-Identifier: MIT */
/*
 * jemalloc.c - each call of jemalloc's interface, and each of its errors.
 */
#include "compat/jemalloc.h"
#include "tests/lib/tap.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static const size_t sizes[] = {1,    8,     16,    17,    100,    1000,   1025,
                               4096, 20000, 32768, 32769, 100000, 3000000};

static int is_zero(const unsigned char *bytes, size_t size)
{
    size_t i = 0;
    while (i < size && bytes[i] == 0)
        i++;
    return i == size;
}

static size_t size_at(const char *name)
{
    size_t value = 0, size = sizeof value;
    EXPECT_EQ(mallctl(name, &value, &size, NULL, 0), 0);
    return value;
}

static unsigned new_arena(void)
{
    unsigned arena = 0;
    size_t size = sizeof arena;
    EXPECT_EQ(mallctl("arenas.create", &arena, &size, NULL, 0), 0);
    return arena;
}

/* arena.<i>.COMMAND; its result. */
static int command(unsigned arena, const char *name)
{
    size_t mib[3], length = 3;
    char whole[64] = "arena.0.";
    strcat(whole, name);
    EXPECT_EQ(mallctlnametomib(whole, mib, &length), 0);
    EXPECT_EQ(length, 3);
    mib[1] = arena;
    return mallctlbymib(mib, length, NULL, NULL, NULL, 0);
}

static unsigned arena_of(void *object)
{
    unsigned arena = 99;
    size_t size = sizeof arena;
    EXPECT_EQ(mallctl("arenas.lookup", &arena, &size, &object, sizeof object), 0);
    return arena;
}

/* ------------------------------------------------------------------ objects */

static void test_objects(void)
{
    for (unsigned i = 0; i < TAP_COUNT(sizes); i++) {
        unsigned char *object = mallocx(sizes[i], 0);
        REQUIRE(object != NULL);
        EXPECT_GE(sallocx(object, 0), sizes[i]);
        EXPECT_EQ(sallocx(object, 0), malloc_usable_size(object));
        EXPECT_GE(sallocx(object, 0), nallocx(sizes[i], 0));
        EXPECT_GE(nallocx(sizes[i], 0), sizes[i]);
        memset(object, 0xaa, sallocx(object, 0));
        EXPECT_EQ(xallocx(object, sizes[i], 0, 0), sallocx(object, 0));
        dallocx(object, 0);
        object = mallocx(sizes[i], MALLOCX_ZERO);
        REQUIRE(object != NULL);
        EXPECT(is_zero(object, sallocx(object, 0)));
        sdallocx(object, sizes[i], MALLOCX_TCACHE_NONE);
    }
}

static void test_alignment(void)
{
    for (size_t alignment = 1; alignment <= 1 << 21; alignment *= 2) {
        unsigned char *object = mallocx(100, MALLOCX_ALIGN(alignment) | MALLOCX_ZERO);
        REQUIRE(object != NULL);
        EXPECT_EQ((uintptr_t)object % alignment, 0);
        EXPECT(is_zero(object, sallocx(object, 0)));
        EXPECT_GE(sallocx(object, 0), nallocx(100, MALLOCX_ALIGN(alignment)));
        memset(object, 7, 100);
        object = rallocx(object, 5000, MALLOCX_ALIGN(alignment));
        REQUIRE(object != NULL);
        EXPECT_EQ((uintptr_t)object % alignment, 0);
        EXPECT(object[0] == 7 && object[99] == 7);
        dallocx(object, MALLOCX_ALIGN(alignment));
    }
    void *object = mallocx(64, MALLOCX_LG_ALIGN(12));
    EXPECT_EQ((uintptr_t)object % 4096, 0);
    free(object);
}

/* Objects of all sizes past the caches, and the hint about them. */
static void test_uncached(void)
{
    void *objects[TAP_COUNT(sizes)];
    for (unsigned i = 0; i < TAP_COUNT(sizes); i++) {
        unsigned char *object = mallocx(sizes[i], MALLOCX_TCACHE_NONE | MALLOCX_ZERO);
        REQUIRE(object != NULL);
        EXPECT(is_zero(object, sallocx(object, 0)));
        EXPECT_GE(sallocx(object, 0), sizes[i]);
        memset(object, 0xaa, sallocx(object, 0));
        EXPECT(je_get_defrag_hint(object) == 0 || je_get_defrag_hint(object) == 1);
        objects[i] = object;
    }
    EXPECT_EQ(je_get_defrag_hint(objects[TAP_COUNT(sizes) - 1]), 0); /* shares no page */
    errno = 0;
    EXPECT_EQ(je_get_defrag_hint(objects), 0);
    EXPECT_EQ(errno, 0);
    for (unsigned i = 0; i < TAP_COUNT(sizes); i++)
        dallocx(objects[i], i % 2 != 0 ? MALLOCX_TCACHE_NONE : 0);
}

static void test_growing_zeroes(void)
{
    unsigned char *object = mallocx(10, MALLOCX_ZERO);
    REQUIRE(object != NULL);
    for (size_t size = 20; size < 1 << 20; size *= 3) {
        size_t usable = sallocx(object, 0);
        memset(object, 0xff, usable);
        object = rallocx(object, size, MALLOCX_ZERO);
        REQUIRE(object != NULL);
        EXPECT(usable >= size || is_zero(object + usable, sallocx(object, 0) - usable));
        EXPECT_EQ(object[0], 0xff);
    }
    object = rallocx(object, 3, 0);
    EXPECT(object != NULL && object[2] == 0xff);
    dallocx(object, 0);
}

static void test_too_much(void)
{
    volatile size_t most = SIZE_MAX, half = (size_t)PTRDIFF_MAX + 1;
    EXPECT(mallocx(most, 0) == NULL);
    EXPECT(mallocx(half, MALLOCX_ALIGN(4096)) == NULL);
    EXPECT_EQ(nallocx(most, 0), 0);
    EXPECT_EQ(nallocx(half, 0), 0);
    EXPECT_EQ(nallocx(1, MALLOCX_ALIGN(half)), 0);
    EXPECT(mallocx(1, MALLOCX_ARENA(4000)) == NULL);
    void *object = mallocx(1, 0);
    EXPECT(rallocx(object, half, 0) == NULL);
    dallocx(object, 0);
}

/* ------------------------------------------------------------------ arenas */

static void test_arenas(void)
{
    unsigned arena = new_arena();
    EXPECT_GE(arena, 1);
    int flags = MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE;
    for (unsigned i = 0; i < TAP_COUNT(sizes); i++) {
        void *object = mallocx(sizes[i], flags);
        REQUIRE(object != NULL);
        EXPECT_EQ(arena_of(object), arena);
        object = rallocx(object, sizes[i] * 2, 0);
        EXPECT_EQ(arena_of(object), arena);
        object = rallocx(object, sizes[i], MALLOCX_ARENA(0));
        EXPECT_EQ(arena_of(object), 0);
        object = rallocx(object, sizes[i], flags | MALLOCX_ALIGN(64));
        EXPECT_EQ(arena_of(object), arena);
        dallocx(object, flags);
    }
    EXPECT_EQ(command(arena, "purge"), 0);
    EXPECT_EQ(command(arena, "decay"), 0);
    EXPECT_EQ(command(MALLCTL_ARENAS_ALL, "purge"), 0);
    EXPECT_EQ(command(0, "purge"), 0);
    EXPECT(mallocx(100000, flags) != NULL);
    EXPECT_EQ(command(arena, "reset"), 0);
    void *object = mallocx(10, flags);
    EXPECT_EQ(arena_of(object), arena);
    EXPECT_EQ(command(arena, "destroy"), 0);
    EXPECT(mallocx(10, flags) == NULL);
    EXPECT_EQ(command(arena, "destroy"), EFAULT);
    EXPECT_EQ(command(arena, "reset"), EFAULT);
    EXPECT_EQ(command(0, "destroy"), EFAULT);
    EXPECT_EQ(command(4000, "purge"), EFAULT);
    EXPECT_EQ(new_arena(), arena);
    EXPECT_EQ(command(arena, "destroy"), 0);
}

static void test_arena_figures(void)
{
    unsigned arena = new_arena();
    size_t mib[5], length = 5, value, size = sizeof value;
    EXPECT_EQ(mallctlnametomib("stats.arenas.0.small.allocated", mib, &length), 0);
    EXPECT_EQ(length, 5);
    mib[2] = arena;
    EXPECT_EQ(mallctlbymib(mib, length, &value, &size, NULL, 0), 0);
    EXPECT_EQ(value, 0);
    void *object = mallocx(1000, MALLOCX_ARENA(arena));
    EXPECT_EQ(mallctlbymib(mib, length, &value, &size, NULL, 0), 0);
    EXPECT_EQ(value, sallocx(object, 0));
    mib[2] = 4000;
    EXPECT_EQ(mallctlbymib(mib, length, &value, &size, NULL, 0), ENOENT);
    EXPECT_EQ(command(arena, "destroy"), 0);
}

/* ------------------------------------------------------------------ figures */

static void test_figures(void)
{
    enum { SIZE = 8 << 20 };
    size_t before = size_at("stats.allocated");
    char *object = mallocx(SIZE, 0);
    REQUIRE(object != NULL);
    memset(object, 1, SIZE);
    uint64_t epoch = 1, next = 0;
    size_t size = sizeof epoch;
    EXPECT_EQ(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch), 0);
    EXPECT_EQ(mallctl("epoch", &epoch, &size, NULL, 0), 0);
    EXPECT_EQ(mallctl("epoch", &next, &size, &epoch, sizeof epoch), 0);
    EXPECT_EQ(next, epoch + 1);
    size_t allocated = size_at("stats.allocated");
    EXPECT_GE(allocated, before + SIZE);
    EXPECT_GE(before + SIZE + (SIZE >> 3), allocated);
    EXPECT_GE(size_at("stats.active"), allocated);
    EXPECT_EQ(size_at("stats.active") % 4096, 0);
    EXPECT_GE(size_at("stats.resident"), size_at("stats.active"));
    EXPECT_GE(size_at("stats.mapped"), size_at("stats.active"));
    EXPECT_GE(size_at("stats.metadata"), 1);
    EXPECT_GE(size_at("stats.arenas.0.large.allocated"), SIZE);
    EXPECT_GE(size_at("stats.arenas.4096.pactive") * 4096, allocated);
    dallocx(object, 0);
    EXPECT_GE(before + (SIZE >> 3), size_at("stats.allocated"));
}

static void test_classes(void)
{
    unsigned bins = 0;
    size_t size = sizeof bins, mib[4], length = 4;
    EXPECT_EQ(mallctl("arenas.nbins", &bins, &size, NULL, 0), 0);
    EXPECT_GE(bins, 20);
    EXPECT_EQ(mallctlnametomib("arenas.bin.0.size", mib, &length), 0);
    EXPECT_EQ(length, 4);
    size_t last = 0, bytes;
    for (unsigned bin = 0; bin < bins; bin++) {
        mib[2] = bin;
        size = sizeof bytes;
        EXPECT_EQ(mallctlbymib(mib, length, &bytes, &size, NULL, 0), 0);
        EXPECT_GE(bytes, last + 1);
        EXPECT_EQ(nallocx(last + 1, 0), bytes);
        EXPECT_GE(nallocx(bytes, 0), bytes);
        last = bytes;
    }
    mib[2] = bins;
    EXPECT_EQ(mallctlbymib(mib, length, &bytes, &size, NULL, 0), ENOENT);
    EXPECT_EQ(mallctl("arenas.nlextents", &bins, &size, NULL, 0), EINVAL);
    size = sizeof bins;
    EXPECT_EQ(mallctl("arenas.nlextents", &bins, &size, NULL, 0), 0);
    EXPECT_GE(bins, 20);
    EXPECT_EQ(nallocx(size_at("arenas.lextent.0.size"), 0), size_at("arenas.lextent.0.size"));
    EXPECT_EQ(size_at("arenas.quantum"), 16);
    EXPECT_EQ(size_at("arenas.page"), 4096);
}

/* ------------------------------------------------------------------ errors */

static void test_errors(void)
{
    size_t value = 0, size = sizeof value, mib[8], length = 8;
    static const char *const unknown[] = {"",
                                          ".",
                                          "stats",
                                          "stats.",
                                          "stats.allocatedd",
                                          "nothing",
                                          "arena.0",
                                          "arena.x.purge",
                                          "stats.allocated.more",
                                          "thread.allocated",
                                          "arenas.bin.99999.size",
                                          "opt.nothing"};
    for (unsigned i = 0; i < TAP_COUNT(unknown); i++)
        EXPECT_EQ(mallctl(unknown[i], &value, &size, NULL, 0), ENOENT);
    EXPECT_EQ(mallctlnametomib("nothing", mib, &length), ENOENT);
    EXPECT_EQ(mallctlnametomib("stats.nothing", mib, &length), ENOENT);
    length = 2;
    EXPECT_EQ(mallctlnametomib("arenas.bin.0.size", mib, &length), 0);
    EXPECT_EQ(length, 2);
    EXPECT_EQ(mallctlbymib(mib, length, &value, &size, NULL, 0), ENOENT);
    EXPECT_EQ(mallctlbymib(mib, 0, &value, &size, NULL, 0), ENOENT);
    mib[0] = SIZE_MAX;
    EXPECT_EQ(mallctlbymib(mib, 1, &value, &size, NULL, 0), ENOENT);
    size = 4;
    EXPECT_EQ(mallctl("stats.allocated", &value, &size, NULL, 0), EINVAL);
    EXPECT_EQ(size, 4);
    size = 16;
    size_t wide[2];
    EXPECT_EQ(mallctl("stats.allocated", wide, &size, NULL, 0), EINVAL);
    EXPECT_EQ(size, sizeof(size_t));
    EXPECT_EQ(mallctl("stats.allocated", NULL, NULL, &value, sizeof value), EPERM);
    EXPECT_EQ(mallctl("version", NULL, NULL, &value, sizeof value), EPERM);
    EXPECT_EQ(mallctl("epoch", NULL, NULL, &value, 1), EINVAL);
    size = sizeof value;
    EXPECT_EQ(mallctl("arena.0.purge", &value, &size, NULL, 0), EPERM);
    EXPECT_EQ(mallctl("tcache.flush", &value, &size, NULL, 0), EPERM);
    EXPECT_EQ(mallctl("arenas.create", NULL, NULL, NULL, 0), EINVAL);
    unsigned arenas = 0, still = 0;
    size = sizeof arenas;
    EXPECT_EQ(mallctl("arenas.narenas", &arenas, &size, NULL, 0), 0);
    size = 8;
    EXPECT_EQ(mallctl("arenas.create", &value, &size, NULL, 0), EINVAL);
    size = sizeof still;
    EXPECT_EQ(mallctl("arenas.narenas", &still, &size, NULL, 0), 0);
    EXPECT_EQ(arenas, still);
    void *foreign = &value;
    EXPECT_EQ(mallctl("arenas.lookup", &still, &size, &foreign, sizeof foreign), EINVAL);
    EXPECT_EQ(mallctl("prof.active", &value, &size, NULL, 0), ENOENT);
    EXPECT_EQ(mallctl("prof.dump", NULL, NULL, NULL, 0), ENOENT);
}

static void test_utilization(void)
{
    void *objects[] = {mallocx(100, 0), mallocx(100000, 0), &objects};
    size_t figures[3][3], one[6], size = sizeof figures;
    static const char query[] = "experimental.utilization.query";
    static const char batch[] = "experimental.utilization.batch_query";
    EXPECT_EQ(mallctl(batch, figures, &size, objects, sizeof objects), 0);
    EXPECT_GE(figures[0][1], 2);
    EXPECT_GE(figures[0][1], figures[0][0] + 1);
    EXPECT_GE(figures[0][2], figures[0][1] * sallocx(objects[0], 0));
    EXPECT_EQ(figures[1][0], 0);
    EXPECT_EQ(figures[1][1], 1);
    EXPECT_EQ(figures[1][2], sallocx(objects[1], 0));
    EXPECT_EQ(figures[2][2], 0);
    size = sizeof one;
    EXPECT_EQ(mallctl(query, one, &size, objects, sizeof *objects), 0);
    EXPECT_EQ(one[0], 0);
    EXPECT_EQ(one[2], figures[0][1]);
    EXPECT_EQ(one[3], figures[0][2]);
    EXPECT_GE(one[5], one[2]);
    EXPECT_EQ(mallctl(query, one, &size, objects, sizeof objects), EINVAL);
    size = sizeof figures - 1;
    EXPECT_EQ(mallctl(batch, figures, &size, objects, sizeof objects), EINVAL);
    EXPECT_EQ(mallctl(batch, NULL, NULL, objects, sizeof objects), EINVAL);
    EXPECT_EQ(mallctl(batch, figures, &size, NULL, 0), EINVAL);
    dallocx(objects[0], 0);
    dallocx(objects[1], 0);
}

static void test_threads(void)
{
    unsigned arena = 7;
    size_t size = sizeof arena;
    EXPECT_EQ(mallctl("thread.arena", &arena, &size, NULL, 0), 0);
    EXPECT_EQ(arena, 0);
    EXPECT_EQ(mallctl("thread.arena", NULL, NULL, &arena, sizeof arena), 0);
    arena = 1;
    EXPECT_EQ(mallctl("thread.arena", NULL, NULL, &arena, sizeof arena), EFAULT);
    EXPECT_EQ(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0), 0);
    EXPECT_EQ(mallctl("thread.idle", NULL, NULL, NULL, 0), 0);
    bool is_on = true;
    EXPECT_EQ(mallctl("background_thread", NULL, NULL, &is_on, sizeof is_on), EFAULT);
    is_on = false;
    EXPECT_EQ(mallctl("background_thread", NULL, NULL, &is_on, sizeof is_on), 0);
    bool was_on = false;
    size_t bool_size = sizeof was_on;
    EXPECT_EQ(mallctl("thread.tcache.enabled", &was_on, &bool_size, &is_on, sizeof is_on), 0);
    EXPECT_EQ(was_on, true);
    is_on = true;
    EXPECT_EQ(mallctl("thread.tcache.enabled", &was_on, &bool_size, &is_on, sizeof is_on), 0);
    EXPECT_EQ(was_on, false);
    unsigned cache;
    EXPECT_EQ(mallctl("tcache.create", &cache, &size, NULL, 0), 0);
    void *object = mallocx(10, MALLOCX_TCACHE(cache));
    EXPECT(object != NULL);
    dallocx(object, MALLOCX_TCACHE(cache));
    EXPECT_EQ(mallctl("tcache.flush", NULL, NULL, &cache, sizeof cache), 0);
    EXPECT_EQ(mallctl("tcache.destroy", NULL, NULL, &cache, sizeof cache), 0);
}

/* ------------------------------------------------------------------ what is printed */

static char printed[16384];

static void keep(void *opaque, const char *text)
{
    EXPECT(opaque == printed);
    if (strlen(printed) + strlen(text) < sizeof printed)
        strcat(printed, text);
}

static void test_print(void)
{
    malloc_stats_print(keep, printed, NULL);
    EXPECT(strstr(printed, "\nstats.allocated: ") != NULL);
    EXPECT(strstr(printed, "\nopt.narenas: 0\n") != NULL);
    EXPECT(strstr(printed, "\nversion: 5.3.0") != NULL);
    printed[0] = '\0';
    malloc_stats_print(keep, printed, "J");
    EXPECT(strncmp(printed, "{\"jemalloc\":{\"version\":\"", 24) == 0);
    EXPECT(strcmp(printed + strlen(printed) - 3, "}}\n") == 0);
}

static const struct tap_case cases[] = {
    {"objects of all sizes", test_objects},
    {"alignment", test_alignment},
    {"past the caches, and the hint", test_uncached},
    {"objects that grow are zeroed", test_growing_zeroes},
    {"sizes that are too large are refused", test_too_much},
    {"arenas are heaps of their own", test_arenas},
    {"figures of an arena", test_arena_figures},
    {"figures follow the program", test_figures},
    {"size classes", test_classes},
    {"errors are jemalloc's", test_errors},
    {"the fill of slabs is reported", test_utilization},
    {"threads, caches, background", test_threads},
    {"statistics are printed", test_print},
};

int main(int argc, char **argv)
{
    return tap_run(argc, argv, TAP_ANY, cases, TAP_COUNT(cases));
}
