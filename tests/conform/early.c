/* SPDX-License-Identifier: MIT */
/* early.c - malloc before anything else: from constructors that run before ours, from the loader,
 * from inside dlopen, in threads that the loader gives thread-local data.
 *
 * The program executes itself again with the plugin preloaded before and after the library. So one
 * of the two constructors runs first whatever the loader's order is, and one of the two is the
 * first to register its fork handlers. */
#define _GNU_SOURCE
#include "tests/conform/sizes.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"
#include "tests/lib/threads.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>

enum { EARLY = 64 };

static void *made_by_constructor[200];

/* The program's own earliest constructor: of the executable, before main, after the libraries'. */
static __attribute__((constructor(101))) void start_early(void)
{
    for (unsigned i = 0; i < TAP_COUNT(made_by_constructor); i++) {
        made_by_constructor[i] = malloc(1 + i * i);
        if (!made_by_constructor[i])
            abort();
        bytes_fill(made_by_constructor[i], i, 1 + i * i);
    }
}

static void test_constructor_of_program(void)
{
    for (unsigned i = 0; i < TAP_COUNT(made_by_constructor); i++) {
        EXPECT_EQ(bytes_wrong(made_by_constructor[i], i, 1 + i * i, 1 + i * i), 0);
        free(made_by_constructor[i]);
    }
}

static const char *plugin_path(void)
{
    return getenv("HAKMEM_TEST_PLUGIN");
}

/* Checks and frees what the plugin's constructor made. Whether all of it was as it should be. */
static int check_plugin(void *handle)
{
    void **early = dlsym(handle, "plugin_early");
    size_t (*size_of)(unsigned) = (size_t(*)(unsigned))dlsym(handle, "plugin_early_size");
    if (!early || !size_of)
        return 0;
    for (unsigned i = 0; i < EARLY; i++) {
        unsigned char *object = early[i];
        for (size_t j = 0; j < size_of(i); j++) {
            if (object[j] != (unsigned char)(i + 1))
                return 0;
        }
        early[i] = NULL;
        if (i % 2)
            object = realloc(object, size_of(i) * 2);
        free(object);
    }
    return 1;
}

static void run_preloaded(const char *before, const char *between, const char *after,
                          const char *life)
{
    char preload[3 * PATH_MAX];
    snprintf(preload, sizeof(preload), "%s%s%s", before, between, after);
    pid_t child = process_fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        setenv("LD_PRELOAD", preload, 1);
        if (strcmp(life, "threaded") == 0)
            setenv("PLUGIN_THREAD", "1", 1);
        execl("/proc/self/exe", "early", life, (char *)NULL);
        _exit(126);
    }
    EXPECT_EQ(process_wait(child, 60), 0);
}

static void live_preloaded(const char *life)
{
    const char *library = getenv("LD_PRELOAD");
    REQUIRE(plugin_path() != NULL);
    if (!library) {
        run_preloaded(plugin_path(), "", "", life);
        return;
    }
    run_preloaded(plugin_path(), ":", library, life);
    run_preloaded(library, ":", plugin_path(), life);
}

static void test_preloaded_plugin(void)
{
    live_preloaded("inside");
}

static void test_preloaded_fork_handlers(void)
{
    live_preloaded("forking");
}

static void test_preloaded_thread(void)
{
    live_preloaded("threaded");
}

static void *load_and_use(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < 20; i++) {
        void *handle = dlopen(plugin_path(), RTLD_NOW | RTLD_LOCAL);
        if (!EXPECT(handle != NULL))
            break;
        char *(*local)(void) = (char *(*)(void))dlsym(handle, "plugin_local");
        if (EXPECT(local != NULL)) {
            char *bytes = local();
            EXPECT_GE(bytes[0], 1);
            EXPECT_EQ(bytes_nonzero(bytes + 1, 19999), 0); /* the loader's calloc was zero */
            memset(bytes + 1, 0, 100);
        }
        dlclose(handle);
    }
    return NULL;
}

static void test_dlopen_in_threads(void)
{
    REQUIRE(plugin_path() != NULL);
    void *handle = dlopen(plugin_path(), RTLD_NOW | RTLD_LOCAL);
    REQUIRE(handle != NULL);
    EXPECT(check_plugin(handle));
    for (unsigned round = 0; round < 10; round++)
        threads_run(6, load_and_use, NULL, 0);
    dlclose(handle);
    load_and_use(NULL); /* alone: here dlopen and dlclose map and unmap it each time */
}

static void test_dlopen_of_others(void)
{
    static const char *const names[] = {"libm.so.6",      "libstdc++.so.6",  "libnuma.so.1",
                                        "libhwloc.so.15", "libsqlite3.so.0", "libz.so.1",
                                        "libgcc_s.so.1",  "libresolv.so.2"};
    unsigned loaded = 0;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < TAP_COUNT(names); i++) {
            void *handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
            if (!handle)
                continue; /* not installed */
            loaded++;
            dlclose(handle);
        }
    }
    EXPECT_GE(loaded, 6); /* libm and libgcc_s or libresolv are everywhere */
}

/* Runs in the process that run_preloaded starts: the plugin is one of the preloaded libraries. */
static int live_inside(void)
{
    if (!check_plugin(RTLD_DEFAULT))
        return 1;
    for (unsigned i = 0; i < SIZES_COUNT; i++)
        free(malloc(sizes_of_tiers[i]));
    return 0;
}

/* ---- threads of constructors ---------------------------------------------------------------- */

static long number_behind(const char *text, const char *name)
{
    const char *found = strstr(text, name);
    return found ? strtol(found + strlen(name), NULL, 10) : -1000;
}

/* The number of fronts in the library's statistics: made by threads and not given back. */
static long fronts_alive(void (*print)(int, int))
{
    static char text[1 << 16];
    FILE *file = tmpfile();
    if (!file)
        return -1;
    print(fileno(file), 1); /* JSON */
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return number_behind(text, "\"threads_started\":") - number_behind(text, "\"threads_exited\":");
}

/* Runs in the process that run_preloaded starts: the plugin's constructor has started a thread. */
static int live_threaded(void)
{
    void (*print)(int, int) = (void (*)(int, int))dlsym(RTLD_DEFAULT, "hakmem_stats_print");
    size_t (*tell_mode)(char *, size_t) =
        (size_t(*)(char *, size_t))dlsym(RTLD_DEFAULT, "hakmem_mode");
    void (*end_thread)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, "plugin_end_thread");
    if (!end_thread)
        return 1;
    end_thread();
    if (!print || !tell_mode)
        return 0; /* the reference */
    char mode[200];
    tell_mode(mode, sizeof mode);
    long main_has_one = strstr(mode, "front=thread") != NULL;
    return fronts_alive(print) == main_has_one ? 0 : 2;
}

/* ---- fork handlers -------------------------------------------------------------------------- */

static unsigned stop;   /* set by main, read by the busy threads */
static unsigned failed; /* children that ended badly */

static void *allocate_until_stopped(void *unused)
{
    /* relaxed: only the wish to stop */
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        for (unsigned i = 0; i < SIZES_COUNT; i++)
            free(malloc(sizes_of_tiers[i]));
    return unused;
}

static void *allocate_once(void *unused)
{
    for (unsigned i = 0; i < SIZES_COUNT; i++)
        free(malloc(sizes_of_tiers[i]));
    return unused;
}

/* A thread that did not allocate before, unless it is main. */
static void *fork_and_wait(void *unused)
{
    pid_t child = process_fork();
    if (child == 0) {
        pthread_t thread;
        allocate_once(NULL);
        if (pthread_create(&thread, NULL, allocate_once, NULL) != 0)
            _exit(2);
        pthread_join(thread, NULL);
        _exit(0);
    }
    if (child < 0 || process_wait(child, 20) != 0)
        __atomic_fetch_add(&failed, 1, __ATOMIC_RELAXED); /* relaxed: a count */
    return unused;
}

/* Runs in the process that run_preloaded starts: the plugin's fork handlers allocate, and so do
 * threads. */
static int live_forking(void)
{
    enum { FORKS = 10, BUSY = 3 };
    pthread_t busy[BUSY], cold;
    const unsigned *handled = dlsym(RTLD_DEFAULT, "plugin_forks");
    if (!handled)
        return 1;
    for (unsigned turn = 0; turn < 2; turn++) {
        for (unsigned i = 0; turn == 1 && i < BUSY; i++)
            if (pthread_create(&busy[i], NULL, allocate_until_stopped, NULL) != 0)
                return 1;
        for (unsigned i = 0; i < FORKS; i++) {
            fork_and_wait(NULL);
            if (pthread_create(&cold, NULL, fork_and_wait, NULL) != 0)
                return 1;
            pthread_join(cold, NULL);
        }
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED); /* relaxed: as above */
    for (unsigned i = 0; i < BUSY; i++)
        pthread_join(busy[i], NULL);
    return failed != 0 || *handled != 2 * 2 * 2 * FORKS;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "inside") == 0)
        return live_inside();
    if (argc == 2 && strcmp(argv[1], "threaded") == 0)
        return live_threaded();
    if (argc == 2 && strcmp(argv[1], "forking") == 0)
        return live_forking();
    static const struct tap_case cases[] = {
        {"constructors of the program may allocate", test_constructor_of_program},
        {"constructors of libraries preloaded before and after may allocate",
         test_preloaded_plugin},
        {"fork handlers of libraries preloaded before and after may allocate",
         test_preloaded_fork_handlers},
        {"threads that constructors started give their memory back when they end",
         test_preloaded_thread},
        {"dlopen in threads, with thread-local data", test_dlopen_in_threads},
        {"dlopen of other libraries", test_dlopen_of_others},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
