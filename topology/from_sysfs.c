/* SPDX-License-Identifier: MIT */
/* Reads a machine from sysfs. One thread a description; no state between calls.
 *
 *     sys/devices/system/cpu/{possible,online}              CPUs by id
 *     sys/devices/system/node/{online,has_memory}           nodes by id, may be sparse
 *     sys/devices/system/node/nodeN/{cpulist,distance}      skipped where one node is online
 *     sys/devices/system/cpu/cpuN/cache/indexM/{level,shared_cpu_list}      once an L3
 *     sys/devices/system/cpu/cpuN/topology/package_cpus_list (older: core_siblings_list,
 *                                           physical_package_id)           once a package
 *     sys/devices/system/cpu/cpuN/topology/core_cpus_list (older: thread_siblings_list)
 *
 * Each list names all CPUs that share the thing, so it is read only for the lowest of them, and a
 * cache's level only once: a machine of 64 CPUs and 8 L3s costs 13 files, not 200. */
#include "topology/from_sysfs.h"

#include <errno.h>
#include <stddef.h>

#include "os/bits.h"
#include "os/file.h"
#include "os/memory.h"
#include "os/print.h"

/* Not on the stack: the first malloc may come from a thread with a small stack. */
struct reader {
    int root;
    unsigned l3_index; /* the cache/indexM that was the last L3, */
    int l3_is_known;   /* if any was found */
    char path[128];
    struct hak_cpu_set set; /* the set read last */
    struct hak_cpu_set online;
    struct hak_cpu_set left; /* online CPUs whose place is not known yet */
    char text[32 * 1024];    /* a list of 4096 CPUs at its worst is 20 KiB */
};

static const char cpu_folder[] = "sys/devices/system/cpu/";
static const char node_folder[] = "sys/devices/system/node/";

/* Reads the file that reader->path names. */
static int read_text(struct reader *reader)
{
    long length = hak_os_read_file(reader->root, reader->path, reader->text, sizeof(reader->text));
    return length < 0 ? (int)length : 0;
}

/* Reads FOLDER/file into reader->text. */
static int read_plain(struct reader *reader, const char *folder, const char *file)
{
    struct hak_writer writer = hak_writer_to_buffer(reader->path, sizeof(reader->path));
    hak_put(&writer, "%s%s", folder, file);
    hak_writer_flush(&writer);
    return read_text(reader);
}

/* Reads a file of one CPU or node: FOLDER/cpuN/file. */
static int read_of(struct reader *reader, const char *folder, const char *kind, unsigned id,
                   const char *file)
{
    struct hak_writer writer = hak_writer_to_buffer(reader->path, sizeof(reader->path));
    hak_put(&writer, "%s%s%u/%s", folder, kind, id, file);
    hak_writer_flush(&writer);
    return read_text(reader);
}

static int read_of_cache(struct reader *reader, unsigned cpu, unsigned index, const char *file)
{
    struct hak_writer writer = hak_writer_to_buffer(reader->path, sizeof(reader->path));
    hak_put(&writer, "%scpu%u/cache/index%u/%s", cpu_folder, cpu, index, file);
    hak_writer_flush(&writer);
    return read_text(reader);
}

/* Parses the list just read into reader->set. */
static int parse_set(struct reader *reader)
{
    return hak_cpu_set_parse(&reader->set, reader->text);
}

/* The next number in a text, or -1; *at moves behind it. */
static int next_number(const char **at)
{
    while (**at == ' ' || **at == '\t')
        ++*at;
    if (**at < '0' || **at > '9')
        return -1;
    int value = 0;
    for (; **at >= '0' && **at <= '9'; ++*at)
        value = value < 1000000 ? value * 10 + (**at - '0') : value;
    return value;
}

static int read_cpus(struct hak_topology *topology, struct reader *reader)
{
    int error = read_plain(reader, cpu_folder, "online");
    if (error == 0)
        error = parse_set(reader);
    if (error == 0 && hak_cpu_set_count(&reader->set) == 0)
        error = -ENOENT;
    int online_error = error;
    reader->online = reader->set;

    error = read_plain(reader, cpu_folder, "possible");
    if (error == 0)
        error = parse_set(reader);
    if (error != 0 && online_error != 0)
        return online_error;
    if (error != 0)
        reader->set = reader->online; /* only the online CPUs are known */
    if (online_error != 0)
        reader->online = reader->set;
    hak_topology_begin(topology, &reader->set, &reader->online);
    return 0;
}

/* Row of distances: one number for each online node, in the order of their ids. */
static void read_distances(struct hak_topology *topology, struct reader *reader, unsigned node)
{
    if (read_of(reader, node_folder, "node", topology->node[node].id, "distance") != 0)
        return;
    const char *at = reader->text;
    for (unsigned other = 0; other < topology->nodes; other++) {
        int distance = next_number(&at);
        if (distance < 0)
            return;
        topology->distance[node][other] = (uint8_t)(distance < 255 ? distance : 255);
    }
}

static void read_node(struct hak_topology *topology, struct reader *reader, unsigned node)
{
    read_distances(topology, reader, node);
    if (read_of(reader, node_folder, "node", topology->node[node].id, "cpulist") != 0 ||
        parse_set(reader) != 0)
        return;
    unsigned cpu = hak_cpu_set_next(&reader->set, 0);
    for (; cpu < topology->cpu_ids; cpu = hak_cpu_set_next(&reader->set, cpu + 1))
        topology->cpu[cpu].node = (uint16_t)node;
}

/* A machine without nodes in sysfs has one. */
static void read_nodes(struct hak_topology *topology, struct reader *reader)
{
    topology->nodes = 1;
    if (read_plain(reader, node_folder, "online") != 0 || parse_set(reader) != 0)
        return;
    unsigned count = 0;
    unsigned id = hak_cpu_set_next(&reader->set, 0);
    for (; id < HAK_CPU_SET_MAX && count < HAK_TOPOLOGY_MAX_NODES; count++) {
        topology->node[count].id = (uint16_t)id;
        id = hak_cpu_set_next(&reader->set, id + 1);
    }
    if (count < 2)
        return;
    topology->nodes = count;
    int known = read_plain(reader, node_folder, "has_memory") == 0 && parse_set(reader) == 0;
    for (unsigned node = 0; node < count; node++)
        topology->node[node].has_memory =
            !known || hak_cpu_set_has(&reader->set, topology->node[node].id);
    for (unsigned node = 0; node < count; node++)
        read_node(topology, reader, node);
}

static int has_level_3(struct reader *reader, unsigned cpu, unsigned index)
{
    return read_of_cache(reader, cpu, index, "level") == 0 && reader->text[0] == '3';
}

/* The index of the cache of level 3: mostly 3 itself (L1d, L1i, L2, L3), and mostly the same for
 * all CPUs. A CPU without index0 has no caches in sysfs. -ENOENT: no L3. */
static int find_l3_index(struct reader *reader, unsigned cpu)
{
    enum { INDEXES = 8 };
    if (has_level_3(reader, cpu, reader->l3_index))
        return 0;
    for (unsigned index = 0; index < INDEXES; index++) {
        if (read_of_cache(reader, cpu, index, "level") != 0)
            return -ENOENT;
        if (reader->text[0] != '3')
            continue;
        reader->l3_index = index;
        return 0;
    }
    return -ENOENT;
}

/* The CPUs that share the L3 of one, into reader->set. */
static int read_l3_of(struct reader *reader, unsigned cpu)
{
    /* All CPUs number their caches alike, so the level is read once. */
    if (reader->l3_is_known && read_of_cache(reader, cpu, reader->l3_index, "shared_cpu_list") == 0)
        return parse_set(reader);
    int error = find_l3_index(reader, cpu);
    if (error == 0)
        error = read_of_cache(reader, cpu, reader->l3_index, "shared_cpu_list");
    reader->l3_is_known |= error == 0;
    return error != 0 ? error : parse_set(reader);
}

/* A package's CPUs, into reader->set. */
static int read_package_of(struct reader *reader, unsigned cpu)
{
    int error = read_of(reader, cpu_folder, "cpu", cpu, "topology/package_cpus_list");
    if (error == -ENOENT) /* before Linux 5.3 */
        error = read_of(reader, cpu_folder, "cpu", cpu, "topology/core_siblings_list");
    return error != 0 ? error : parse_set(reader);
}

static int read_core_of(struct reader *reader, unsigned cpu)
{
    int error = read_of(reader, cpu_folder, "cpu", cpu, "topology/core_cpus_list");
    if (error == -ENOENT) /* before Linux 5.3 */
        error = read_of(reader, cpu_folder, "cpu", cpu, "topology/thread_siblings_list");
    return error != 0 ? error : parse_set(reader);
}

/* Where a CPU is, below its node. */
enum place { PLACE_L3, PLACE_PACKAGE, PLACE_CORE };

static uint16_t *label_of(struct hak_topology_cpu *cpu, enum place place)
{
    if (place == PLACE_L3)
        return &cpu->l3;
    return place == PLACE_PACKAGE ? &cpu->package : &cpu->core;
}

static int read_place_of(struct reader *reader, enum place place, unsigned cpu)
{
    if (place == PLACE_L3)
        return read_l3_of(reader, cpu);
    return place == PLACE_PACKAGE ? read_package_of(reader, cpu) : read_core_of(reader, cpu);
}

/* Labels each online CPU with the lowest CPU of its place. Returns 1 if one place holds all CPUs.
 * Stops if the first CPU has no such file. */
static int read_places(struct hak_topology *topology, struct reader *reader, enum place place)
{
    unsigned first = hak_cpu_set_next(&reader->online, 0);
    struct hak_cpu_set *left = &reader->left;
    *left = reader->online;
    for (unsigned cpu = first; cpu < topology->cpu_ids; cpu = hak_cpu_set_next(left, cpu + 1)) {
        if (read_place_of(reader, place, cpu) != 0) {
            if (cpu == first)
                return 0;
            continue;
        }
        hak_cpu_set_add(&reader->set, cpu); /* even if the list omits it */
        for (unsigned word = 0; word < HAK_CPU_SET_WORDS; word++) {
            reader->set.words[word] &= left->words[word];
            left->words[word] &= ~reader->set.words[word];
        }
        unsigned other = hak_cpu_set_next(&reader->set, 0);
        for (; other < topology->cpu_ids; other = hak_cpu_set_next(&reader->set, other + 1))
            *label_of(&topology->cpu[other], place) = (uint16_t)cpu;
        if (cpu == first && hak_cpu_set_count(left) == 0)
            return 1;
    }
    return 0;
}

/* Very old kernels and some machines give only package numbers. */
static void read_package_ids(struct hak_topology *topology, struct reader *reader)
{
    unsigned first = hak_cpu_set_next(&reader->online, 0);
    if (first >= topology->cpu_ids || topology->cpu[first].package != HAK_TOPOLOGY_UNKNOWN)
        return;
    for (unsigned cpu = first; cpu < topology->cpu_ids;
         cpu = hak_cpu_set_next(&reader->online, cpu + 1)) {
        if (read_of(reader, cpu_folder, "cpu", cpu, "topology/physical_package_id") != 0)
            return;
        const char *at = reader->text;
        int id = next_number(&at);
        if (id >= 0 && id < HAK_TOPOLOGY_UNKNOWN)
            topology->cpu[cpu].package = (uint16_t)id;
    }
}

static int read_machine(struct hak_topology *topology, struct reader *reader,
                        enum hak_topology_detail detail)
{
    int error = read_cpus(topology, reader);
    if (error != 0)
        return error;
    read_nodes(topology, reader);
    int one_l3 = read_places(topology, reader, PLACE_L3);
    /* An L3 lies within a package: if one holds all CPUs, there is one package. */
    if (!one_l3 || topology->nodes > 1) {
        read_places(topology, reader, PLACE_PACKAGE);
        read_package_ids(topology, reader);
    }
    if (detail == HAK_DETAIL_CORES)
        read_places(topology, reader, PLACE_CORE);
    return hak_topology_finish(topology);
}

/* Uses no reader, which is large: the list of one node is short, and other lists do not matter. */
int hak_topology_only_node_of_sysfs(int root)
{
    char text[32];
    long length = hak_os_read_file(root, "sys/devices/system/node/online", text, sizeof(text));
    if (length < 0)
        return length == -ENOENT ? 0 : -1;
    const char *at = text;
    int node = next_number(&at);
    return *at == '\n' || *at == '\0' ? node : -1;
}

int hak_topology_from_sysfs(struct hak_topology *topology, int root,
                            enum hak_topology_detail detail)
{
    size_t size = hak_align_up(sizeof(struct reader), hak_os_page_size());
    struct reader *reader = hak_os_map(size, hak_os_page_size());
    if (reader == NULL)
        return -ENOMEM;
    reader->root = root;
    reader->l3_index = 3;
    topology->source = "sysfs";
    int error = read_machine(topology, reader, detail);
    hak_os_unmap(reader, size);
    return error;
}
