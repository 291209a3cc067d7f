/* SPDX-License-Identifier: MIT */
/* hakmem profile: shows the heap profile of a process that runs, or of a file. A process that was
 * started with HAKMEM_PROFILE has its tables in a file without a folder, which /proc lists among its
 * descriptors: they are read while it goes on, and nothing in them is trusted. The script makes
 * tables and pictures. One thread. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/print.h"
#include "stats/profile.h"
#include "tools/commands.h"

static const char script[] = "profile.py";
static const char published[] = "/memfd:hakmem-profile";

static int complain(const char *process, const char *what)
{
    fprintf(stderr, "hakmem: process %s: %s\n", process, what);
    return -1;
}

/* A descriptor of what the process has published, or -1 after a message. */
static int open_published(const char *process)
{
    char folder[64];
    snprintf(folder, sizeof folder, "/proc/%s/fd", process);
    DIR *list = opendir(folder);
    if (list == NULL)
        return complain(process, errno == ENOENT ? "there is no such process" : strerror(errno));
    int found = -1;
    struct dirent *entry;
    while (found < 0 && (entry = readdir(list)) != NULL) {
        char target[64];
        ssize_t length = readlinkat(dirfd(list), entry->d_name, target, sizeof target - 1);
        if (length < (ssize_t)sizeof published - 1 ||
            strncmp(target, published, sizeof published - 1) != 0)
            continue;
        found = openat(dirfd(list), entry->d_name, O_RDONLY | O_CLOEXEC);
    }
    closedir(list);
    if (found < 0)
        return complain(process, "no profile: it does not run under hakmem, was started without "
                                 "HAKMEM_PROFILE=512K, or has allocated too little to be sampled");
    return found;
}

/* 0, or -1 after a message. The file can be cut short while it is read, which only its owner can do:
 * then we end by SIGBUS. */
static int map_published(const char *process, struct hak_profile *profile)
{
    struct stat status;
    int descriptor = open_published(process);
    if (descriptor < 0)
        return -1;
    void *memory = MAP_FAILED;
    if (fstat(descriptor, &status) == 0 && status.st_size > 0)
        memory = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (memory == MAP_FAILED)
        return complain(process, "its profile cannot be read");
    const char *wrong = hak_profile_check(profile, memory, (size_t)status.st_size);
    if (wrong == NULL)
        return 0;
    fprintf(stderr, "hakmem: process %s: its profile cannot be used: %s\n", process, wrong);
    return -1;
}

/* Writes the process's profile as text. 0, or -1 after a message. */
static int write_text(const char *process, int out)
{
    char buffer[4096];
    char maps[64];
    struct hak_profile profile;
    if (map_published(process, &profile) != 0)
        return -1;
    snprintf(maps, sizeof maps, "/proc/%s/maps", process);
    int mappings = open(maps, O_RDONLY | O_CLOEXEC);
    struct hak_writer writer = hak_writer_to_fd(out, buffer, sizeof buffer);
    hak_profile_write(&profile, mappings, &writer);
    if (mappings >= 0)
        close(mappings);
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
    if (file < 0)
        return complain(process, strerror(errno));
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
