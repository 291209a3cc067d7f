/* SPDX-License-Identifier: MIT */
/*
 * publisher.c - for publish.sh: processes that publish, or pretend to.
 *
 *   publisher work        allocates and frees by two threads, says "ready" on a line, and goes on
 *                         until its standard input ends
 *   publisher fork        the same, and its child does it, too: prints the child's number
 *   publisher close       the same after it closed all descriptors but the first three
 *   publisher hostile N   has a memfd of our name with page number N of those below
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stats/published.h"

enum { OBJECTS = 4000 };

static volatile int is_over;

static void churn(void)
{
    void *objects[OBJECTS];
    for (unsigned i = 0; i < OBJECTS; i++)
        objects[i] = malloc(i % 700 + (i % 500 == 0 ? 100000 : 1));
    for (unsigned i = 0; i < OBJECTS; i++)
        free(objects[i]);
}

static void *work(void *unused)
{
    const struct timespec pause = {0, 2000000};
    while (!is_over) {
        churn();
        nanosleep(&pause, NULL);
    }
    return unused;
}

/* Works until the page was written again. */
static void begin(pthread_t *thread)
{
    struct timespec now, start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    pthread_create(thread, NULL, work, NULL);
    do {
        churn();
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - start.tv_sec < 1);
}

static void wait_for_end(pthread_t thread)
{
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    is_over = 1;
    pthread_join(thread, NULL);
}

static int serve(void)
{
    pthread_t thread;
    begin(&thread);
    if (write(STDOUT_FILENO, "ready\n", 6) != 6)
        return 1;
    wait_for_end(thread);
    return 0;
}

static int serve_twice(void)
{
    pthread_t thread;
    begin(&thread);
    pid_t child = fork();
    if (child == 0) {
        is_over = 0;
        _exit(serve());
    }
    printf("%d\n", (int)child);
    fflush(stdout);
    wait_for_end(thread);
    return waitpid(child, NULL, 0) == child ? 0 : 1;
}

/* ---- wrong pages --------------------------------------------------------------------------- */

static size_t spoil(struct hak_published_head *page, unsigned number)
{
    struct hak_sheet *sheet = hak_published_sheet(page);
    size_t size = hak_published_size();
    hak_published_begin(page);
    sheet->head.pid = (uint64_t)getpid();
    switch (number) {
    case 0:
        return 0;
    case 1:
        return 100;
    case 2:
        return 5000;
    case 3:
        memset(page, 0xff, 4096);
        break;
    case 4:
        page->version = 0;
        break;
    case 5:
        page->version = 9;
        break;
    case 6:
        page->layout++;
        break;
    case 7:
        page->size = 1;
        break;
    case 8:
        sheet->head.shard_count = UINT32_MAX;
        break;
    case 9:
        sheet->head.shard_count = 1;
        break; /* but its id is 0 */
    case 10:
        memcpy(sheet->head.facts[0].name, "\"}", 3);
        break;
    default:
        memset((char *)page + 4096, 0xff, 200000);
        break;
    }
    return size;
}

static int serve_hostile(unsigned number)
{
    size_t size = hak_published_size();
    struct hak_published_head *page = calloc(1, size);
    int file = memfd_create(HAK_PUBLISHED_NAME, 0);
    if (page == NULL || file < 0)
        return 77;
    size = spoil(page, number);
    for (size_t at = 0; at < size;) {
        ssize_t written = write(file, (char *)page + at, size - at < 1 << 20 ? size - at : 1 << 20);
        if (written <= 0)
            return 77;
        at += (size_t)written;
    }
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF)
        continue;
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "work";
    if (strcmp(what, "fork") == 0)
        return serve_twice();
    if (strcmp(what, "hostile") == 0 && argc > 2)
        return serve_hostile((unsigned)atoi(argv[2]));
    if (strcmp(what, "close") == 0)
        for (int descriptor = 3; descriptor < 1024; descriptor++)
            close(descriptor);
    return serve();
}
