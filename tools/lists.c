/* SPDX-License-Identifier: MIT */
/* Turns numactl(8)'s lists of nodes and CPUs into lists that the library reads: "all", "+0-1" (of
 * those that this process may use), "!2", and a device's node ("netdev:eth0", "file:/data",
 * "block:sda", "pci:..."). libnuma parses them; the tool links it because it would make each
 * process that uses the library start a third slower. One thread. */
#include <numa.h>
#include <stdio.h>
#include <string.h>

#include "tools/commands.h"

/* A list that the library reads itself, also for another machine. */
static int is_plain(const char *list)
{
    return strspn(list, "0123456789,-") == strlen(list);
}

/* Writes the bits as "0-3,8"; -1 if there are none or the room is too small. */
static int write_list(const struct bitmask *bits, char *list, size_t room)
{
    size_t length = 0;
    for (unsigned bit = 0; bit < bits->size; bit++) {
        unsigned last = bit;
        if (!numa_bitmask_isbitset(bits, bit))
            continue;
        while (last + 1 < bits->size && numa_bitmask_isbitset(bits, last + 1))
            last++;
        const char *comma = length > 0 ? "," : "";
        int put = bit == last ? snprintf(list + length, room - length, "%s%u", comma, bit)
                              : snprintf(list + length, room - length, "%s%u-%u", comma, bit, last);
        if (put < 0 || (size_t)put >= room - length)
            return -1;
        length += (size_t)put;
        bit = last;
    }
    return length > 0 ? 0 : -1;
}

static int resolve(struct bitmask *(*parse)(const char *), const char *from, char *list,
                   size_t room)
{
    if (is_plain(from)) {
        int length = snprintf(list, room, "%s", from);
        return length >= 0 && (size_t)length < room ? 0 : -1;
    }
    if (numa_available() < 0)
        return -1;
    struct bitmask *bits = parse(from); /* prints on stderr what it cannot parse */
    if (bits == NULL)
        return -1;
    int refused = write_list(bits, list, room);
    numa_bitmask_free(bits);
    return refused;
}

int hak_resolve_lists(const char *name, const char *value, char *resolved, size_t room)
{
    if (strcmp(name, "HAKMEM_NODES") == 0)
        return resolve(numa_parse_nodestring, value, resolved, room);
    const char *colon = strcmp(name, "HAKMEM_SHARD") == 0 ? strchr(value, ':') : NULL;
    int head = snprintf(resolved, room, "%.*s",
                        colon != NULL ? (int)(colon + 1 - value) : (int)room, value);
    if (head < 0 || (size_t)head >= room)
        return -1;
    return colon == NULL
               ? 0
               : resolve(numa_parse_cpustring, colon + 1, resolved + head, room - (size_t)head);
}
