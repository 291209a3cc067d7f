/* SPDX-License-Identifier: MIT */
/* files.c - files and lines that the library writes do no harm. A file that an option names is a
 * regular one, written for its user alone and replaced as a whole. The library writes through no
 * link, pipe or device. No signal of ours kills the program. It writes to standard error only if
 * the process has one, however full that is.
 *
 * The options are read at the start, so the program executes itself again. */
#define _GNU_SOURCE
#include "tests/lib/process.h"
#include "tests/lib/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECONDS = 20, LINES = 40 };

static char folder[] = "/tmp/hakmem-files-XXXXXX";
static char path[128];  /* of a file in the folder */
static char told[4096]; /* what the last child wrote to standard error */

static int has_none(void)
{
    if (!tap_is_reference())
        return 0;
    tap_skip("glibc knows no such option");
    return 1;
}

/* ---- the program inside ------------------------------------------------------------------------ */

/* Frees enough runs that the learner learns; `lines` misused pointers. */
static int live(unsigned lines)
{
    for (unsigned i = 0; i < 64; i++) {
        char *run = malloc(300000 + i);
        if (run == NULL)
            return 3;
        memset(run, 1, 300000);
        free(run);
    }
    for (unsigned i = 0; i < lines; i++) {
        void *wild = (void *)(uintptr_t)(0x1000 + 16 * i);
        __asm__("" : "+r"(wild));
        free(wild);
    }
    return 0;
}

/* A data file of the program gets the number of a closed standard error. */
static int open_second(const char *name)
{
    int data = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (data != STDERR_FILENO)
        return 3;
    return live(1);
}

/* ---- the program outside ----------------------------------------------------------------------- */

struct how {
    const char *option;
    const char *value;
    int standard_error; /* -1: closed */
    const char *mode;   /* of the program inside */
    size_t file_limit;  /* 0: none */
};

static pid_t start(const struct how *how)
{
    pid_t child = process_fork();
    if (child != 0)
        return child;
    char *const arguments[] = {(char *)"files", (char *)"inside", (char *)how->mode, path, NULL};
    struct rlimit limit = {how->file_limit, how->file_limit};
    if (how->file_limit != 0)
        setrlimit(RLIMIT_FSIZE, &limit);
    if (how->option != NULL)
        setenv(how->option, how->value, 1);
    signal(SIGPIPE, SIG_DFL);
    if (how->standard_error >= 0)
        dup2(how->standard_error, STDERR_FILENO);
    else
        close(STDERR_FILENO);
    execv("/proc/self/exe", arguments);
    _exit(77);
}

/* Its status; `told` gets its standard error. */
static int run(const struct how *wanted)
{
    struct how how = *wanted;
    int ends[2]; /* a limit of files does not hold for a pipe, which has room for all */
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    how.standard_error = ends[1];
    if (how.mode == NULL)
        how.mode = "live";
    pid_t child = start(&how);
    int status = child < 0 ? -1 : process_wait(child, SECONDS);
    close(ends[1]);
    ssize_t length = read(ends[0], told, sizeof told - 1);
    told[length > 0 ? length : 0] = '\0';
    close(ends[0]);
    return status;
}

static int run_option(const char *option, const char *value)
{
    return run(&(struct how){.option = option, .value = value});
}

static const char *name_in_folder(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static size_t size_of(const char *name)
{
    struct stat status;
    return stat(name, &status) == 0 ? (size_t)status.st_size : 0;
}

static int write_file(const char *name, const char *text)
{
    int file = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (file < 0)
        return -1;
    ssize_t done = write(file, text, strlen(text));
    close(file);
    return done == (ssize_t)strlen(text) ? 0 : -1;
}

static int file_is(const char *name, const char *right)
{
    char text[128] = "";
    int file = open(name, O_RDONLY);
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    return length == (ssize_t)strlen(right) && strcmp(text, right) == 0;
}

/* One line, which names option, value and what is allowed. */
static int is_told_of(const char *option)
{
    const char *end = strchr(told, '\n');
    int right = end != NULL && end[1] == '\0' && strstr(told, option) != NULL &&
                strstr(told, path) != NULL && strstr(told, "allowed: ") != NULL;
    if (!right)
        tap_note("%s: %.300s", option, told);
    return right;
}

static const char *const options[] = {"HAKMEM_LEARN_FILE", "HAKMEM_LEARN_LOG"};

static void test_written(void)
{
    if (has_none())
        return;
    for (unsigned i = 0; i < TAP_COUNT(options); i++) {
        struct stat status = {0};
        mode_t mask = umask(0);
        EXPECT_EQ(run_option(options[i], name_in_folder("written")), 0);
        umask(mask);
        EXPECT_EQ(told[0], 0);
        EXPECT(stat(path, &status) == 0 && (status.st_mode & 07777) == 0600);
        EXPECT_GE(size_of(path), 1);
        EXPECT_EQ(run_option(options[i], path), 0); /* there is one now */
        EXPECT_EQ(told[0], 0);
        EXPECT_EQ(unlink(path), 0);
    }
}

static void test_links(void)
{
    if (has_none())
        return;
    char target[64];
    snprintf(target, sizeof target, "%s/victim", folder);
    for (unsigned i = 0; i < TAP_COUNT(options); i++) {
        REQUIRE(write_file(target, "precious\n") == 0);
        REQUIRE(symlink(target, name_in_folder("link")) == 0);
        EXPECT_EQ(run_option(options[i], path), 0);
        EXPECT(is_told_of(options[i]));
        EXPECT(file_is(target, "precious\n"));
        unlink(target);
        EXPECT_EQ(run_option(options[i], path), 0); /* a link to nothing makes nothing */
        EXPECT(is_told_of(options[i]));
        EXPECT_EQ(access(target, F_OK), -1);
        unlink(path);
    }
}

/* A pipe, with a reader or without, and a device. */
static void test_others(void)
{
    if (has_none())
        return;
    REQUIRE(mkfifo(name_in_folder("pipe"), 0600) == 0);
    for (int with_reader = 0; with_reader <= 1; with_reader++) {
        int reader = with_reader ? open(path, O_RDWR | O_NONBLOCK) : -1;
        for (unsigned i = 0; i < TAP_COUNT(options); i++) {
            EXPECT_EQ(run_option(options[i], path), 0);
            EXPECT(is_told_of(options[i]));
        }
        close(reader);
    }
    unlink(path);
    for (unsigned i = 0; i < TAP_COUNT(options); i++) {
        snprintf(path, sizeof path, "/dev/full");
        EXPECT_EQ(run_option(options[i], path), 0);
        EXPECT(is_told_of(options[i]));
    }
}

/* A full disk, or a limit, does not destroy learned results. */
static void test_kept(void)
{
    if (has_none())
        return;
    struct how how = {.option = "HAKMEM_LEARN_FILE"};
    how.value = name_in_folder("kept");
    EXPECT_EQ(run(&how), 0);
    size_t size = size_of(path);
    EXPECT_GE(size, 2);
    how.file_limit = size / 2;
    EXPECT_EQ(run(&how), 0);
    EXPECT(strstr(told, "left as it was") != NULL);
    EXPECT_EQ(size_of(path), size);
    unlink(path);
    how.option = "HAKMEM_LEARN_LOG";
    how.file_limit = 64;
    EXPECT_EQ(run(&how), 0);
    EXPECT_LE(size_of(path), 64);
    unlink(path);
    EXPECT_EQ(rmdir(folder), 0); /* nothing was left beside */
    EXPECT_EQ(mkdir(folder, 0700), 0);
}

/* ---- standard error ---------------------------------------------------------------------------- */

static void test_no_reader(void)
{
    static const char *const values[] = {"1", "json"};
    if (has_none())
        return;
    for (unsigned i = 0; i < TAP_COUNT(values); i++) {
        int ends[2];
        REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
        close(ends[0]);
        pid_t child = start(&(struct how){.option = "HAKMEM_STATS",
                                          .value = values[i],
                                          .standard_error = ends[1],
                                          .mode = "live"});
        EXPECT_EQ(process_wait(child, SECONDS), 0);
        close(ends[1]);
    }
}

/* Writes many lines into a full pipe without a reader: they are lost, and nothing waits. */
static void test_full(void)
{
    if (has_none())
        return;
    char bytes[4096] = "";
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    while (write(ends[1], bytes, sizeof bytes) > 0)
        continue;
    REQUIRE(fcntl(ends[1], F_SETFL, 0) == 0);
    pid_t child = start(&(struct how){
        .option = "HAKMEM_MISUSE", .value = "warn", .standard_error = ends[1], .mode = "misuse"});
    EXPECT_EQ(process_wait(child, SECONDS), 0);
    EXPECT_EQ(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0); /* the description is others' too */
    close(ends[0]);
    close(ends[1]);
}

static void test_closed(void)
{
    if (has_none())
        return;
    name_in_folder("data");
    pid_t child = start(&(struct how){
        .option = "HAKMEM_MISUSE", .value = "warn", .standard_error = -1, .mode = "second"});
    EXPECT_EQ(process_wait(child, SECONDS), 0);
    EXPECT(file_is(path, ""));
    child = start(&(struct how){
        .option = "HAKMEM_STATS", .value = "1", .standard_error = -1, .mode = "second"});
    EXPECT_EQ(process_wait(child, SECONDS), 128 + SIGABRT); /* the default for a misused pointer */
    EXPECT(file_is(path, ""));
    unlink(path);
}

/* Every byte but those of the value's own text; what a terminal obeys is shown as a question mark. */
static void test_shown(void)
{
    if (has_none())
        return;
    char value[256];
    for (unsigned first = 1; first < 256; first += 32) {
        unsigned length = 0;
        for (unsigned byte = first; byte < first + 32 && byte < 256; byte++)
            value[length++] = (char)byte;
        value[length] = '\0';
        EXPECT_EQ(run_option("HAKMEM_SHARD", value), 0);
        const char *end = strchr(told, '\n');
        EXPECT(end != NULL && end[1] == '\0');
        for (const char *at = told; at < end; at++) {
            unsigned char byte = (unsigned char)*at;
            EXPECT(byte >= 0x20 && (byte < 0x7f || byte > 0x9f));
        }
    }
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "inside") == 0) {
        if (strcmp(argv[2], "second") == 0)
            return open_second(argv[3]);
        return live(strcmp(argv[2], "misuse") == 0 ? LINES : 0);
    }
    static const struct tap_case cases[] = {
        {"files are written, for their user alone", test_written},
        {"a link is not followed", test_links},
        {"a pipe or a device is refused at once", test_others},
        {"a file that cannot be written is left as it was", test_kept},
        {"a pipe without a reader does not kill", test_no_reader},
        {"a full pipe is not waited for", test_full},
        {"a file that has the number of standard error is left alone", test_closed},
        {"no byte that a terminal obeys is shown", test_shown},
    };
    if (mkdtemp(folder) == NULL)
        return 99;
    int status = tap_run(argc, argv, TAP_PRELOADED, cases, TAP_COUNT(cases));
    rmdir(folder);
    return status;
}
