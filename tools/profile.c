/* SPDX-License-Identifier: MIT */
/* hakmem profile: shows the heap profile of a running process, or of a file. A process that was
 * started with HAKMEM_PROFILE keeps its tables in a memfd, which /proc lists among its descriptors:
 * they are copied while the process goes on, and nothing in them is trusted. The script makes
 * tables and pictures. One thread. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/print.h"
#include "stats/profile.h"
#include "tools/commands.h"
#include "tools/page.h"

static const char script[] = "profile.py";

/* A copy of what the process has published, so that it cannot change meanwhile; the caller frees
 * it. NULL after a message. */
static void *copy_published(const char *process, struct hak_profile *profile)
{
    struct hak_page_file page;
    if (hak_page_find_of(&hak_page_profile, process, &page) != 0)
        return NULL;
    size_t size = hak_profile_size();
    void *copy = malloc(size);
    if (copy != NULL)
        size = hak_page_read(&page, copy, size, 0);
    hak_page_close(&page);
    const char *wrong = copy != NULL ? hak_profile_check(profile, copy, size) : "no memory";
    if (wrong == NULL && hak_page_is_own(&page, profile->header->process))
        return copy;
    if (wrong != NULL)
        fprintf(stderr, "hakmem: process %s: its profile cannot be used: %s\n", process, wrong);
    free(copy);
    return NULL;
}

/* Writes the process's profile as text. 0, or -1 after a message. */
static int write_text(const char *process, int out)
{
    char buffer[4096];
    char maps[64];
    struct hak_profile profile;
    void *copy = copy_published(process, &profile);
    if (copy == NULL)
        return -1;
    snprintf(maps, sizeof maps, "/proc/%s/maps", process);
    int mappings = open(maps, O_RDONLY | O_CLOEXEC);
    struct hak_writer writer = hak_writer_to_fd(out, buffer, sizeof buffer);
    hak_profile_write(&profile, mappings, &writer);
    if (mappings >= 0)
        close(mappings);
    free(copy);
    if (writer.refused == 0)
        return 0;
    fprintf(stderr, "hakmem: profile: %s\n", strerror(-writer.refused));
    return -1;
}

static bool is_process(const char *argument)
{
    size_t length = strlen(argument);
    return length > 0 && length <= 10 && strspn(argument, "0123456789") == length;
}

/* A file in memory that the script finds as /proc/self/fd/N; the name is for the script. */
static int put_aside(const char *process, char *name, size_t room)
{
    int file = memfd_create("profile", 0);
    if (file < 0) {
        perror("hakmem: profile");
        return -1;
    }
    snprintf(name, room, "/proc/self/fd/%d", file);
    return write_text(process, file);
}

/* The argument that names a process, NULL: none does. The script checks all others. */
static char **find_process(char **argv)
{
    for (char **at = argv + 1; *at != NULL; at++)
        if (is_process(*at) && strcmp(at[-1], "--top") != 0)
            return at;
    return NULL;
}

int hak_command_profile(int argc, char **argv)
{
    static char name[32];
    char **process = find_process(argv);
    if (argc > 1 && strcmp(argv[argc - 1], "--raw") == 0) {
        if (argc != 3 || process == NULL)
            return hak_usage("profile PID --raw takes nothing else", NULL);
        return write_text(*process, STDOUT_FILENO) == 0 ? 0 : HAK_STATUS_FAILED;
    }
    if (process != NULL) {
        if (put_aside(*process, name, sizeof name) != 0)
            return HAK_STATUS_FAILED;
        *process = name;
    }
    return hak_run_script(script, argv + 1);
}
