/* SPDX-License-Identifier: MIT */
/*
 * misuse.c - runs the cases of cases.c under a malloc, each in a process of its own, and tells what
 * came of each: "family <tab> case <tab> outcome".
 *
 *   misuse [NAME=VALUE...]    all cases, with these in the environment (LD_PRELOAD=... is one)
 *   misuse case NUMBER        one of them, here
 *
 * Outcomes. First what malloc handed out when the program went on:
 *
 *   -          nothing that is wrong
 *   twice      an address that somebody owns already
 *   overlap    bytes that somebody owns already, or an address that is not aligned
 *   attacker   the attacker's memory, or what is no memory
 *
 * then, if so, what ended it or was told: caught (a line, an abort, a page that cannot be written
 * where the case writes), crash (SIGSEGV and the like elsewhere), hang. "caught" alone was caught before anything wrong was handed out.
 */
#define _GNU_SOURCE
#include "tests/misuse/misuse.h"
#include "tests/lib/process.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    HELD_MAX = 8192,
    OBJECTS_MAX = 4000,
    BYTES_MAX = 64 << 20,
    TARGET_BYTES = 256 * 1024,
    FIRST = 24,
    SECONDS = 20,
};

struct range {
    uintptr_t from;
    uintptr_t to;
};

unsigned char *misuse_target;

volatile int misuse_is_writing;

static struct range held[HELD_MAX];
static unsigned held_count;

/* ---- one case ---------------------------------------------------------------------------------- */

static void tell(const char *word)
{
    if (write(STDOUT_FILENO, word, strlen(word)) < 0 || write(STDOUT_FILENO, "\n", 1) < 0)
        _exit(3);
}

static int is_mapped(uintptr_t address)
{
    return msync((void *)(address & ~(uintptr_t)4095), 4096, MS_ASYNC) == 0;
}

static int is_attackers(struct range range)
{
    uintptr_t from = (uintptr_t)misuse_target;
    if (range.from < from + TARGET_BYTES && range.to > from)
        return 1;
    return !is_mapped(range.from) || !is_mapped(range.to - 1);
}

/* In order, by shells: qsort allocates. */
static void sort_held(void)
{
    for (unsigned gap = held_count / 2; gap > 0; gap /= 2) {
        for (unsigned i = gap; i < held_count; i++) {
            struct range one = held[i];
            unsigned to = i;
            for (; to >= gap && held[to - gap].from > one.from; to -= gap)
                held[to] = held[to - gap];
            held[to] = one;
        }
    }
}

void misuse_hold(const void *object, size_t size)
{
    if (held_count < HELD_MAX)
        held[held_count++] = (struct range){(uintptr_t)object, (uintptr_t)object + size};
}

/* Tells the worst at once, for the process may not live on. 0: nothing is wrong. */
static int look(void)
{
    int same = 0, meets = 0;
    for (unsigned i = 0; i < held_count; i++) {
        if (is_attackers(held[i])) {
            tell("attacker");
            return 1;
        }
    }
    sort_held();
    for (unsigned i = 0; i + 1 < held_count; i++) {
        same |= held[i].from == held[i + 1].from;
        meets |= held[i].to > held[i + 1].from || held[i].from % 16 != 0;
    }
    if (same || meets)
        tell(same ? "twice" : "overlap");
    return same || meets;
}

/* Few at first, then as many as come from deeper in. They are freed, which may tell, and all of it
 * is done again. */
static void aftermath(size_t size)
{
    static void *objects[OBJECTS_MAX];
    static struct range kept[HELD_MAX];
    const unsigned kept_count = held_count;
    memcpy(kept, held, kept_count * sizeof *held);
    for (unsigned round = 0; round < 2; round++) {
        unsigned count = 0;
        size_t most = BYTES_MAX / size < OBJECTS_MAX ? BYTES_MAX / size + 2 : OBJECTS_MAX;
        for (; count < most; count++) {
            objects[count] = malloc(size);
            if (objects[count] == NULL)
                break;
            misuse_hold(objects[count], size);
            if (count < FIRST && look()) /* the next may be the last */
                return;
        }
        if (look())
            return;
        held_count = kept_count;
        memcpy(held, kept, kept_count * sizeof *held);
        for (unsigned i = 0; i < count; i++)
            free(objects[i]);
    }
}

static void on_fault(int number)
{
    signal(number, SIG_DFL);
    if (misuse_is_writing)
        abort();
    raise(number);
}

static int run_case(unsigned number)
{
    cpu_set_t here;
    if (number >= misuse_case_count)
        return 2;
    /* One CPU, after the library has seen all: what a thread frees is found where it was put. */
    CPU_ZERO(&here);
    CPU_SET((size_t)sched_getcpu(), &here);
    sched_setaffinity(0, sizeof here, &here);
    misuse_target =
        mmap(NULL, TARGET_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (misuse_target == MAP_FAILED)
        return 3;
    const struct misuse_case *misuse = &misuse_cases[number];
    signal(SIGSEGV, on_fault);
    signal(SIGBUS, on_fault);
    misuse->run(misuse->size, misuse->number);
    aftermath(misuse->size);
    tell("end");
    return 0;
}

/* ---- all of them ------------------------------------------------------------------------------- */

static int start_case(unsigned number, char *const *settings, int out, int err, pid_t *child)
{
    char text[16];
    snprintf(text, sizeof text, "%u", number);
    *child = process_fork();
    if (*child != 0)
        return *child > 0;
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    for (; *settings != NULL; settings++)
        putenv(*settings);
    execl("/proc/self/exe", "misuse", "case", text, (char *)NULL);
    _exit(77);
}

static size_t read_text(int file, char *text, size_t size)
{
    ssize_t length = pread(file, text, size - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    return length > 0 ? (size_t)length : 0;
}

static const char *ending(int status, size_t told)
{
    if (status == 124)
        return "hang";
    if (status == 128 + SIGABRT || status == 128 + SIGTRAP || status == 128 + SIGILL || told != 0)
        return "caught";
    return status != 0 ? "crash" : "";
}

static int judge(unsigned number, char *const *settings)
{
    char handed[64], told[64];
    int out = memfd_create("out", MFD_CLOEXEC), err = memfd_create("err", MFD_CLOEXEC);
    pid_t child;
    if (out < 0 || err < 0 || !start_case(number, settings, out, err, &child))
        return 1;
    int status = process_wait(child, SECONDS);
    const char *end = ending(status, read_text(err, told, sizeof told));
    read_text(out, handed, sizeof handed);
    handed[strcspn(handed, "\n")] = '\0';
    int nothing = handed[0] == '\0' || strcmp(handed, "end") == 0;
    printf("%s\t%s\t%s%s%s\n", misuse_cases[number].family, misuse_cases[number].name,
           nothing ? (end[0] != '\0' ? "" : "-") : handed, !nothing && end[0] != '\0' ? ", " : "",
           end);
    fflush(stdout);
    close(out);
    close(err);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "case") == 0)
        return run_case((unsigned)atoi(argv[2]));
    for (unsigned number = 0; number < misuse_case_count; number++)
        if (judge(number, argv + 1) != 0)
            return 3;
    return 0;
}
