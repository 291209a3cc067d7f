/* SPDX-License-Identifier: MIT */
/* addresses.c - how much of its address space a process can get from the library: nearly all that a
 * limit leaves, also of a limit that it sets after its start. Little is mapped beside the requested
 * memory, so that a process can lock all of it.
 *
 * The bounds below say what counts as little; glibc keeps them all (mode `reference`). */
#define _GNU_SOURCE
#include "tests/conform/sizes.h"
#include "tests/lib/process.h"
#include "tests/lib/tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    CANNOT = 77,
    SLACK_MIB = 64, /* of address space, beside the requested memory */
    PAGE_TABLES_KIB = 1024,
    LOCKED_MIB = 64, /* the usual limit of an ordinary user */
};

/* A figure of /proc/self/status in KiB; -1: there is none. */
static long status_kib(const char *name)
{
    char line[256];
    long kib = -1;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && kib < 0 && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0)
            kib = strtol(line + strlen(name), NULL, 10);
    }
    if (status != NULL)
        fclose(status);
    return kib;
}

static int limit(int resource, size_t bytes)
{
    struct rlimit value = {bytes, bytes};
    return setrlimit((__rlimit_resource_t)resource, &value) == 0;
}

/* Takes objects of 1 MiB until there is no memory, and keeps them. Returns how many. */
static size_t count_mib(void)
{
    size_t count = 0;
    while (malloc(MIB) != NULL)
        count++;
    return count;
}

/* Runs a body in a child: its status is the result. */
static void in_child(int (*body)(void))
{
    fflush(stdout);
    pid_t child = process_fork();
    REQUIRE(child >= 0);
    if (child == 0)
        _exit(body());
    int status = process_wait(child, 60);
    if (status == CANNOT)
        tap_skip("the limit cannot be set here, or forbids more than usual");
    else
        EXPECT_EQ(status, 0);
}

/* 0, or 1 when less than the limit less SLACK_MIB can be had. */
static int all_of(size_t limit_mib)
{
    size_t before = (size_t)status_kib("VmSize:") / 1024;
    if (before >= limit_mib)
        return 1;
    /* If the system itself gives less (strict overcommit), the case shows nothing. */
    size_t left = (limit_mib - before) * MIB;
    void *whole = mmap(NULL, left / 64 * 63, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (whole == MAP_FAILED)
        return CANNOT;
    munmap(whole, left / 64 * 63);
    size_t count = count_mib();
    /* Headers and alignment cost a thirtieth. */
    size_t wanted = limit_mib * 29 / 30 - SLACK_MIB;
    tap_note("%zu of %zu MiB, %zu mapped before", count, limit_mib, before);
    fflush(stdout);
    return count < wanted;
}

static int limited_after_start(void)
{
    free(malloc(100));
    return limit(RLIMIT_AS, GIB) ? all_of(1024) : CANNOT;
}

static void test_limit_after_start(void)
{
    in_child(limited_after_start);
}

/* More than what was once reserved, less than that and a GiB. */
static int limited_to_nine(void)
{
    if (!limit(RLIMIT_AS, 9 * GIB))
        return CANNOT;
    char *const arguments[] = {(char *)"addresses", (char *)"inside", NULL};
    execv("/proc/self/exe", arguments);
    return CANNOT;
}

static void test_limit_before_start(void)
{
    in_child(limited_to_nine);
}

static void test_little_is_mapped(void)
{
    free(malloc(100));
    long kib = status_kib("VmSize:");
    if (kib < 0) {
        tap_skip("/proc cannot be read");
        return;
    }
    tap_note("%ld KiB mapped", kib);
    EXPECT_LE(kib, SLACK_MIB * 1024);
}

/* The kernel refuses an ordinary user locked memory above the limit, but not root: so locked memory
 * is counted. */
static int locked(void)
{
    struct rlimit allowed;
    free(malloc(100));
    if (getrlimit(RLIMIT_MEMLOCK, &allowed) != 0)
        return CANNOT;
    if (mlockall(MCL_CURRENT) != 0)
        return allowed.rlim_cur < LOCKED_MIB * MIB ? CANNOT : 1;
    long kib = status_kib("VmLck:");
    long table_kib = status_kib("VmPTE:");
    tap_note("%ld KiB locked, page tables of %ld KiB", kib, table_kib);
    fflush(stdout);
    if (kib > LOCKED_MIB * 1024 || table_kib > PAGE_TABLES_KIB)
        return 2;
    for (unsigned i = 0; i < SIZES_COUNT && sizes_of_tiers[i] <= 8 * MIB; i++) {
        void *object = malloc(sizes_of_tiers[i]);
        if (object == NULL)
            return 3;
        bytes_fill(object, i, sizes_of_tiers[i]);
        free(object);
    }
    return 0;
}

static void test_locked(void)
{
    in_child(locked);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "inside") == 0)
        return all_of(9 * 1024);
    static const struct tap_case cases[] = {
        {"little is mapped beside the requested memory", test_little_is_mapped},
        {"nearly all of a limit that is set after the start can be had", test_limit_after_start},
        {"nearly all of 9 GiB can be had", test_limit_before_start},
        {"all memory can be locked, since little is mapped", test_locked},
    };
    return tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
}
