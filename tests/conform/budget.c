/* SPDX-License-Identifier: MIT */
/* budget.c - how much work one call may do: counted in operations, never in time.
 *
 * The program executes itself again with HAKMEM_REMOTE=home, so that objects freed by another
 * thread come home through the inbox. */
#define _GNU_SOURCE
#include "tests/lib/tap.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { OBJECTS = 400000, SIZE = 64, MALLOCS = 3000 };

/* Bundles: a refill sorts a portion, and so may the ticks of two shards. */
enum { PORTION = 40, CALL = 3 * PORTION };

static void *objects[OBJECTS];
static void (*print_stats)(int fd, int format);
static int (*pin)(unsigned shard);
static unsigned (*shard_count)(void);

/* Bundles taken out of inboxes so far: the first counter of that name is the sum of all shards. */
static unsigned long sorted(void)
{
    static char text[1 << 17];
    static const char name[] = "\"inbox_bundles\":";
    int fd = memfd_create("stats", 0);
    if (!EXPECT(fd >= 0))
        return 0;
    print_stats(fd, 1);
    ssize_t length = pread(fd, text, sizeof text - 1, 0);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    const char *found = strstr(text, name);
    if (!EXPECT(found != NULL))
        return 0;
    return strtoul(found + strlen(name), NULL, 10);
}

static void *free_all(void *argument)
{
    EXPECT_EQ(pin(1), 0);
    for (unsigned i = 0; i < OBJECTS; i++)
        free(objects[i]);
    return argument;
}

/* The whole heap was freed elsewhere: each call sorts a portion of it, and all of it is used. */
static void inbox(void)
{
    if (tap_is_reference()) {
        tap_skip("it has no inbox");
        return;
    }
    *(void **)&print_stats = dlsym(RTLD_DEFAULT, "hakmem_stats_print");
    *(void **)&pin = dlsym(RTLD_DEFAULT, "hakmem_pin_thread");
    *(void **)&shard_count = dlsym(RTLD_DEFAULT, "hakmem_shard_count");
    REQUIRE(print_stats != NULL && pin != NULL && shard_count != NULL);
    if (shard_count() < 2) {
        tap_skip("one shard");
        return;
    }
    pthread_t thread;
    EXPECT_EQ(pin(0), 0);
    for (unsigned i = 0; i < OBJECTS; i++)
        objects[i] = malloc(SIZE);
    REQUIRE(pthread_create(&thread, NULL, free_all, NULL) == 0);
    pthread_join(thread, NULL);
    unsigned long before = sorted();
    unsigned long last = before;
    unsigned long most = 0;
    for (unsigned i = 0; i < MALLOCS; i++) {
        objects[i] = malloc(SIZE + i % 2 * 64); /* of a class that came home, and of another */
        unsigned long now = sorted();
        most = now - last > most ? now - last : most;
        last = now;
    }
    EXPECT_GE(last - before, 2 * PORTION);
    EXPECT_LE(most, CALL);
    for (unsigned i = 0; i < MALLOCS; i++)
        free(objects[i]);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        {"a malloc sorts a portion of the objects that came home", inbox},
    };
    if (getenv("HAKMEM_REMOTE") == NULL && !tap_is_reference()) {
        setenv("HAKMEM_REMOTE", "home", 1);
        execv("/proc/self/exe", argv);
    }
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
