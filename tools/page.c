/* SPDX-License-Identifier: MIT */
/* The published page of another process: see the header.
 *
 * The process's descriptor leads to the page: /proc/PID/fd/N is a link to "/memfd:NAME (deleted)".
 * A daemon may have closed all descriptors that it did not know. Then the page is found in
 * /proc/PID/maps and read through /proc/PID/mem, which needs the right to debug the process. Both
 * use the process numbers of the caller's PID namespace. */
#define _GNU_SOURCE
#include "tools/page.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "stats/profile.h"
#include "tools/commands.h"

enum {
    COPIES = 20, /* while parts are being written; 5 ms apart */
    PAUSE_US = 5000,
    LINE = 4096,
};

const struct hak_page_kind hak_page_statistics = {"/memfd:" HAK_PUBLISHED_NAME, "statistics",
                                                  "HAKMEM_PUBLISH=1"};
const struct hak_page_kind hak_page_profile = {"/memfd:" HAK_PROFILE_NAME, "profile",
                                               "HAKMEM_PROFILE=512K"};

static int tell(const struct hak_page_file *page, const char *what)
{
    fprintf(stderr, "hakmem: process %d %s\n", (int)page->process, what);
    return -1;
}

/* ---- /proc ----------------------------------------------------------------------------------- */

static FILE *open_of(const struct hak_page_file *page, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)page->process, name);
    return fopen(path, "re");
}

/* The text behind the name in a line of /proc/PID/status; empty: there is no such line. */
static void read_status(const struct hak_page_file *page, const char *name, char *value,
                        size_t size)
{
    char line[LINE];
    FILE *file = open_of(page, "status");
    value[0] = '\0';
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            snprintf(value, size, "%s", line + strlen(name));
            break;
        }
    }
    if (file != NULL)
        fclose(file);
}

/* Its number in its own namespace, the last of those of "NSpid:"; 0: the kernel does not tell. */
static uint64_t own_number(const struct hak_page_file *page)
{
    char numbers[LINE];
    read_status(page, "NSpid:", numbers, sizeof numbers);
    uint64_t last = 0;
    for (char *at = strtok(numbers, " \t\n"); at != NULL; at = strtok(NULL, " \t\n"))
        last = strtoull(at, NULL, 10);
    return last;
}

int hak_page_has_process(const struct hak_page_file *page)
{
    char state[LINE];
    read_status(page, "State:", state, sizeof state);
    return state[0] != '\0' && strchr(state, 'Z') == NULL && strchr(state, 'X') == NULL;
}

/* The first descriptor that leads to a page, opened again; -1: none does. */
static int open_by_descriptor(const char *link, DIR *folder)
{
    char target[PATH_MAX];
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        ssize_t length = readlinkat(dirfd(folder), entry->d_name, target, sizeof target - 1);
        if (length < (ssize_t)strlen(link) || memcmp(target, link, strlen(link)) != 0)
            continue;
        int descriptor = openat(dirfd(folder), entry->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (descriptor >= 0)
            return descriptor;
    }
    return -1;
}

/* Where the page is mapped; 0: nowhere. *has_library: whether a file of the library is mapped. */
static uint64_t find_mapped(const struct hak_page_file *page, int *has_library)
{
    char line[LINE];
    uint64_t address = 0;
    FILE *file = open_of(page, "maps");
    *has_library = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (address == 0 && strstr(line, page->kind->link) != NULL)
            address = strtoull(line, NULL, 16);
        *has_library |= strstr(line, "libhakmem.so") != NULL;
    }
    if (file != NULL)
        fclose(file);
    return address;
}

static int tell_of_none(const struct hak_page_file *page, int has_library)
{
    fprintf(stderr, "hakmem: process %d publishes no %s: it %swas not started with %s\n",
            (int)page->process, page->kind->what, has_library ? "" : "does not use hakmem, or ",
            page->kind->option);
    return -1;
}

static int find_in_memory(struct hak_page_file *page)
{
    char path[64];
    int has_library;
    page->offset = find_mapped(page, &has_library);
    if (!hak_page_has_process(page))
        return tell(page, "has ended");
    if (page->offset == 0)
        return tell_of_none(page, has_library);
    snprintf(path, sizeof path, "/proc/%d/mem", (int)page->process);
    page->descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (page->descriptor < 0)
        return tell(page, "has closed its page's descriptor, and its memory may not be read");
    return 0;
}

/* ---- finding --------------------------------------------------------------------------------- */

static int parse_process(const char *argument, struct hak_page_file *page)
{
    char *end;
    errno = 0;
    long number = strtol(argument, &end, 10);
    if (!isdigit((unsigned char)argument[0]) || *end != '\0' || errno != 0 || number <= 0 ||
        number > INT_MAX) {
        fprintf(stderr, "hakmem: %s: not the number of a process; allowed: 1..%d\n", argument,
                INT_MAX);
        return -1;
    }
    page->process = (pid_t)number;
    return 0;
}

int hak_page_find_of(const struct hak_page_kind *kind, const char *argument,
                     struct hak_page_file *page)
{
    char path[64];
    *page = (struct hak_page_file){.kind = kind, .descriptor = -1};
    if (parse_process(argument, page) != 0)
        return -1;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)page->process);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return errno == ENOENT || errno == ESRCH
                   ? tell(page, "is not there")
                   : tell(page, "may not be looked at: it is another user's, or protected");
    page->descriptor = open_by_descriptor(kind->link, folder);
    closedir(folder);
    return page->descriptor >= 0 ? 0 : find_in_memory(page);
}

void hak_page_close(struct hak_page_file *page)
{
    if (page->descriptor >= 0)
        close(page->descriptor);
    page->descriptor = -1;
}

/* ---- copying --------------------------------------------------------------------------------- */

size_t hak_page_read(const struct hak_page_file *page, void *bytes, size_t size, uint64_t offset)
{
    size_t got = 0;
    while (got < size) {
        ssize_t part = pread(page->descriptor, (char *)bytes + got, size - got,
                             (off_t)(page->offset + offset + got));
        if (part < 0 && errno == EINTR)
            continue;
        if (part <= 0)
            break;
        got += (size_t)part;
    }
    return got;
}

static long read_at(void *context, void *bytes, size_t size, uint64_t offset)
{
    return (long)hak_page_read(context, bytes, size, offset);
}

int hak_page_is_own(const struct hak_page_file *page, uint64_t process)
{
    uint64_t number = own_number(page);
    if (number == 0 || number == process)
        return 1;
    fprintf(stderr,
            "hakmem: process %d has not published its own %s yet, but has its parent's page\n",
            (int)page->process, page->kind->what);
    return 0;
}

/* Memory for this many shards, and one more for the total. */
static int make_room(struct hak_page_copy *copy, size_t shards, int wants_regions)
{
    if (copy->sheet == NULL || copy->room < shards) {
        free(copy->sheet);
        copy->sheet = malloc(hak_sheet_size(shards + 1));
        copy->room = shards;
    }
    if (wants_regions && copy->regions == NULL)
        copy->regions = malloc(sizeof *copy->regions);
    return copy->sheet != NULL && (!wants_regions || copy->regions != NULL);
}

static const char *copy_once(const struct hak_published_source *source, int wants_regions,
                             struct hak_page_copy *copy, int *is_torn)
{
    size_t shards;
    const char *wrong = hak_published_open(source, &shards);
    if (wrong != NULL)
        return wrong;
    if (!make_room(copy, shards, wants_regions))
        return "there is no memory for a copy of the page";
    struct hak_published_copy parts = {
        .sheet = copy->sheet, .shards = shards, .regions = wants_regions ? copy->regions : NULL};
    wrong = hak_published_read(source, &parts);
    *is_torn = parts.is_torn;
    return wrong;
}

static uint64_t age_of(const struct hak_sheet_head *head)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    return now_ns > head->collected_ns ? now_ns - head->collected_ns : 0;
}

static void complete(struct hak_page_copy *copy)
{
    struct hak_sheet *sheet = copy->sheet;
    struct hak_sheet_shard *total = &sheet->shards[sheet->head.shard_count];
    hak_sheet_total(sheet, total);
    hak_sheet_derive_process(&sheet->head, total);
    copy->report = (struct hak_report){sheet, total};
    copy->age_ns = age_of(&sheet->head);
}

int hak_page_copy(const struct hak_page_file *page, int wants_regions, struct hak_page_copy *copy)
{
    const struct hak_published_source source = {read_at, (void *)page};
    int is_torn = 1;
    for (unsigned try = 0; try < COPIES && is_torn; try++) {
        const char *wrong = copy_once(&source, wants_regions, copy, &is_torn);
        if (wrong != NULL && !hak_page_has_process(page))
            return tell(page, "has ended");
        if (wrong != NULL) {
            fprintf(stderr, "hakmem: process %d: %s\n", (int)page->process, wrong);
            return -1;
        }
        if (is_torn)
            usleep(PAUSE_US);
    }
    if (is_torn)
        tell(page, "stopped while it wrote its page: figures may be of two moments");
    if (!hak_page_is_own(page, copy->sheet->head.pid))
        return -1;
    complete(copy);
    return 0;
}
