/* SPDX-License-Identifier: MIT */
/* The /sys of another machine: any texts in the files that are read, 0xff between them. A machine
 * that is accepted is within bounds. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "topology/from_sysfs.h"

static const char *const files[] = {
    "cpu/online",
    "node/online",
    "node/node0/cpulist",
    "node/node0/distance",
    "cpu/cpu0/topology/package_cpus_list",
    "cpu/cpu0/topology/core_cpus_list",
    "cpu/cpu0/cache/index0/level",
    "cpu/cpu0/cache/index0/shared_cpu_list",
    "node/node1/cpulist",
    "node/node1/distance",
    "cpu/cpu1/topology/core_siblings_list",
    "cpu/cpu1/cache/index3/level",
    "cpu/cpu1/cache/index3/shared_cpu_list",
    "node/has_memory",
    "cpu/possible",
};

static char root[] = "/dev/shm/hakmem-fuzz-XXXXXX";

static void remove_root(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", root);
    if (system(command) != 0)
        fputs("left behind\n", stderr);
}

static void make_folders(char *path)
{
    for (char *slash = path + sizeof root; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
}

static void write_file(const char *name, const uint8_t *bytes, size_t size)
{
    char path[256];
    snprintf(path, sizeof path, "%s/sys/devices/system/%s", root, name);
    make_folders(path);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || write(file, bytes, size) != (ssize_t)size)
        abort();
    close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static int folder = -1;
    if (folder < 0) {
        if (mkdtemp(root) == NULL)
            abort();
        atexit(remove_root);
        folder = open(root, O_RDONLY | O_DIRECTORY);
    }
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        const uint8_t *end = size != 0 ? memchr(bytes, 0xff, size) : NULL;
        size_t length = end != NULL ? (size_t)(end - bytes) : size;
        write_file(files[i], bytes, length);
        bytes += length;
        size -= length;
        if (size != 0) {
            bytes++;
            size--;
        }
    }
    struct hak_topology *topology = hak_topology_map();
    if (topology == NULL)
        return 0;
    if (hak_topology_from_sysfs(topology, folder, HAK_DETAIL_CORES) == 0 &&
        (topology->online == 0 || topology->nodes == 0 ||
         topology->nodes > HAK_TOPOLOGY_MAX_NODES || topology->cpu_ids > HAK_TOPOLOGY_MAX_CPUS))
        abort();
    hak_topology_unmap(topology);
    return 0;
}
